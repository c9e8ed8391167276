"""MLflow's pages on a problem: the experiment and the registered model. Pure: values enter, Markdown leaves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from flows.pages import links
from flows.pages.reports import GAP, marked, table
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
from ratchet.problem.problem import Problem
from ratchet.state.ledger import Move

MOST_VERSIONS = 10
"""Versions in the table of the registered model's page, newest first; MLflow keeps 5,000 characters of the page."""


def experiment(problem: Problem, live: Version | None) -> dict[str, str]:
    """Return the experiment's page, as its tags: question, champion, data, metric and direction; and a saved view.

    MLflow shows the first paragraph alone until somebody opens the rest.
    """
    data = problem.settings.data
    metric = problem.settings.metric
    better = "higher" if metric.higher else "lower"
    grouping = f", with all rows of one `{data.group}` on the same side" if data.group else ""
    now = f"Live: version {live.number} ({live.model})." if live else "Nothing is live yet."
    question = (
        f"{now} **{data.marked_question[:1].upper()}{data.marked_question[1:]}?** What to do next: `make status`.\n\n"
        f"Each build is a run with its candidates as children. They compete on **{metric.words}** "
        f"({better} is better); the best on the validation rows meets the champion on the holdout{grouping}. "
        f"What is live, and why: [registered model {problem.name}]({links.model(problem.here, problem.name)}).\n\n"
        f"Data: {problem.pin.source or 'own table'}, version `{problem.pin.version}` (data.dvc)."
    )
    view = f"mlflow.sharedViewState.{links.CANDIDATES}"
    return {NOTE: question, "mlflow.experimentKind": "custom_model_development", view: candidates_view(problem)}


def candidates_view(problem: Problem) -> str:
    """Return MLflow's saved view of its table of runs: all candidates of all builds with their scores, best first."""
    metric = problem.settings.metric
    return json.dumps({
        "searchFilter": "tags.`mlflow.parentRunId` != ''",
        "orderByKey": f"metrics.`validation_{metric.name}`",
        "orderByAsc": not metric.higher,
        "selectedColumns": [
            f"metrics.`validation_{metric.name}`", f"metrics.`holdout_{metric.name}`",
            "tags.`model`", "tags.`decision`",
        ],
    })  # fmt: skip


def registered_model(problem: Problem, live: Version, snapshot: RegistrySnapshot, moves: Sequence[Move]) -> str:
    """Return the registered model's page: the champion and why, the previous one, the challenger, what to do next.

    Args:
        problem: The problem.
        live: The champion after the moves.
        snapshot: The versions, with the aliases as they are after the moves.
        moves: All moves of the problem, oldest first.
    """
    data = problem.settings.data
    here = problem.here
    aliases = snapshot.aliases
    versions = snapshot.versions
    since = next((move.at for move in reversed(moves) if move.after == live.number), "")
    back = " one step back is `make rollback`;" if aliases.get(PREVIOUS) else ""
    paragraphs = [
        f"**Live: version {live.number}** ({live.model}{f', since {moment(since)} UTC' if since else ''}), "
        f"alias `champion`. {live.tags.get('decision_reason', '')}",
        f"**Before:** {before(versions, aliases)} **Built last, not live:** {beside(versions, aliases)}",
        f"**Next:** `make status` says what to do now; a turn is `make run`;{back} every move is in `make history`. "
        f"Gives each {marked(data.inputs)} its `{data.label}`; use it from anywhere: "
        f'`mlflow.pyfunc.load_model("models:/{problem.name}@champion")`.',
        table(filled_columns([as_row(version, aliases, moves) for version in versions[:MOST_VERSIONS]]), GAP),
    ]
    others = [version for version in versions if version.number != live.number]
    if others:
        comparison = links.comparison(here, snapshot.experiment, live.run_id, others[0].run_id)
        all_candidates = links.candidates(here, snapshot.experiment)
        pages = {
            "All candidates with their scores": all_candidates,
            f"Versions {live.number} and {others[0].number} side by side": comparison,
        }
        paragraphs.append(links.markdown(pages))
    return "\n\n".join(paragraphs)


def before(versions: Sequence[Version], aliases: Mapping[str, int]) -> str:
    """Return the previous champion, and the way back to it."""
    previous = aliases.get(PREVIOUS)
    model = next((f" ({version.model})" for version in versions if version.number == previous), "")
    return f"version {previous}{model}, alias `previous`; back to it: `make rollback`." if previous else "nothing."


def beside(versions: Sequence[Version], aliases: Mapping[str, int]) -> str:
    """Return the challenger, and what happens to it next."""
    number = aliases.get(CHALLENGER)
    version = next((version for version in versions if version.number == number), None)
    if version is None:
        return "nothing."
    is_promoted = version.standing is Standing.PROMOTE
    outcome = "passed, not yet deployed: `make deploy`" if is_promoted else version.standing.words
    return f"version {number} ({version.model}), alias `challenger`: {outcome}."


def filled_columns(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return the rows without the columns that are empty in all of them."""
    names = [name for name in (rows[0] if rows else ()) if any(row[name] for row in rows)]
    return [{name: row[name] for name in names} for row in rows]


def as_row(version: Version, aliases: Mapping[str, int], moves: Sequence[Move]) -> dict[str, str]:
    """Return a version as a row of the table: its model and data, the decision, and when it was live."""
    names = [alias for alias in (CHAMPION, CHALLENGER, PREVIOUS) if aliases.get(alias) == version.number]
    tags = version.tags
    return {
        "version": f"{version.number} {' '.join(names)}".strip(),
        "model": version.model,
        "data": tags.get("data_version", "")[:8],
        "holdout": tags.get("holdout", "not judged"),
        "less luck": tags.get(CORRECTED, ""),
        "decision": version.standing.words,
        "live (UTC)": spells(version.number, moves),
    }


def spells(number: int, moves: Sequence[Move]) -> str:
    """Return the times a version was live: `2026-11-24 11:17 to 12:20, since 2026-11-25 09:00`; times are UTC."""
    periods = []
    began = ""
    for move in moves:
        if move.after == number and not began:
            began = move.at
        elif move.after != number and began:
            periods.append(f"{moment(began)} to {moment(move.at)}")
            began = ""
    if began:
        periods.append(f"since {moment(began)}")
    return ", ".join(periods) or "never"


def moment(at: str) -> str:
    """Return an ISO 8601 time in UTC to the minute."""
    return at[:16].replace("T", " ")


def waiting(problem: Problem, model: str) -> str:
    """Return the description of a version that was built and not yet judged."""
    return f"{model} on data {problem.pin.short}. Waits for *evaluate*, which holds it against the champion."
