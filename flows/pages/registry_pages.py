"""What the MLflow UI says of a problem: the experiment's question, and the registered model's page. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from flows.pages import links
from flows.pages.reports import GAP, table
from flows.registry.snapshot import (
    CHALLENGER,
    CHAMPION,
    CORRECTED,
    NOTE,
    PREVIOUS,
    RegistrySnapshot,
    Standing,
    Version,
)
from ratchet.judging.metrics import METRICS
from ratchet.project.problem import Problem
from ratchet.state.ledger import Move

MOST_VERSIONS = 10
"""Versions in the table of the registered model's page, the newest first; MLflow keeps 5,000 characters of it."""


def experiment(problem: Problem, live: Version | None) -> dict[str, str]:
    """The experiment's page, as its tags: the question, what is live, data, metric and direction; and a view.

    MLflow shows the first paragraph alone until somebody opens the rest.
    """
    data, chosen = problem.settings.data, problem.settings.evaluate
    metric = METRICS[chosen.metric]
    better = "higher" if metric.higher else "lower"
    kept = f", with all rows of one `{data.group}` on the same side" if data.group else ""
    now = f"Live: version {live.number} ({live.model})." if live else "Nothing is live yet."
    question = (
        f"{now} **Which `{data.label}` does a `{data.text}` have?** What to do next: `make status`.\n\n"
        f"Each build is a run with its candidates as children. They compete on **{metric.words}** "
        f"({better} is better); the best on the validation rows meets the champion on the holdout{kept}. "
        f"What is live, and why: [registered model {problem.name}]({links.model(problem.here, problem.name)}).\n\n"
        f"Data: {problem.pin.source or 'own table'}, version `{problem.pin.version}` (data.dvc)."
    )
    view = f"mlflow.sharedViewState.{links.CANDIDATES}"
    return {NOTE: question, "mlflow.experimentKind": "custom_model_development", view: candidates_view(problem)}


def candidates_view(problem: Problem) -> str:
    """All candidates of all builds with their scores, best first, as MLflow's table of runs keeps what it shows."""
    metric = problem.settings.evaluate.metric
    return json.dumps({
        "searchFilter": "tags.`mlflow.parentRunId` != ''",
        "orderByKey": f"metrics.`validation_{metric}`",
        "orderByAsc": not METRICS[metric].higher,
        "selectedColumns": [
            f"metrics.`validation_{metric}`", f"metrics.`holdout_{metric}`",
            "tags.`decision`",
        ],
    })  # fmt: skip


def registered_model(problem: Problem, live: Version, holdings: RegistrySnapshot, moves: Sequence[Move]) -> str:
    """The registered model's page: what is live and why, what was before, what waits, what to do next.

    holdings: with the aliases as they are after the moves, which are all of the problem's, oldest first.
    """
    data, here, held, versions = problem.settings.data, problem.here, holdings.aliases, holdings.versions
    since = next((move.at for move in reversed(moves) if move.after == live.number), "")
    back = " one step back is `make rollback`;" if held.get(PREVIOUS) else ""
    found = [
        f"**Live: version {live.number}** ({live.model}{f', since {moment(since)} UTC' if since else ''}), "
        f"alias `champion`. {live.tags.get('decision_reason', '')}",
        f"**Before:** {before(versions, held)} **Built last, not live:** {beside(versions, held)}",
        f"**Next:** `make status` says what to do now; a turn is `make run`;{back} every move is in `make history`. "
        f"Gives each `{data.text}` its `{data.label}`; use it from anywhere: "
        f'`mlflow.pyfunc.load_model("models:/{problem.name}@champion")`.',
        table(told_columns([as_row(version, held, moves) for version in versions[:MOST_VERSIONS]]), GAP),
    ]
    rivals = [version for version in versions if version.number != live.number]
    if rivals:
        pair = links.comparison(here, holdings.experiment, live.run_id, rivals[0].run_id)
        every = links.candidates(here, holdings.experiment)
        shown = {
            "All candidates with their scores": every,
            f"Versions {live.number} and {rivals[0].number} side by side": pair,
        }
        found.append(links.markdown(shown))
    return "\n\n".join(found)


def before(versions: Sequence[Version], held: Mapping[str, int]) -> str:
    """What was live before, and the way back."""
    previous = held.get(PREVIOUS)
    model = next((f" ({version.model})" for version in versions if version.number == previous), "")
    return f"version {previous}{model}, alias `previous`; back to it: `make rollback`." if previous else "nothing."


def beside(versions: Sequence[Version], held: Mapping[str, int]) -> str:
    """What was built last and is not live: to be judged, to be deployed, or kept out."""
    number = held.get(CHALLENGER)
    version = next((version for version in versions if version.number == number), None)
    if version is None:
        return "nothing."
    is_promoted = version.standing is Standing.PROMOTE
    after = "passed, not yet deployed: `make deploy`" if is_promoted else version.standing.words
    return f"version {number} ({version.model}), alias `challenger`: {after}."


def told_columns(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """The rows without the columns that say nothing of any version."""
    return [{name: cell for name, cell in row.items() if any(each[name] for each in rows)} for row in rows]


def as_row(version: Version, held: Mapping[str, int], moves: Sequence[Move]) -> dict[str, str]:
    """A version in the table: what it is, what was decided, when it was live."""
    aliases = [alias for alias in (CHAMPION, CHALLENGER, PREVIOUS) if held.get(alias) == version.number]
    tags = version.tags
    return {
        "version": f"{version.number} {' '.join(aliases)}".strip(),
        "model": version.model,
        "data": tags.get("data_version", "")[:8],
        "holdout": tags.get("holdout", "not judged"),
        "less luck": tags.get(CORRECTED, ""),
        "decision": version.standing.words,
        "live (UTC)": spells(version.number, moves),
    }


def spells(number: int, moves: Sequence[Move]) -> str:
    """When a version was live: `2026-11-24 11:17 to 12:20, since 2026-11-25 09:00`; times are UTC."""
    found, began = [], ""
    for move in moves:
        if move.after == number and not began:
            began = move.at
        elif move.after != number and began:
            found.append(f"{moment(began)} to {moment(move.at)}")
            began = ""
    if began:
        found.append(f"since {moment(began)}")
    return ", ".join(found) or "never"


def moment(at: str) -> str:
    """An ISO 8601 time in UTC, to the minute."""
    return at[:16].replace("T", " ")


def waiting(problem: Problem, model: str) -> str:
    """The description of a version that was built and not yet judged."""
    return f"{model} on data {problem.pin.short}. Waits for *evaluate*, which holds it against the champion."
