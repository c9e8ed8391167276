"""The append-only history of what was live: one JSON line for every move of the champion, never rewritten."""

from __future__ import annotations

import getpass
import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROLLED_BACK = "rolled back"


@dataclass(frozen=True)
class Move:
    """One move of the champion.

    at: UTC, ISO 8601. problem: registered model. action: `promoted`, `rolled back`, `found`.
    before, after: versions, None where there was or is none. by: the trigger or person. why: one sentence.
    evidence: data version, commit, scores, run: whatever the decision stood on.
    """

    problem: str
    action: str
    before: int | None
    after: int | None
    by: str
    why: str
    evidence: dict[str, Any] = field(default_factory=dict)
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


def append(path: Path, move: Move) -> None:
    """Write one line and have it on the disk before returning; a line torn by a kill is closed off first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = (json.dumps(asdict(move), ensure_ascii=False, sort_keys=True) + "\n").encode()
    with open(path, "ab+") as ledger:
        if ledger.tell() > 0:
            ledger.seek(-1, os.SEEK_END)
            if ledger.read(1) != b"\n":
                line = b"\n" + line
        ledger.write(line)
        ledger.flush()
        os.fsync(ledger.fileno())


def append_once(path: Path, move: Move) -> None:
    """Write one line unless that very move has its line, which a move cut off by a kill may or may not have."""
    if move not in read(path, move.problem):
        append(path, move)


def read(path: Path, problem: str | None = None) -> tuple[Move, ...]:
    """All moves, oldest first, of one problem or of all; a line that a kill tore apart is passed over."""
    if not path.exists():
        return ()
    moves = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            moves.append(Move(**json.loads(line)))
        except (json.JSONDecodeError, TypeError):
            continue
    return tuple(move for move in moves if problem in (None, move.problem))


def live_at(moves: tuple[Move, ...], moment: datetime) -> int | None:
    """Which version was champion at a moment, by the ledger; None before the first move.

    The order of the lines is the order of the moves. Where the clock was set back in between, times overlap, and the
    later line counts.
    """
    before = [move for move in moves if datetime.fromisoformat(move.at) <= moment]
    return before[-1].after if before else None


def was_taken_back(moves: tuple[Move, ...], version: int) -> bool:
    """Whether the last word on a version is a person's rollback from it; no decision made before then overrides it."""
    about = [move for move in moves if version in (move.before, move.after)]
    return bool(about) and about[-1].action == ROLLED_BACK and about[-1].before == version


def person() -> str:
    """Who is at the keyboard, for moves made by hand."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
