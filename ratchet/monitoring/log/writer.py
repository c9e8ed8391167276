"""The one writer of the prediction log: a process beside the service, `python -m ratchet.monitoring.log.writer`.

A thread would fight the service for the interpreter (a third of its requests a second, measured). Messages come on
standard input and reports leave on standard output, each with its length before it. Whatever has arrived is written
in one transaction; it is on the disk before the report. At the end of its input, which is also what a killed service
leaves, it writes what it has and ends.
"""

from __future__ import annotations

import os
import select
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ratchet.data.prepare.redact import redacted
from ratchet.monitoring.log import database, predictions
from ratchet.monitoring.log.database import Place
from ratchet.monitoring.log.postgres_log import RemoteLog
from ratchet.monitoring.log.predictions import FEEDBACK, INSERT, Row, digest
from ratchet.project.paths import places

AGAIN = 1.0
"""Seconds until a write that failed is tried again."""
PATIENCE = 60.0
"""Seconds until rows that the database does not take are given up: the disk is full, or another holds the file."""
SWEEP = 3600.0
"""Seconds between two looks for rows that are older than they may be."""
AT_ONCE = 1 << 20
"""Bytes read at a time."""
MOST = 64 * AT_ONCE
"""Bytes written in one transaction."""
LENGTH = 4
"""Bytes that say how long a message is."""


class Answers(Struct, array_like=True, tag="answers"):
    """What one request was told: parallel lists of an entry a text."""

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


class Said(Struct, array_like=True, tag="said"):
    """A label that somebody gives for an id. known: whether it is one of the problem's; another is not written.

    chance: with which it was chosen to be asked, where it was."""

    prediction: str
    label: str
    source: str
    known: bool
    at: float
    chance: float | None = None


class Policy(Struct, array_like=True, tag="policy", frozen=True):
    """What is kept of a text (`whole`, `redacted`, `hash`), and for how many days; problem: the service's own."""

    texts: str = "whole"
    days: int = 90
    problem: str = ""

    def kept(self, text: str) -> str | None:
        if self.texts == "whole":
            return text
        return redacted(text) if self.texts == "redacted" else None


class Message(Struct, array_like=True):
    """number: counts up; a message that comes again has its old one."""

    number: int
    body: Answers | Said | Policy


class Report(Struct, array_like=True):
    """The messages up to this number are settled. found: for each `Said` among them whether its id was there; None: not
    written. failed: writes that did not succeed so far."""

    number: int
    written: int
    dropped: int
    failed: int
    found: dict[int, bool | None]


MESSAGE = msgspec.msgpack.Decoder(Message)
REPORT = msgspec.msgpack.Decoder(Report)
pack = msgspec.msgpack.Encoder().encode


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(LENGTH, "big") + body


def frames(buffer: bytearray) -> Iterator[bytes]:
    """The whole messages at the beginning of a buffer, which are taken out of it."""
    at = 0
    while len(buffer) - at >= LENGTH:
        end = at + LENGTH + int.from_bytes(buffer[at : at + LENGTH], "big")
        if len(buffer) < end:
            break
        yield bytes(buffer[at + LENGTH : end])
        at = end
    del buffer[:at]


