"""The writer of the prediction log: one thread, one connection, batches; never in the way of a request.

Answers are handed over and written within a quarter of a second; where the disk cannot keep up, so many wait and the
rest is dropped and counted. Feedback is on the disk before its sender is told.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ratchet import predictions
from ratchet.predictions import FEEDBACK, INSERT, Row, digest
from ratchet.steps.private import redacted

Result = TypeVar("Result")
GATHER = 0.25
"""Seconds that answers are gathered before they are written together."""
MOST_CHARACTERS = 64_000_000
"""Of texts that wait to be written, each counted with 500 for its row."""
ROW = 500
CHARACTERS = 8
"""The place of the text's length in a row."""
AGAIN = 1.0
"""Seconds until a write that failed is tried again."""
TRIES = 5
"""Tries of one batch before it is given up: the disk is full, or the file is gone."""
SWEEP = 3600.0
"""Seconds between two looks for rows that are older than they may be."""


@dataclass(frozen=True)
class Answers:
    """What one request was told: parallel lists of a row a text."""

    ids: list[str]
    texts: list[str]
    labels: list[str]
    scores: list[float]
    problem: str
    version: int
    role: str
    route: str
    at: float
    seconds: float

    @property
    def size(self) -> int:
        return sum(map(len, self.texts)) + ROW * len(self.texts)


@dataclass
class Said:
    """A label that somebody gives for an id. found: set to whether there is such a prediction, once it is on the disk.

    known: whether it is a label of the problem; another is not written.
    """

    prediction: str
    label: str
    source: str
    known: bool
    at: float
    loop: asyncio.AbstractEventLoop
    found: asyncio.Future[bool]


@dataclass(frozen=True)
class Policy:
    """What is kept of a text (`whole`, `redacted`, `hash`), and for how many days."""

    texts: str = "whole"
    days: int = 90

    def kept(self, text: str) -> str | None:
        if self.texts == "whole":
            return text
        return redacted(text) if self.texts == "redacted" else None


class Unwritable(Exception):
    """The log cannot be written now; the feedback was not taken."""


@dataclass
class Tally:
    """What became of the rows, for the metrics."""

    written: int = 0
    dropped: int = 0
    failed: int = 0


@dataclass
class Log:
    """The queue and its thread. Call from one event loop; `close` writes what waits."""

    path: Path
    policy: Policy = field(default_factory=Policy)
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._waiting: deque[Answers | Said] = deque()
        self._size = 0
        self._wake, self._closing = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Characters that wait to be written."""
        return self._size

    def put(self, answers: Answers) -> None:
        """Hand over what was answered."""
        size = answers.size
        if self._size + size > MOST_CHARACTERS:
            self.tally.dropped += len(answers.ids)
            return
        self._size += size
        self._waiting.append(answers)

    async def say(self, prediction: str, label: str, source: str, known: bool = True) -> bool:
        """Whether there is a prediction of that id; if so, and where it is a known label, it is on the disk.

        Raises:
            Unwritable: it could not be written.
        """
        loop = asyncio.get_running_loop()
        said = Said(prediction, label, source, known, time.time(), loop, loop.create_future())
        self._waiting.append(said)
        self._wake.set()
        return await said.found

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._closing = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        rows: list[Row] = []
        tries, swept = 0, None
        with closing(_Writer(self.path)) as writer:
            while True:
                self._wake.wait(GATHER if not tries else AGAIN)
                last = self._closing
                self._wake.clear()
                taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
                rows += [row for each in taken if isinstance(each, Answers) for row in self._rows(each)]
                told = [each for each in taken if isinstance(each, Said)]
                tries = self._settle(writer, rows, told, tries, last)
                if swept is None or time.monotonic() - swept > SWEEP:
                    swept = time.monotonic()
                    writer.attempt(self._forget)
                if last and not rows and not self._waiting:
                    return

    def _settle(self, writer: _Writer, rows: list[Row], told: list[Said], tries: int, last: bool) -> int:
        """Write rows and feedback; the number of tries so far, 0 where nothing is left. Empties `rows` at success."""
        if not rows and not told:
            return 0
        found = writer.attempt(lambda connection: _write(connection, rows, told))
        for place, said in enumerate(told):
            _tell(said, found[place] if found is not None else None)
        if found is None and tries + 1 < TRIES and not last:
            self.tally.failed += 1
            return tries + 1
        if found is None:
            self.tally.dropped += len(rows)
        else:
            self.tally.written += len(rows)
        self._size -= sum(row[CHARACTERS] + ROW for row in rows)
        rows.clear()
        return 0

    def _rows(self, answers: Answers) -> list[Row]:
        return [
            (name, answers.at, answers.problem, answers.version, answers.role, answers.route, label, score,
             len(text), digest(text), self.policy.kept(text), answers.seconds)
            for name, text, label, score in zip(
                answers.ids, answers.texts, answers.labels, answers.scores, strict=True
            )
        ]  # fmt: skip

    def _forget(self, connection: sqlite3.Connection) -> None:
        """Remove what is older than the policy says."""
        oldest = time.time() - 86_400 * self.policy.days
        before = predictions.identities(1, oldest)[0]
        connection.execute("delete from feedback where prediction < ?", (before,))
        connection.execute("delete from predictions where id < ?", (before,))

class _Writer:
    """A connection that is opened when it is needed, and anew after an error or where the file is another one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file = 0

    def attempt(self, work: Callable[[sqlite3.Connection], Result]) -> Result | None:
        """Do the work in one transaction, on the disk afterwards; None where the database did not take it."""
        try:
            connection = self._opened()
            with connection:
                return work(connection)
        except (sqlite3.Error, OSError):
            self.close()
            return None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None or not self._path.exists() or self._path.stat().st_ino != self._file:
            self.close()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self._path, timeout=10)
            predictions.lay_out(self._connection)
            self._connection.execute("pragma synchronous = full")
            self._file = self._path.stat().st_ino
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _write(connection: sqlite3.Connection, rows: list[Row], told: list[Said]) -> list[bool]:
    """Insert the rows, then the feedback for ids that are there; whether each is."""
    connection.executemany(INSERT, rows)
    found = []
    for said in told:
        there = connection.execute("select 1 from predictions where id = ?", (said.prediction,)).fetchone() is not None
        if there and said.known:
            connection.execute(FEEDBACK, (said.prediction, said.label, said.source, said.at))
        found.append(there)
    return found


def _tell(said: Said, found: bool | None) -> None:
    """Give the sender the outcome, in their event loop; None: it was not taken."""

    def tell() -> None:
        if said.found.done():
            return
        if found is None:
            said.found.set_exception(Unwritable())
        else:
            said.found.set_result(found)

    said.loop.call_soon_threadsafe(tell)
