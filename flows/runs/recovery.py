"""Repairs what a killed command left behind, before the next command does anything else.

It makes a change of the data or a move of the champion that was cut off, closes runs that are open in MLflow, and ends
servers without an owner. Runs that are open in Prefect are closed once its server runs (flows/runs/orphans.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ratchet.data.versions import transaction
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places, mlflow_database
from ratchet.servers import servers
from ratchet.state import lock, pending_move
from ratchet.state.ledger import Move

Say = Callable[[str], None]


@dataclass(frozen=True)
class Recovered:
    """What was repaired and matters to the command that follows.

    Attributes:
        move: The champion's move that was cut off and is now made; None where there was none.
    """

    move: Move | None = None


@contextmanager
def alone(here: Places, command: str, say: Say) -> Iterator[Recovered]:
    """Hold the loop's lock while the block runs, after repairing what a kill left; every repair is reported.

    Args:
        here: The places of this project.
        command: The name of the holder, which a refused command is told.
        say: Receives a sentence for each repair.

    Raises:
        Refusal: Another process holds the lock.
    """
    with lock.one_at_a_time(here.state, command, lambda died: recover(here, died, say)) as recovered:
        yield recovered or Recovered()


def catch_up(here: Places, command: str, say: Say) -> None:
    """Repair what a kill left, for a command that only reads; does nothing while the loop runs."""
    half_done = pending_move.path_of(here).exists() or transaction.path_of(here).exists()
    if half_done or not lock.is_clean(here.state) or servers.left_over_servers(here):
        with suppress(Refusal), alone(here, command, say):
            pass


def recover(here: Places, died: bool, say: Say) -> Recovered:
    """Repair everything that a kill left; `died` says whether the last holder of the lock was killed at work."""
    for name in servers.left_over_servers(here):
        servers.end_left_over(here, name)
        say(f"The {name} server that a killed command left is ended.")
    change = transaction.finish(here)
    if change is not None:
        say(f"The change of the data that was cut off is made now: {change.why}")
    move = finish_move(here, say)
    if died:
        close_runs(here, say)
    return Recovered(move)


def finish_move(here: Places, say: Say) -> Move | None:
    """Make the champion's move that was cut off; returns it, None where no move was made."""
    pending = pending_move.read(here)
    if pending is None:
        pending_move.done(here)
        return None
    from flows.registry.registry import Registry
    from flows.runs import champion

    move = pending.move
    registry = Registry(move.problem, here)
    exists = registry.has(move.after)
    if exists:
        champion.carry_out(here, registry, pending)
        say(f"What was cut off is done now: {champion.report_sentence(move)}")
    else:
        say(f"Cut off and given up: version {move.after} of {move.problem} was to go live, and is no longer in MLflow.")
    pending_move.done(here)
    return move if exists else None


def close_runs(here: Places, say: Say) -> None:
    """End the runs of a killed process that are open in MLflow, as killed."""
    from flows.registry.maintenance import RegistryMaintenance

    path = mlflow_database()
    closed = RegistryMaintenance(here).close_orphans() if path is None or path.exists() else 0
    if closed:
        say(f"Closed in MLflow what a kill left open: {closed} run{'s' if closed > 1 else ''}.")