class Writer:
    """A connection that is opened when it is needed, and anew after an error or where the file is another one."""

    def __init__(self, log: Place) -> None:
        self._log = log
        self._connection: Any = None
        self._file = 0
        self.policy = Policy()

    def write(self, rows: list[Row], said: dict[int, Said]) -> dict[int, bool | None] | None:
        """Insert rows, then feedback for ids that are there: whether each is; None where the database took nothing."""
        try:
            connection = self._opened()
            with connection:
                connection.executemany(INSERT, rows)
                return {number: give(connection, each) for number, each in said.items()}
        except (sqlite3.Error, OSError) as error:
            print(f"{time.strftime('%F %T')}  The log of predictions was not written: {error}", file=sys.stderr)
            self.close()
            return None

    def forget(self) -> None:
        """Remove what is older than the policy says; where that fails, the next time does it.

        What somebody has labelled stays until the loop has taken it in or set it aside, so that no acknowledged label
        is ever lost. A database may be that of other projects, too, which say themselves how long theirs stays.
        """
        before = predictions.identities(1, time.time() - 86_400 * self.policy.days)[0]
        try:
            connection = self._opened()
            with connection:
                predictions.forget(connection, self.policy.problem if isinstance(self._log, str) else "", before)
        except (sqlite3.Error, OSError):
            self.close()

    def rows(self, answers: Answers) -> list[Row]:
        return [
            (name, answers.at, answers.problem, answers.version, answers.role, answers.route, label, score,
             len(text), digest(text), self.policy.kept(text), answers.seconds)
            for name, text, label, score in zip(
                answers.ids, answers.texts, answers.labels, answers.scores, strict=True
            )
        ]  # fmt: skip

    def _opened(self) -> Any:
        if self._connection is None or self._is_another():
            self.close()
            self._connection = RemoteLog(self._log) if isinstance(self._log, str) else self._file_opened(self._log)
        return self._connection

    def _is_another(self) -> bool:
        """Whether the file is not the one that was opened: a restore has put another in its place."""
        return isinstance(self._log, Path) and not (self._log.exists() and self._log.stat().st_ino == self._file)

    def _file_opened(self, path: Path) -> sqlite3.Connection:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=5)
        database.lay_out(connection)
        connection.execute("pragma synchronous = full")
        self._file = path.stat().st_ino
        return connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def give(connection: Any, said: Said) -> bool:
    """Write feedback where its prediction is there and its label a known one; whether the prediction is."""
    found = connection.execute("select 1 from predictions where id = ?", (said.prediction,)).fetchone() is not None
    if found and said.known:
        connection.execute(FEEDBACK, (said.prediction, said.label, said.source, said.at, said.chance))
    return found


def main(log: Place, source: int = 0, sink: int = 1) -> None:
    """Write what comes, until the end of the input."""
    writer, buffer, rows = Writer(log), bytearray(), list[Row]()
    last = failed = 0
    failing: float | None = None  # since when
    swept, ended = float("-inf"), False
    while not ended or rows:
        ended = ended or not arrived(source, buffer, AGAIN if failing is not None else None)
        messages = [MESSAGE.decode(frame) for frame in frames(buffer)]
        said = {each.number: each.body for each in messages if isinstance(each.body, Said)}
        for message in messages:
            last = message.number
            if isinstance(message.body, Policy):
                writer.policy, swept = message.body, float("-inf")
            elif isinstance(message.body, Answers):
                rows += writer.rows(message.body)
        found = writer.write(rows, said) if rows or said else {}
        if found is None:
            failing, failed = failing if failing is not None else time.monotonic(), failed + 1
            found = dict.fromkeys(said)
            if not ended and time.monotonic() - failing < PATIENCE:
                tell(sink, Report(-1, 0, 0, failed, found))
                continue
            tell(sink, Report(last, 0, len(rows), failed, found))
        elif messages or rows:
            tell(sink, Report(last, len(rows), 0, failed, found))
        failing = None
        rows.clear()
        if time.monotonic() - swept > SWEEP:
            swept = time.monotonic()
            writer.forget()
    writer.close()


def arrived(source: int, buffer: bytearray, patience: float | None) -> bool:
    """Wait for input, as long as that takes or so many seconds, and take what is there; False at its end."""
    while len(buffer) < MOST and select.select([source], [], [], patience)[0]:
        some = os.read(source, AT_ONCE)
        if not some:
            return False
        buffer += some
        patience = 0
    return True


def tell(sink: int, report: Report) -> None:
    """Send a report; where the service is gone nobody needs it."""
    with suppress(BrokenPipeError):
        os.write(sink, framed(pack(report)))


if __name__ == "__main__":
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, signal.SIG_IGN)  # the end of the input is the sign to end, and comes after the last answer
    os.nice(10)  # what it writes can wait for a few milliseconds; who asks the service should not
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    main(database.place(places()))
