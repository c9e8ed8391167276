"""The ledger, an append-only file: a JSON line for each move of the champion, change of the data or refused version.

The order of lines is the order of events, even if a clock was set back. A line ends at a line feed only: the other line
ends of Unicode (U+2028, U+0085, ...) may occur in a value, and earlier versions wrote them there unescaped.
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
"""The beginning of `why` in a change that labels of people caused."""


@dataclass(frozen=True)
class Move:
    """One move of the champion.

    Attributes:
        problem: registered model.
        action: `promoted`, `rolled back` or `found`.
        before: version that was live; None for none.
        after: version that is live; None for none.
        by: the trigger or the person.
        why: one sentence.
        evidence: of the decision: data version, commit, scores, run.
        at: UTC, ISO 8601.
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

    Attributes:
        problem: registered model.
        before: data version; None where the problem had none.
        after: data version.
        rows: of `after`.
        withdrawn: rows of `before` that their owner withdrew; nothing is made of them from now on.
        by: the trigger or the person.
        why: what changed and what follows, in a sentence or two; never a text of the table.
        columns: the table's names for text, label and group.
        at: UTC, ISO 8601.
        kind: `data`.
        cause: `table`, or `feedback` for labels of people; derived from `why` in lines of earlier versions.
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
    """A version that the prediction service could not serve, or that failed its trial on live traffic.

    The version before it went on answering.

    Attributes:
        problem: registered model.
        version: None where it is not known.
        why: the reason, and which version goes on answering.
        by: the part that refused it.
        at: UTC, ISO 8601.
        kind: `refused`.
    """

    problem: str
    version: int | None
    why: str
    by: str = "the prediction service"
    at: str = field(default_factory=lambda: moment())
    kind: str = "refused"


Line = Move | DataChange | Refused

ESCAPED = re.compile("[\x85\u2028\u2029\ud800-\udfff]")
"""Characters that JSON leaves unescaped: line ends to other readers, and surrogates, which UTF-8 cannot encode."""


def append(path: Path, line: Line) -> None:
    """Append one line durably; a line that a kill left torn is ended first."""
    durable.make_folder(path.parent)
    row = f"{to_json(line)}\n".encode()
    with open(path, "ab+") as ledger:
        if ledger.tell() > 0:
            ledger.seek(-1, os.SEEK_END)
            if ledger.read(1) != b"\n":
                row = b"\n" + row
        ledger.write(row)
    durable.sync(path)


def to_json(line: Line) -> str:
    """One line as JSON."""
    text = json.dumps(asdict(line), ensure_ascii=False, sort_keys=True)
    return ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


KINDS: dict[str | None, type[Any]] = {"data": DataChange, "refused": Refused}
"""Class of a line by its `kind`; a Move has none."""


def append_once(path: Path, line: Line) -> None:
    """Append one line unless the ledger has it: a command that a kill cut off may have written it already."""
    if to_json(line) not in map(to_json, events(path, line.problem)):
        append(path, line)


def events(path: Path, problem: str | None = None) -> tuple[Line, ...]:
    """All lines of one problem or of all, oldest first; unreadable lines are skipped."""
    readable = [line for line in map(parse_line, lines(path)) if line is not None]
    return tuple(line for line in readable if problem in (None, line.problem))


def read(path: Path, problem: str | None = None) -> tuple[Move, ...]:
    """The moves of the champion."""
    return tuple(line for line in events(path, problem) if isinstance(line, Move))


def data_changes(path: Path, problem: str | None = None) -> tuple[DataChange, ...]:
    """The changes of the data."""
    return tuple(line for line in events(path, problem) if isinstance(line, DataChange))


def unreadable(path: Path) -> int:
    """The number of lines that cannot be read: torn by a kill, or damaged."""
    return sum(parse_line(line) is None for line in lines(path))


def lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [line for line in path.read_bytes().decode(errors="replace").split("\n") if line.strip()]


def parse_line(text: str) -> Line | None:
    """The event in one line; None if the line is torn or of another form."""
    try:
        fields = json.loads(text)
        event: Line = KINDS.get(fields.get("kind"), Move)(**fields)
        datetime.fromisoformat(event.at)
    except (ValueError, TypeError, AttributeError):
        return None
    return event


def live_since(moves: tuple[Move, ...], version: int) -> datetime | None:
    """The time of the last move, if it made this version live; else None."""
    return datetime.fromisoformat(moves[-1].at) if moves and moves[-1].after == version else None


def was_taken_back(moves: tuple[Move, ...], version: int) -> bool:
    """Whether the last move of a version is a rollback from it; no decision made before that overrides it."""
    moves_of_version = [move for move in moves if version in (move.before, move.after)]
    if not moves_of_version:
        return False
    last = moves_of_version[-1]
    return last.action == ROLLED_BACK and last.before == version


def moment() -> str:
    """Now, in the form of the field `at`: UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def person() -> str:
    """The name of the current user, for moves made by hand."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
