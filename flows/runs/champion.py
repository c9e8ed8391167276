"""Moves of the champion: the aliases in the registry and a line in the ledger, always together. Knows no Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flows.pages import registry_pages
from flows.registry.registry import Registry
from flows.registry.snapshot import CHALLENGER, CHAMPION, PREVIOUS, Version
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.state import ledger, pending_move
from ratchet.state.ledger import ROLLED_BACK, Move
from ratchet.state.pending_move import PendingMove

EVIDENCE = ("data_version", "git_commit", "trigger", "prefect_flow_run_id")


def reconcile(problem: Problem, registry: Registry) -> Version | None:
    """Return the registry's champion, and append a line to the ledger where its last line names another one.

    They differ when somebody moved the alias in the MLflow UI.
    """
    champion = registry.champion()
    moves = ledger.read(problem.here.ledger, problem.name)
    recorded = moves[-1].after if moves else None
    current = champion.number if champion else None
    if recorded != current:
        reason = "The registry says so, and the ledger had no line for it: the alias was moved by hand."
        if champion is None:
            reason = "The registry has no champion: the alias was removed, or another registry is used now."
        elif recorded is not None and registry.has(recorded):
            registry.set_alias(PREVIOUS, recorded)
            reason += f" Back to version {recorded}: make rollback"
        evidence = evidence_of(champion) if champion else {}
        move = Move(problem.name, "found", recorded, current, "reconcile", reason, evidence)
        ledger.append(problem.here.ledger, move)
    return champion


def promote(problem: Problem, registry: Registry, version: Version, by: str, reason: str) -> None:
    """Make the version the champion, and today's champion the previous one."""
    champion = reconcile(problem, registry)
    before = champion.number if champion else None
    move = Move(problem.name, "promoted", before, version.number, by, reason, evidence_of(version))
    carry_out(problem.here, registry, plan_move(problem, registry, version, move))
    pending_move.done(problem.here)


def roll_back(problem: Problem, registry: Registry, by: str) -> Move:
    """Make the previous champion live again, and today's the previous one; returns the move.

    The caller reports the move, then calls `pending_move.done`.

    Raises:
        Refusal: There is no champion, or none before it.
    """
    champion = reconcile(problem, registry)
    previous = registry.by_alias(PREVIOUS)
    if champion is None:
        return restore_last_champion(problem, registry, by)
    if previous is None or previous.number == champion.number:
        live = f"version {champion.number} is live and nothing was before it"
        raise Refusal("A rollback needs a previous champion.", live, "See what was live when: make history")
    reason = f"Rolled back by hand: version {previous.number} is live again instead of {champion.number}."
    move = Move(problem.name, ROLLED_BACK, champion.number, previous.number, by, reason, evidence_of(previous))
    carry_out(problem.here, registry, plan_move(problem, registry, previous, move))
    return move


def restore_last_champion(problem: Problem, registry: Registry, by: str) -> Move:
    """Make the last champion that still exists live again; returns the move.

    For a champion that was deleted, or whose alias was removed, by hand.

    Raises:
        Refusal: No version that was ever live exists.
    """
    version = last_lived(registry, ledger.read(problem.here.ledger, problem.name))
    if version is None:
        raise Refusal(
            "A rollback needs a version that was live.", "no champion at all", "See what was live when: make history"
        )
    number = version.number
    reason = f"Brought back by hand: nothing was live, and version {number} was the last that was and is still there."
    move = Move(problem.name, ROLLED_BACK, None, number, by, reason, evidence_of(version))
    carry_out(problem.here, registry, plan_move(problem, registry, version, move))
    return move


def last_lived(registry: Registry, moves: Sequence[Move]) -> Version | None:
    """Return the last champion of the ledger that the registry still has."""
    champions = [number for move in reversed(moves) for number in (move.after, move.before) if number is not None]
    last = next((number for number in dict.fromkeys(champions) if registry.has(number)), None)
    return None if last is None else registry.version(last)


def plan_move(problem: Problem, registry: Registry, live: Version, move: Move) -> PendingMove:
    """Return the move with the texts of both MLflow pages after it, for the write-ahead record."""
    moves = ledger.read(problem.here.ledger, problem.name)
    snapshot = registry.snapshot()
    aliases = {**snapshot.aliases, CHAMPION: live.number} | ({PREVIOUS: move.before} if move.before else {})
    if aliases.get(CHALLENGER) == live.number:
        aliases.pop(CHALLENGER)
    page = registry_pages.registered_model(problem, live, replace(snapshot, aliases=aliases), (*moves, move))
    return PendingMove(move, page, registry_pages.experiment(problem, live))


def describe(problem: Problem, registry: Registry, live: Version) -> None:
    """Update both MLflow pages to today's champion and decisions."""
    registry.describe_problem(page(problem, registry, live), registry_pages.experiment(problem, live))


def page(problem: Problem, registry: Registry, live: Version) -> str:
    """Return the text of the registered model's page, as things stand now."""
    moves = ledger.read(problem.here.ledger, problem.name)
    return registry_pages.registered_model(problem, live, registry.snapshot(), moves)


def carry_out(here: Places, registry: Registry, pending: PendingMove) -> None:
    """Write the move ahead, then make it: aliases, ledger, page. A second call after a kill gives the same result."""
    pending_move.write(here, pending)
    assert pending.move.after is not None
    registry.move_champion(pending.move.before, pending.move.after)
    ledger.append_once(here.ledger, pending.move)
    registry.describe_problem(pending.page, pending.experiment)


def report_sentence(move: Move) -> str:
    """Return the sentence that reports a move to a person."""
    model = f" ({move.evidence['model']})" if move.evidence.get("model") else ""
    live = f"Version {move.after}{model} of {move.problem} is live"
    if move.action != ROLLED_BACK:
        return f"{live}."
    if move.before is None:
        return f"{live} again; nothing was."
    return f"{live} again, instead of version {move.before}. Once more brings that one back."


def evidence_of(version: Version) -> dict[str, str]:
    """Return the version's tags that belong in a line of the ledger."""
    return {name: version.tags[name] for name in EVIDENCE if name in version.tags} | {"model": version.model}
