"""The single writer of the prediction log: a process beside the service, `python -m ratchet.monitoring.log.writer`.

A thread would compete with the service for the interpreter lock (measured: a third of the requests a second). Messages
arrive on standard input and reports leave on standard output, each prefixed with its length. All messages that have
arrived are written in one transaction; the rows are on the disk before the report leaves. At the end of its input,
which also follows a killed service, the writer writes what it has and ends.
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

from models.text.redact import redact
from ratchet.monitoring.log import database, predictions
from ratchet.monitoring.log.database import Place
from ratchet.monitoring.log.postgres_log import RemoteLog
from ratchet.monitoring.log.predictions import FEEDBACK, INSERT, Row, digest
from ratchet.project.paths import places

AGAIN = 1.0
"""Seconds until a failed write is tried again."""
PATIENCE = 60.0
"""Seconds after which rows that cannot be written are dropped: the disk is full, or the file is locked."""
SWEEP = 3600.0
"""Seconds between two deletions of expired rows."""
AT_ONCE = 1 << 20
"""Bytes read at a time."""
MOST = 64 * AT_ONCE
"""Bytes written in one transaction."""
LENGTH = 4
"""Bytes of a message's length prefix."""


class Answers(Struct, array_like=True, tag="answers"):
    """The answers to one request; the lists have one entry a text."""

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


class LabelMessage(Struct, array_like=True, tag="said"):
    """A label that a person gives for a prediction.

    Attributes:
        prediction: Id of the prediction.
        label: Label.
        source: `user`, `chosen` or `audit`.
        known: Whether the problem can have the label; otherwise it is not written.
        at: Seconds since 1970.
        chance: Probability with which the text was chosen to be labelled; None if it was not chosen.
    """

    prediction: str
    label: str
    source: str
    known: bool
    at: float
    chance: float | None = None


class Policy(Struct, array_like=True, tag="policy", frozen=True):
    """The retention policy (`deploy.log`).

    Attributes:
        texts: `whole`, `redacted` or `hash`.
        days: Days after which an answer is deleted.
        problem: Problem of the service.
        has_texts: Whether inputs are texts; others cannot be redacted, so `redacted` keeps none of them.
    """

    texts: str = "whole"
    days: int = 90
    problem: str = ""
    has_texts: bool = True

    def kept(self, text: str) -> str | None:
        """The input as the log keeps it; None if it keeps none."""
        if self.texts == "whole":
            return text
        return redact(text) if self.texts == "redacted" and self.has_texts else None


class Message(Struct, array_like=True):
    """A message to the writer. Its number rises; a repeated message keeps its number."""

    number: int
    body: Answers | LabelMessage | Policy


class Report(Struct, array_like=True):
    """The writer's report.

    Attributes:
        number: All messages up to this number are settled.
        written: Answers written.
        dropped: Answers given up.
        failed: Failed writes since the writer started.
        found: By message number of each `LabelMessage`, whether its prediction is logged; None if it was not written.
    """

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
    """Take the complete messages from the beginning of a buffer."""
    at = 0
    while len(buffer) - at >= LENGTH:
        end = at + LENGTH + int.from_bytes(buffer[at : at + LENGTH], "big")
        if len(buffer) < end:
            break
        yield bytes(buffer[at + LENGTH : end])
        at = end
    del buffer[:at]


