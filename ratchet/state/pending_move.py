"""The write-ahead record of a champion's move: written before the first alias moves, removed after the last step.

Aliases, ledger and the model's page change one after the other, and a kill can come between any two. A command that
finds a pending move carries it out from the start; each step is idempotent (flows/runs/champion.py).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from ratchet.project import durable
from ratchet.project.paths import Places
from ratchet.state.ledger import Move


@dataclass(frozen=True)
class PendingMove:
    """All that the move needs.

    Attributes:
        move: the line of the ledger.
        page: the description of the registered model after the move.
        experiment: tags of the experiment after the move.
    """

    move: Move
    page: str
    experiment: dict[str, str] = field(default_factory=dict)


def write(here: Places, pending: PendingMove) -> None:
    durable.write_json(path_of(here), asdict(pending))


def read(here: Places) -> PendingMove | None:
    """The move that is in progress or was cut off; None if there is none."""
    fields = durable.read_json(path_of(here))
    return PendingMove(Move(**fields["move"]), fields["page"], fields.get("experiment", {})) if fields else None


def done(here: Places) -> None:
    """Remove the record: the move is carried out, and the command has reported it."""
    durable.remove(path_of(here))


def path_of(here: Places) -> Path:
    return here.state / "move.json"
