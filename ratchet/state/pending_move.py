"""A move of the champion, written ahead: on the disk before the first alias moves, gone once everybody knows of it.

Aliases, ledger and the model's page are three places, and a kill may come between any two. Whoever finds an intent
carries it out from the start, which harms nothing that was done already (flows/runs/champion.py).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from ratchet.project import durable
from ratchet.project.paths import Places
from ratchet.state.ledger import Move


@dataclass(frozen=True)
class PendingMove:
    """All that the move needs. move: its line in the ledger.

    page: what the registered model's page then says. experiment: the same for the experiment's, as its tags.
    """

    move: Move
    page: str
    experiment: dict[str, str] = field(default_factory=dict)


def write(here: Places, intent: PendingMove) -> None:
    durable.write_json(path_of(here), asdict(intent))


def read(here: Places) -> PendingMove | None:
    """The move that is under way or was cut off; None where there is none."""
    written = durable.read_json(path_of(here))
    return PendingMove(Move(**written["move"]), written["page"], written.get("experiment", {})) if written else None


def done(here: Places) -> None:
    """The move is carried out, and whoever asked for it was told."""
    durable.remove(path_of(here))


def path_of(here: Places) -> Path:
    return here.state / "move.json"
