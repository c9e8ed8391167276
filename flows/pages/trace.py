"""From one prediction to all that it came from, as lines of a name and a text. Knows no Prefect."""

from __future__ import annotations

from datetime import UTC, datetime

from flows.pages import lineage, registry_pages
from flows.pages.lineage import Lines
from flows.registry.registry import Registry
from ratchet.monitoring.log import predictions
from ratchet.monitoring.log.predictions import Place, Prediction
from ratchet.project.errors import Refusal
from ratchet.state import ledger


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
    came = lineage.of_version(registry, str(number)) if registry.has(number) else of_deleted(registry, number)
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
        lines += lineage.of_data(known.get("data_version", "unknown"), ledger.changes(path, name))
        lines.append(("commit", known.get("git_commit", "unknown")))
    return lines
