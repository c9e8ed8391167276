"""What a killed command left behind, put right by the next one before it does anything else.

A change of the data or a move of the champion that was cut off is made, runs that stand open in MLflow are closed,
servers without an owner are ended. What stands open in Prefect is closed once its server runs (flows/runs/orphans.py).
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
    """What was put right and concerns what is about to be done. move: the champion's, cut off and now carried out."""

    move: Move | None = None


@contextmanager
def alone(here: Places, what: str, say: Say) -> Iterator[Recovered]:
    """Hold the loop's lock while the block runs, with nothing half done below it; says what it put right.

    Raises:
        Refusal: another process holds the lock.
    """
    with lock.one_at_a_time(here.state, what, lambda died: recover(here, died, say)) as found:
        yield found or Recovered()


def catch_up(here: Places, what: str, say: Say) -> None:
    """The same for a command that only looks: put right what a kill left, unless the loop is at work."""
    half_done = pending_move.path_of(here).exists() or transaction.path_of(here).exists()
    if half_done or not lock.is_clean(here.state) or servers.left_over(here):
        with suppress(Refusal), alone(here, what, say):
            pass


def recover(here: Places, died: bool, say: Say) -> Recovered:
    """Put right all that the dead left. died: whether the last holder of the lock was killed at work."""
    for name in servers.left_over(here):
        servers.end_left_over(here, name)
        say(f"The {name} server that a killed command left is ended.")
    changed = transaction.finish(here)
    if changed is not None:
        say(f"The change of the data that was cut off is made now: {changed.why}")
    move = finish_move(here, say)
    if died:
        close_runs(here, say)
    return Recovered(move)


def finish_move(here: Places, say: Say) -> Move | None:
    """Carry out a move of the champion that was cut off; the move, None where there was none to carry out."""
    cut_off = pending_move.read(here)
    if cut_off is None:
        pending_move.done(here)
        return None
    from flows.registry.registry import Registry
    from flows.runs import champion

    move, registry = cut_off.move, Registry(cut_off.move.problem, here)
    there = registry.has(move.after)
    if there:
        champion.carry_out(here, registry, cut_off)
        say(f"What was cut off is done now: {champion.told(move)}")
    else:
        say(f"Cut off and given up: version {move.after} of {move.problem} was to go live, and is no longer in MLflow.")
    pending_move.done(here)
    return move if there else None


def close_runs(here: Places, say: Say) -> None:
    """End as killed the runs that stand open in MLflow though nobody runs them."""
    from flows.registry.maintenance import RegistryMaintenance

    path = mlflow_database()
    closed = RegistryMaintenance(here).close_orphans() if path is None or path.exists() else 0
    if closed:
        say(f"Closed in MLflow what a kill left open: {closed} run{'s' if closed > 1 else ''}.")
