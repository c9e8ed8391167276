"""Where a version, a data version or a prediction comes from, as lines of a name and a text. Knows no Prefect."""

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
from ratchet.project.errors import Refusal
from ratchet.project.problem import Problem
from ratchet.state import ledger
from ratchet.state.ledger import DataChange, Move

Lines = list[tuple[str, str]]


def of_version(registry: Registry, wished: str) -> Lines:
    """Run, bundle, build, validation, data, commit, decision of a version; of the champion where none is named.

    Raises:
        Refusal: there is no such version.
    """
    if wished and not (wished.isascii() and wished.isdigit()):
        raise Refusal("VERSION is the number of a version.", wished, "make lineage VERSION=1")
    found = registry.version(int(wished)) if wished else registry.champion()
    if found is None:
        raise Refusal("Lineage starts at a version.", "none is live and none is named", "make lineage VERSION=1")
    here, tags, origin = registry.here, found.tags, registry.origin(found)
    moves, holdings = ledger.read(here.ledger, registry.problem), registry.snapshot()
    held = [alias for alias, number in holdings.aliases.items() if number == found.number]
    name = f"{found.number} of {found.problem} ({found.model})" + (f", {', '.join(held)}" if held else "")
    lines = [
        ("version", name),
        ("live", f"{registry_pages.spells(found.number, moves)} (UTC)"),
        ("decision", " ".join(filter(None, (as_sentence(tags.get("decision", "")), tags.get("decision_reason"))))),
        ("judged", judged(tags)),
        *([("bundle", tags[DIGEST])] if DIGEST in tags else []),
        ("run", links.run(here, origin.experiment, found.run_id)),
        *validated(registry, origin.parent),
        *of_data(tags.get("data_version", "unknown"), ledger.changes(here.ledger, registry.problem)),
        ("commit", tags.get("git_commit", "unknown")),
        ("set off by", tags.get("trigger", "unknown")),
        ("Prefect", links.flow_run(here, tags.get("prefect_flow_run_id", ""))),
    ]
    return [*lines, ("more of it", f"make lineage DATA={tags.get('data_version', '')[:8]}")]


def judged(tags: Mapping[str, str]) -> str:
    """How good on the holdout, and against whom."""
    rival = tags.get("decided_against", "none")
    against = "with nothing live to compare" if rival == "none" else f"against version {rival}"
    return f"{tags['holdout']}, {against}" if "holdout" in tags else "not yet"


def as_sentence(decision: str) -> str:
    if not decision:
        return "not decided yet."
    return "Promoted:" if decision == Standing.PROMOTE else f"{decision.capitalize()}:"


def validated(registry: Registry, build: str) -> Lines:
    """What the build said of the data, and where."""
    if not build:
        return []
    tags = registry.tags(build)
    suites = [(name, tags.get(f"validation_{name}")) for name in ("raw", "prepared")]
    return [
        ("build", f"{tags['mlflow.runName']}, {links.run(registry.here, registry.experiment(), build)}"),
        *((f"{name} data", said) for name, said in suites if said),
    ]


def of_data(data: str, changes: Sequence[DataChange]) -> Lines:
    """The data version, and what the ledger says of its coming."""
    came = [change for change in changes if change.after == data]
    told = [
        ("", f"{registry_pages.moment(change.at)} UTC, {change.rows:,} rows, by {change.by}: {change.why}")
        for change in came
    ]
    return [("data", data), *told]


def from_data(problem: Problem, registry: Registry, wished: str) -> tuple[Lines, list[dict[str, str]]]:
    """A data version, and a table of all versions that were built on it.

    Raises:
        Refusal: no version was built on data whose hash begins so, or on more than one.
    """
    holdings = registry.snapshot()
    known = sorted({data_of(version) for version in holdings.versions} | {problem.pin.version})
    meant = [data for data in known if data.startswith(wished.lower())]
    if len(meant) != 1:
        raise Refusal(
            "DATA is the beginning of the hash of one data version.",
            f"{wished}, which fits {', '.join(data[:8] for data in meant) or 'none'}",
            f"Those known: {', '.join(data[:8] for data in known)}",
        )
    moves = ledger.read(problem.here.ledger, problem.name)
    lines = of_data(meant[0], ledger.changes(problem.here.ledger, problem.name))
    pinned = " (pinned now: data.dvc)" if meant[0] == problem.pin.version else ""
    lines[0] = ("data", f"{meant[0]}{pinned}")
    return lines, rows_of(holdings, meant[0], moves)


def rows_of(holdings: RegistrySnapshot, data: str, moves: Sequence[Move]) -> list[dict[str, str]]:
    """The versions that were built on a data version, newest first."""
    built = [version for version in holdings.versions if data_of(version) == data]
    return [registry_pages.as_row(version, holdings.aliases, moves) for version in built]


def data_of(version: Version) -> str:
    return version.tags.get("data_version", "")


def find(log: Place, wished: str, days: int) -> Prediction:
    """The prediction of that id. days: for how many they are kept.

    Raises:
        Refusal: none is logged under it.
    """
    found = predictions.find(log, wished.strip())
    if found is None:
        raise Refusal(
            f"ID is the id of a prediction of the last {days} days (`deploy.log.days`).",
            f"{wished[:80]!r}, which none of those in the log has" if wished.strip() else "no ID",
            'An answer of the service has one in "id", and that of make predict TEXT="..." in its last line.',
        )
    return found


def of_prediction(registry: Registry, found: Prediction) -> Lines:
    """What was asked and answered, then what the version that answered came from."""
    number = found.version
    came = of_version(registry, str(number)) if registry.has(number) else of_deleted(registry, number)
    return [*told(found), *came]


def told(found: Prediction) -> Lines:
    """The prediction itself, and what a person said of it."""
    at = registry_pages.moment(datetime.fromtimestamp(found.at, UTC).isoformat())
    took = f", in {1000 * found.seconds:.1f} ms" if found.seconds is not None else ""
    lines = [
        ("prediction", f"{found.label}, {found.score:.1%} sure"),
        ("asked", f"{at} UTC by {found.route}, answered by the {found.role}{took}"),
        ("text", found.text if found.text is not None else f"{found.characters:,} characters, which were not kept"),
    ]
    if found.said is None:
        return [*lines, ("feedback", "none")]
    return [*lines, ("feedback", f"{found.said}: {'right' if found.said == found.label else 'wrong'}")]


def of_deleted(registry: Registry, number: int) -> Lines:
    """What the ledger knows of a version that is no longer in the registry."""
    path, name = registry.here.ledger, registry.problem
    moves = ledger.read(path, name)
    lines = [
        (
            "version",
            f"{number} of {name}, which somebody has deleted in MLflow since: its run and bundle are not known",
        ),
        ("live", f"{registry_pages.spells(number, moves)} (UTC)"),
    ]
    for move in [move for move in moves if move.after == number][-1:]:
        known = move.evidence
        lines.append(("decision", f"{move.action.capitalize()}: {move.why}"))
        lines += of_data(known.get("data_version", "unknown"), ledger.changes(path, name))
        lines.append(("commit", known.get("git_commit", "unknown")))
    return lines
