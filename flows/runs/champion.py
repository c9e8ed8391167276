"""Moves of the champion: aliases in the registry and a line in the ledger, always together. Knows no Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flows.pages import registry_pages
from flows.registry.registry import Registry
from flows.registry.snapshot import CHALLENGER, CHAMPION, PREVIOUS, Version
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.problem import Problem
from ratchet.state import ledger, pending_move
from ratchet.state.ledger import ROLLED_BACK, Move
from ratchet.state.pending_move import PendingMove

EVIDENCE = ("data_version", "git_commit", "trigger", "prefect_flow_run_id")


def reconcile(problem: Problem, registry: Registry) -> Version | None:
    """Today's champion; where the ledger does not know of it yet, a line that says so is added.

    That happens when somebody moved the alias in the MLflow UI.
    """
    champion = registry.champion()
    moves = ledger.read(problem.here.ledger, problem.name)
    known = moves[-1].after if moves else None
    found = champion.number if champion else None
    if known != found:
        why = "The registry says so, and the ledger had no line for it: the alias was moved by hand."
        if champion is None:
            why = "The registry has no champion: the alias was removed, or another registry is used now."
        elif known is not None and registry.has(known):
            registry.name(PREVIOUS, known)
            why += f" Back to version {known}: make rollback"
        evidence = evidence_of(champion) if champion else {}
        ledger.append(problem.here.ledger, Move(problem.name, "found", known, found, "reconcile", why, evidence))
    return champion


def promote(problem: Problem, registry: Registry, version: Version, by: str, why: str) -> None:
    """The version goes live; what was live becomes previous."""
    before = reconcile(problem, registry)
    move = Move(
        problem.name, "promoted", before.number if before else None, version.number, by, why, evidence_of(version)
    )
    carry_out(problem.here, registry, intended(problem, registry, version, move))
    pending_move.done(problem.here)


def roll_back(problem: Problem, registry: Registry, by: str) -> Move:
    """The previous champion is live again, and today's becomes previous; the caller says so, then calls intent.done.

    Raises:
        Refusal: there is no champion, or none before it.
    """
    champion, previous = reconcile(problem, registry), registry.holding(PREVIOUS)
    if champion is None:
        return bring_back(problem, registry, by)
    if previous is None or previous.number == champion.number:
        live = f"version {champion.number} is live and nothing was before it"
        raise Refusal("A rollback needs a previous champion.", live, "See what was live when: make history")
    why = f"Rolled back by hand: version {previous.number} is live again instead of {champion.number}."
    move = Move(problem.name, ROLLED_BACK, champion.number, previous.number, by, why, evidence_of(previous))
    carry_out(problem.here, registry, intended(problem, registry, previous, move))
    return move


def bring_back(problem: Problem, registry: Registry, by: str) -> Move:
    """Where the champion was deleted or its alias removed by hand: the version that was live last and is still there.

    Raises:
        Refusal: none is.
    """
    back = last_lived(registry, ledger.read(problem.here.ledger, problem.name))
    if back is None:
        raise Refusal(
            "A rollback needs a version that was live.", "no champion at all", "See what was live when: make history"
        )
    why = f"Brought back by hand: nothing was live, and version {back.number} was the last that was and is still there."
    move = Move(problem.name, ROLLED_BACK, None, back.number, by, why, evidence_of(back))
    carry_out(problem.here, registry, intended(problem, registry, back, move))
    return move


def last_lived(registry: Registry, moves: Sequence[Move]) -> Version | None:
    """The version that was live last, as the ledger has it, and is still there."""
    lived = [number for move in reversed(moves) for number in (move.after, move.before) if number is not None]
    found = next((number for number in dict.fromkeys(lived) if registry.has(number)), None)
    return None if found is None else registry.version(found)


def intended(problem: Problem, registry: Registry, live: Version, move: Move) -> PendingMove:
    """The move with what both pages of MLflow say after it."""
    moves, holdings = ledger.read(problem.here.ledger, problem.name), registry.holdings()
    held = {**holdings.held, CHAMPION: live.number} | ({PREVIOUS: move.before} if move.before else {})
    if held.get(CHALLENGER) == live.number:
        held.pop(CHALLENGER)
    page = registry_pages.registered_model(problem, live, replace(holdings, held=held), (*moves, move))
    return PendingMove(move, page, registry_pages.experiment(problem, live))


def describe(problem: Problem, registry: Registry, live: Version) -> None:
    """Bring both pages of MLflow up to what is live, and to what was decided meanwhile."""
    registry.summarise(page(problem, registry, live), registry_pages.experiment(problem, live))


def page(problem: Problem, registry: Registry, live: Version) -> str:
    """What the registered model's page says now."""
    moves = ledger.read(problem.here.ledger, problem.name)
    return registry_pages.registered_model(problem, live, registry.holdings(), moves)


def carry_out(here: Places, registry: Registry, wanted: PendingMove) -> None:
    """Write the move ahead, then make it: aliases, ledger, page. Called again after a kill, it comes to the same."""
    pending_move.write(here, wanted)
    assert wanted.move.after is not None
    registry.move_champion(wanted.move.before, wanted.move.after)
    ledger.append_once(here.ledger, wanted.move)
    registry.summarise(wanted.page, wanted.experiment)


def told(move: Move) -> str:
    """What a person is told of a move, in a sentence."""
    model = f" ({move.evidence['model']})" if move.evidence.get("model") else ""
    live = f"Version {move.after}{model} of {move.problem} is live"
    if move.action != ROLLED_BACK:
        return f"{live}."
    if move.before is None:
        return f"{live} again; nothing was."
    return f"{live} again, instead of version {move.before}. Once more brings that one back."


def evidence_of(version: Version) -> dict[str, str]:
    return {name: version.tags[name] for name in EVIDENCE if name in version.tags} | {"model": version.model}