class Writer:
    """A connection to the log. It is opened on demand, and again after an error or if the file was replaced."""

    def __init__(self, log: Place) -> None:
        self._log = log
        self._connection: Any = None
        self._inode = 0
        self.policy = Policy()

    def write(self, rows: list[Row], labels: dict[int, LabelMessage]) -> dict[int, bool | None] | None:
        """Insert answers, then labels of logged predictions, in one transaction.

        Args:
            rows: Answers.
            labels: Labels by message number.

        Returns:
            By message number, whether the prediction is logged; None if the transaction failed.
        """
        try:
            connection = self._opened()
            with connection:
                connection.executemany(INSERT, rows)
                return {number: write_label(connection, label) for number, label in labels.items()}
        except (sqlite3.Error, OSError) as error:
            print(f"{time.strftime('%F %T')}  The log of predictions was not written: {error}", file=sys.stderr)
            self.close()
            return None

    def forget(self) -> None:
        """Delete answers older than the policy's days; a failure is retried at the next sweep.

        Labelled answers stay until the loop has taken the label in or set it aside, so no acknowledged label is lost.
        A PostgreSQL database may be shared with other projects, so only this problem's answers are deleted there.
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
            (prediction, answers.at, answers.problem, answers.version, answers.role, answers.route, label, score,
             len(text), digest(text), self.policy.kept(text), answers.seconds)
            for prediction, text, label, score in zip(
                answers.ids, answers.texts, answers.labels, answers.scores, strict=True
            )
        ]  # fmt: skip

    def _opened(self) -> Any:
        if self._connection is None or self._is_replaced():
            self.close()
            self._connection = RemoteLog(self._log) if isinstance(self._log, str) else self._open_file(self._log)
        return self._connection

    def _is_replaced(self) -> bool:
        """Whether the path no longer names the opened file, as after a restore."""
        return isinstance(self._log, Path) and not (self._log.exists() and self._log.stat().st_ino == self._inode)

    def _open_file(self, path: Path) -> sqlite3.Connection:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=5)
        database.lay_out(connection)
        connection.execute("pragma synchronous = full")
        self._inode = path.stat().st_ino
        return connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def write_label(connection: Any, message: LabelMessage) -> bool:
    """Write a label if its prediction is logged and it is a known label; returns whether the prediction is logged."""
    row = connection.execute("select 1 from predictions where id = ?", (message.prediction,)).fetchone()
    if row is not None and message.known:
        connection.execute(FEEDBACK, (message.prediction, message.label, message.source, message.at, message.chance))
    return row is not None


def main(log: Place, source: int = 0, sink: int = 1) -> None:
    """Write all messages until the end of the input.

    Args:
        log: Location of the log.
        source: File descriptor of the messages.
        sink: File descriptor of the reports.
    """
    writer = Writer(log)
    buffer = bytearray()
    rows = list[Row]()
    last = failed = 0
    failing_since: float | None = None
    last_sweep = float("-inf")
    is_at_end = False
    while not is_at_end or rows:
        is_at_end = is_at_end or not receive(source, buffer, AGAIN if failing_since is not None else None)
        messages = [MESSAGE.decode(frame) for frame in frames(buffer)]
        labels = {message.number: message.body for message in messages if isinstance(message.body, LabelMessage)}
        for message in messages:
            last = message.number
            if isinstance(message.body, Policy):
                writer.policy = message.body
                last_sweep = float("-inf")
            elif isinstance(message.body, Answers):
                rows += writer.rows(message.body)
        found = writer.write(rows, labels) if rows or labels else {}
        if found is None:
            failing_since = failing_since if failing_since is not None else time.monotonic()
            failed += 1
            found = dict.fromkeys(labels)
            if not is_at_end and time.monotonic() - failing_since < PATIENCE:
                send(sink, Report(-1, 0, 0, failed, found))
                continue
            send(sink, Report(last, 0, len(rows), failed, found))
        elif messages or rows:
            send(sink, Report(last, len(rows), 0, failed, found))
        failing_since = None
        rows.clear()
        if time.monotonic() - last_sweep > SWEEP:
            last_sweep = time.monotonic()
            writer.forget()
    writer.close()


def receive(source: int, buffer: bytearray, patience: float | None) -> bool:
    """Wait for input and append all of it to the buffer.

    Args:
        patience: Seconds to wait; None waits for ever.

    Returns:
        False at the end of the input.
    """
    while len(buffer) < MOST and select.select([source], [], [], patience)[0]:
        chunk = os.read(source, AT_ONCE)
        if not chunk:
            return False
        buffer += chunk
        patience = 0
    return True


def send(sink: int, report: Report) -> None:
    """Send a report; a service that is gone needs none."""
    with suppress(BrokenPipeError):
        os.write(sink, framed(pack(report)))


if __name__ == "__main__":
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, signal.SIG_IGN)  # the writer ends at the end of its input, after the last answer
    os.nice(10)  # a write can wait for a few milliseconds, a request should not
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    main(database.place(places()))
