"""What the MLflow UI says: the experiment's question, a version's card, the registered model's page. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from flows.registry import Version
from flows.reports import table
from ratchet.problem import Problem
from ratchet.steps.gate import WORDS, Decision


def experiment(problem: Problem) -> str:
    """Question, data, metric and direction: the first thing in the experiment's page."""
    data, chosen = problem.settings.data, problem.settings.evaluate
    better = "lower" if chosen.metric == "log_loss" else "higher"
    kept = f", with all rows of one `{data.group}` on the same side" if data.group else ""
    return (
        f"**Which `{data.label}` does a `{data.text}` have?**\n\n"
        f"Each build is a run with its candidates as children. They compete on **{WORDS[chosen.metric]}** "
        f"({better} is better); the best on the validation rows meets the champion on the holdout{kept}. "
        f"What is live: registered model **{problem.name}**, alias `champion`.\n\n"
        f"Data: {problem.pin.source or 'own table'}, version `{problem.pin.version}` (data.dvc)."
    )


def waiting(problem: Problem, model: str) -> str:
    """A version that was built and not yet judged."""
    return f"{model} on data {problem.pin.short}. Waits for *evaluate*, which holds it against the champion."


def decided(
    problem: Problem,
    version: Version,
    decision: Decision,
    scorecard: Sequence[Mapping[str, str]],
    by_slice: Sequence[Mapping[str, str]],
) -> str:
    """The model card of a judged version; its sections follow Mitchell et al. 2019, Model Cards for Model Reporting."""
    data = problem.settings.data
    tags = version.tags
    made_from = problem.pin.source or "own table"
    split = f"rows split by {data.group}" if data.group else "rows split by text"
    parts = [
        f"{decision.verdict}: {decision.reason}",
        f"**What it is.** {version.model}, which gives each `{data.text}` a `{data.label}`. Trained on data version "
        f"`{problem.pin.version}` ({made_from}) by commit `{tags.get('git_commit', 'unknown')[:12]}`; "
        f"set off by: {tags.get('trigger', 'unknown')}.",
        "**Meant for** texts like those it was trained on. Its answers on texts of another kind are not measured here.",
        f"**On the holdout** ({split}, never trained on):",
        table(scorecard),
        "**By slice:**",
        table(by_slice),
        "**Made again**, from the same data version, params, lock and seed, on a machine like this one, it answers the "
        f"holdout to the last bit alike: digest `{tags.get('predictions_digest', 'unknown')}`.",
        "**Before and after.** `make history` says what was live when; `make rollback` brings the previous champion "
        f'back. Use it: `mlflow.pyfunc.load_model("models:/{problem.name}/{version.number}")`.',
    ]
    return "\n\n".join(parts)


def registered_model(problem: Problem, live: Version) -> str:
    """The registered model's page: what is live, why, since when, and where to go from here."""
    data = problem.settings.data
    since = datetime.fromtimestamp(live.created, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"**Live: version {live.number}** ({live.model}, built {since}), alias `champion`. "
        f"{live.tags.get('decision_reason', '')}\n\n"
        f"Gives each `{data.text}` its `{data.label}`. Alias `previous` was live before; `challenger` was built last "
        "and did not go live. Every move is in `make history`; one step back is `make rollback`; the next turn is "
        "`make run`.\n\n"
        f'`mlflow.pyfunc.load_model("models:/{problem.name}@champion")`'
    )
