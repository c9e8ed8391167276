"""The append-only history: one JSON line for every move of the champion, every change of the data, and every version
that the prediction service had to refuse; never rewritten.

The order of lines is the order of events, whatever a clock said. A line ends at a line feed and nowhere else: what else
Unicode calls a line end (U+2028, U+0085, ...) may stand in a value, and earlier versions wrote it there as it is.
"""

from __future__ import annotations

import getpass
import json
import os
import re
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ratchet.project import durable

ROLLED_BACK = "rolled back"
FEEDBACK = "Feedback: "
"""How the sentence of a change begins that people's labels made."""


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
    at: str = field(default_factory=lambda: moment())


@dataclass(frozen=True)
class DataChange:
    """One change of the pinned data.

    before, after: data versions, None where the problem had none. rows: of `after`.
    withdrawn: rows of `before` that were taken back by their owner and are in nothing that is made from now on.
    why: what changed and what follows, in a sentence or two; never a text of the table.
    columns: the table's names for text, label and group.
    cause: `table`, or `feedback` where labels of people came; lines of earlier versions tell it by their sentence.
    """

    problem: str
    before: str | None
    after: str
    rows: int
    withdrawn: int
    by: str
    why: str
    columns: dict[str, str | None]
    at: str = field(default_factory=lambda: moment())
    kind: str = "data"
    cause: str = ""

    def __post_init__(self) -> None:
        if not self.cause:
            object.__setattr__(self, "cause", "feedback" if self.why.startswith(FEEDBACK) else "table")


@dataclass(frozen=True)
class Refused:
    """A version that the registry names and that the prediction service could not serve, or that its trial on live
    traffic sent back; what had answered went on.

    version: None where it is not known. why: what was found, and who goes on answering. by: who refused it.
    """

    problem: str
    version: int | None
    why: str
    by: str = "the prediction service"
    at: str = field(default_factory=lambda: moment())
    kind: str = "refused"


Line = Move | DataChange | Refused

ESCAPED = re.compile("[\x85\u2028\u2029\ud800-\udfff]")
"""What JSON leaves as it is and another reader may take for a line end, and half characters, which UTF-8 has not."""


def append(path: Path, line: Line) -> None:
    """Write one line and have it on the disk before returning; a line torn by a kill is closed off first."""
    durable.make_folder(path.parent)
    row = f"{written(line)}\n".encode()
    with open(path, "ab+") as ledger:
        if ledger.tell() > 0:
            ledger.seek(-1, os.SEEK_END)
            if ledger.read(1) != b"\n":
                row = b"\n" + row
        ledger.write(row)
    durable.sync(path)


def written(line: Line) -> str:
    """The JSON of a line."""
    text = json.dumps(asdict(line), ensure_ascii=False, sort_keys=True)
    return ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


KINDS: dict[str | None, type[Any]] = {"data": DataChange, "refused": Refused}
"""Of lines, by their `kind`; a move has none."""


def append_once(path: Path, line: Line) -> None:
    """Write one line unless the ledger has that very line, which what a kill cut off may or may not have written."""
    if written(line) not in map(written, story(path, line.problem)):
        append(path, line)


def story(path: Path, problem: str | None = None) -> tuple[Line, ...]:
    """All lines, oldest first, of one problem or of all; a line that a kill tore apart is passed over."""
    known = [line for line in map(understood, lines(path)) if line is not None]
    return tuple(line for line in known if problem in (None, line.problem))


def read(path: Path, problem: str | None = None) -> tuple[Move, ...]:
    """The moves of the champion alone."""
    return tuple(line for line in story(path, problem) if isinstance(line, Move))


def changes(path: Path, problem: str | None = None) -> tuple[DataChange, ...]:
    """The changes of the data alone."""
    return tuple(line for line in story(path, problem) if isinstance(line, DataChange))


def unreadable(path: Path) -> int:
    """How many lines cannot be read: torn by a kill, or damaged."""
    return sum(understood(line) is None for line in lines(path))


def lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [line for line in path.read_bytes().decode(errors="replace").split("\n") if line.strip()]


def understood(line: str) -> Line | None:
    try:
        written = json.loads(line)
        event: Line = KINDS.get(written.get("kind"), Move)(**written)
        datetime.fromisoformat(event.at)
    except (ValueError, TypeError, AttributeError):
        return None
    return event


def live_at(moves: tuple[Move, ...], moment: datetime) -> int | None:
    """Which version was champion at a moment, by the ledger; None before the first move.

    The order of the lines is the order of the moves. Where the clock was set back in between, times overlap, and the
    later line counts.
    """
    before = [move for move in moves if datetime.fromisoformat(move.at) <= moment]
    return before[-1].after if before else None


def live_since(moves: tuple[Move, ...], version: int) -> datetime | None:
    """Since when a version is live, where the last move made it so; None where the ledger does not know of it."""
    return datetime.fromisoformat(moves[-1].at) if moves and moves[-1].after == version else None


def was_taken_back(moves: tuple[Move, ...], version: int) -> bool:
    """Whether the last word on a version is a person's rollback from it; no decision made before then overrides it."""
    about = [move for move in moves if version in (move.before, move.after)]
    return bool(about) and about[-1].action == ROLLED_BACK and about[-1].before == version


def moment() -> str:
    """Now, as every line has it: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def person() -> str:
    """Who is at the keyboard, for moves made by hand."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
