"""Lineage of a version, a data version or a prediction, as lines of a name and a text. Knows no Prefect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from flows.pages import links, registry_pages
from flows.registry.bundles import DIGEST
from flows.registry.registry import Registry
from flows.registry.snapshot import RegistrySnapshot, Standing, Version
from ratchet.monitoring.log import predictions
from ratchet.monitoring.log.database import Place
from ratchet.monitoring.log.predictions import Prediction
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal
from ratchet.state import ledger
from ratchet.state.ledger import DataChange, Move
from ratchet.tasks import Task

Lines = list[tuple[str, str]]


def of_version(registry: Registry, typed: str) -> Lines:
    """Return run, bundle, build, validation, data, commit and decision of a version.

    Args:
        registry: The registry that has the version.
        typed: The version's number as typed; empty takes the champion.

    Raises:
        Refusal: There is no such version.
    """
    if typed and not (typed.isascii() and typed.isdigit()):
        raise Refusal("VERSION is the number of a version.", typed, "make lineage VERSION=1")
    version = registry.version(int(typed)) if typed else registry.champion()
    if version is None:
        raise Refusal("Lineage starts at a version.", "none is live and none is named", "make lineage VERSION=1")
    here = registry.here
    tags = version.tags
    origin = registry.origin(version)
    moves = ledger.read(here.ledger, registry.problem)
    aliases = [alias for alias, number in registry.snapshot().aliases.items() if number == version.number]
    title = f"{version.number} of {version.problem} ({version.model})" + (f", {', '.join(aliases)}" if aliases else "")
    lines = [
        ("version", title),
        ("live", f"{registry_pages.spells(version.number, moves)} (UTC)"),
        ("decision", " ".join(filter(None, (as_sentence(tags.get("decision", "")), tags.get("decision_reason"))))),
        ("judged", describe_score(tags)),
        *([("bundle", tags[DIGEST])] if DIGEST in tags else []),
        ("run", links.run(here, origin.experiment, version.run_id)),
        *of_build(registry, origin.parent),
        *of_data(tags.get("data_version", "unknown"), ledger.data_changes(here.ledger, registry.problem)),
        ("commit", tags.get("git_commit", "unknown")),
        ("set off by", tags.get("trigger", "unknown")),
        ("Prefect", links.flow_run(here, tags.get("prefect_flow_run_id", ""))),
    ]
    return [*lines, ("more of it", f"make lineage DATA={tags.get('data_version', '')[:8]}")]


def describe_score(tags: Mapping[str, str]) -> str:
    """Return the score on the holdout, and the version that it was compared with."""
    rival = tags.get("decided_against", "none")
    against = "with nothing live to compare" if rival == "none" else f"against version {rival}"
    return f"{tags['holdout']}, {against}" if "holdout" in tags else "not yet"


def as_sentence(decision: str) -> str:
    """Return the tag `decision` as the beginning of a sentence."""
    if not decision:
        return "not decided yet."
    return "Promoted:" if decision == Standing.PROMOTE else f"{decision.capitalize()}:"


def of_build(registry: Registry, build: str) -> Lines:
    """Return the build's run, and its verdicts on the data."""
    if not build:
        return []
    tags = registry.tags(build)
    verdicts = [(name, tags.get(f"validation_{name}")) for name in ("raw", "prepared")]
    return [
        ("build", f"{tags['mlflow.runName']}, {links.run(registry.here, registry.experiment(), build)}"),
        *((f"{name} data", verdict) for name, verdict in verdicts if verdict),
    ]


def of_data(data: str, changes: Sequence[DataChange]) -> Lines:
    """Return the data version, and the ledger's lines on how it was made."""
    lines = [
        ("", f"{registry_pages.moment(change.at)} UTC, {change.rows:,} rows, by {change.by}: {change.why}")
        for change in changes
        if change.after == data
    ]
    return [("data", data), *lines]


