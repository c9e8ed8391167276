"""Moves of the champion: an alias in the registry and a line in the ledger, always together. Knows no Prefect."""

from __future__ import annotations

from flows.registry import PREVIOUS, Registry, Version
from ratchet import ledger
from ratchet.ledger import Move
from ratchet.problem import Problem
from ratchet.refusal import Refusal

EVIDENCE = ("data_version", "git_commit", "trigger", "prefect_flow_run_id")


def reconcile(problem: Problem, registry: Registry) -> Version | None:
    """Today's champion; where the ledger does not know of it yet, a line that says so is added.

    That happens when a kill came between alias and ledger, and when somebody moved the alias in the MLflow UI.
    """
    champion = registry.champion()
    moves = ledger.read(problem.here.ledger, problem.name)
    known = moves[-1].after if moves else None
    found = champion.number if champion else None
    if known != found:
        why = "The registry says so, and the ledger had no line for it: moved by hand, or cut off by a kill."
        evidence = evidence_of(champion) if champion else {}
        ledger.append(problem.here.ledger, Move(problem.name, "found", known, found, "reconcile", why, evidence))
    return champion


def promote(problem: Problem, registry: Registry, version: Version, by: str, why: str) -> None:
    """The version goes live; what was live becomes previous."""
    before = reconcile(problem, registry)
    registry.promote(version)
    move = Move(
        problem.name, "promoted", before.number if before else None, version.number, by, why, evidence_of(version)
    )
    ledger.append(problem.here.ledger, move)


def roll_back(problem: Problem, registry: Registry, by: str) -> tuple[Version, Version]:
    """The previous champion is live again, and today's becomes previous; both versions, the new champion first.

    Raises:
        Refusal: there is no champion, or none before it.
    """
    champion, previous = reconcile(problem, registry), registry.holding(PREVIOUS)
    if champion is None or previous is None or previous.number == champion.number:
        live = f"version {champion.number} is live and nothing was before it" if champion else "no champion at all"
        raise Refusal("A rollback needs a previous champion.", live, "See what was live when: make history")
    registry.promote(previous)
    why = f"Rolled back by hand: version {previous.number} is live again instead of {champion.number}."
    move = Move(problem.name, "rolled back", champion.number, previous.number, by, why, evidence_of(previous))
    ledger.append(problem.here.ledger, move)
    return previous, champion


def evidence_of(version: Version) -> dict[str, str]:
    return {name: version.tags[name] for name in EVIDENCE if name in version.tags} | {"model": version.model}
