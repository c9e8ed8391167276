"""The append-only history of what was live: one JSON line for every move of the champion, never rewritten."""

from __future__ import annotations

import getpass
import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


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


def read(path: Path, problem: str | None = None) -> tuple[Move, ...]:
    """All moves, oldest first, of one problem or of all; a line that a kill tore apart is passed over."""
    moves = [move for move in map(understood, lines(path)) if move is not None]
    return tuple(move for move in moves if problem in (None, move.problem))


def unreadable(path: Path) -> int:
    """How many lines are no moves: torn by a kill, or damaged."""
    return sum(understood(line) is None for line in lines(path))


def lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]


def understood(line: str) -> Move | None:
    try:
        move = Move(**json.loads(line))
        datetime.fromisoformat(move.at)
    except (ValueError, TypeError):
        return None
    return move


def live_at(moves: tuple[Move, ...], moment: datetime) -> int | None:
    """Which version was champion at a moment, by the ledger; None before the first move."""
    before = [move for move in moves if datetime.fromisoformat(move.at) <= moment]
    return before[-1].after if before else None


def person() -> str:
    """Who is at the keyboard, for moves made by hand."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