def from_data(problem: Problem, registry: Registry, typed: str) -> tuple[Lines, list[dict[str, str]]]:
    """Return a data version, and a table of all versions that were built on it.

    Args:
        problem: The problem of the data.
        registry: The problem's registry.
        typed: The beginning of the data version's hash, as typed.

    Raises:
        Refusal: No version was built on data whose hash begins so, or on more than one.
    """
    snapshot = registry.snapshot()
    data_versions = sorted({data_version(version) for version in snapshot.versions} | {problem.pin.version})
    matches = [data for data in data_versions if data.startswith(typed.lower())]
    if len(matches) != 1:
        raise Refusal(
            "DATA is the beginning of the hash of one data version.",
            f"{typed}, which fits {', '.join(data[:8] for data in matches) or 'none'}",
            f"Those known: {', '.join(data[:8] for data in data_versions)}",
        )
    moves = ledger.read(problem.here.ledger, problem.name)
    lines = of_data(matches[0], ledger.data_changes(problem.here.ledger, problem.name))
    pinned = " (pinned now: data.dvc)" if matches[0] == problem.pin.version else ""
    lines[0] = ("data", f"{matches[0]}{pinned}")
    return lines, rows_of(snapshot, matches[0], moves)


def rows_of(snapshot: RegistrySnapshot, data: str, moves: Sequence[Move]) -> list[dict[str, str]]:
    """Return the versions that were built on a data version as rows of a table, newest first."""
    built = [version for version in snapshot.versions if data_version(version) == data]
    return [registry_pages.as_row(version, snapshot.aliases, moves) for version in built]


def data_version(version: Version) -> str:
    return version.tags.get("data_version", "")


def find(log: Place, typed: str, days: int) -> Prediction:
    """Return the prediction of that id.

    Args:
        log: The prediction log.
        typed: The id as typed.
        days: For how many days predictions are kept.

    Raises:
        Refusal: No prediction has that id.
    """
    prediction = predictions.find(log, typed.strip())
    if prediction is None:
        raise Refusal(
            f"ID is the id of a prediction of the last {days} days (`deploy.log.days`).",
            f"{typed[:80]!r}, which none of those in the log has" if typed.strip() else "no ID",
            'An answer of the service has one in "id", and that of make predict TEXT="..." in its last line.',
        )
    return prediction


def of_prediction(registry: Registry, prediction: Prediction, task: Task) -> Lines:
    """Return the prediction, then the lineage of the version that answered; `task` is the kind of its problem."""
    number = prediction.version
    lineage = of_version(registry, str(number)) if registry.has(number) else of_deleted(registry, number)
    return [*describe_prediction(prediction, task), *lineage]


def describe_prediction(prediction: Prediction, task: Task) -> Lines:
    """Return the prediction itself, and the label that a person gave."""
    at = registry_pages.moment(datetime.fromtimestamp(prediction.at, UTC).isoformat())
    took = f", in {1000 * prediction.seconds:.1f} ms" if prediction.seconds is not None else ""
    sure = f", {prediction.score:.1%} sure" if task.can("confidence") else ""
    kept = prediction.text
    lines = [
        ("prediction", f"{prediction.label}{sure}"),
        ("asked", f"{at} UTC by {prediction.route}, answered by the {prediction.role}{took}"),
        (task.unit, kept if kept is not None else f"{prediction.characters:,} characters, which were not kept"),
    ]
    if prediction.said is None:
        return [*lines, ("feedback", "none")]
    verdict = "right" if prediction.said == prediction.label else "wrong"
    return [*lines, ("feedback", f"{prediction.said}{f': {verdict}' if task.can('right_or_wrong') else ''}")]


def of_deleted(registry: Registry, number: int) -> Lines:
    """Return the ledger's lines on a version that is no longer in the registry."""
    path = registry.here.ledger
    name = registry.problem
    moves = ledger.read(path, name)
    lines = [
        (
            "version",
            f"{number} of {name}, which somebody has deleted in MLflow since: its run and bundle are not known",
        ),
        ("live", f"{registry_pages.spells(number, moves)} (UTC)"),
    ]
    for move in [move for move in moves if move.after == number][-1:]:
        evidence = move.evidence
        lines.append(("decision", f"{move.action.capitalize()}: {move.why}"))
        lines += of_data(evidence.get("data_version", "unknown"), ledger.data_changes(path, name))
        lines.append(("commit", evidence.get("git_commit", "unknown")))
    return lines
