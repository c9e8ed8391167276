"""The service's client of the prediction log: it passes answers and labels to the writer process (writer.py).

Requests never wait for the log. Answers are gathered for a quarter of a second, sent together, and kept until the
writer reports them on the disk. If the writer dies, a new one is started and gets them again. Answers beyond MOST_BYTES
are dropped and counted. A label is acknowledged when it is on the disk.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from ratchet.monitoring.log.writer import REPORT, Answers, LabelMessage, Message, Policy, framed, frames, pack
from ratchet.project.paths import ROOT

GATHER = 0.25
"""Seconds for which answers are gathered: more frequent writes take more time from requests."""
MOST_BYTES = 128_000_000
"""Most bytes of answers that are not on the disk yet."""
PATIENCE = 15.0
"""Seconds to wait for a label to reach the disk before it is rejected."""
CLOSING = 3.0
"""Seconds that the writer gets to finish once the service ends."""


class Unwritable(Exception):
    """The log cannot be written now; the label was not taken."""


@dataclass
class Tally:
    """Counts of answers, for the metrics."""

    written: int = 0
    dropped: int = 0
    failed: int = 0


@dataclass
class Log:
    """The queue to the writer. Only one event loop may use it."""

    policy: Policy
    report_problem: Callable[[str], None] = print
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._number = self.waiting = 0
        self._unsettled: dict[int, bytes] = {}  # frames by number, in order, to send again if the writer dies
        self._unsent: list[bytes] = []
        self._acknowledgements: dict[int, asyncio.Future[bool]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> None:
        """Start the writer and its supervisor."""
        await self._spawn()
        self._supervisor = asyncio.create_task(self._supervise())

    def keep(self, policy: Policy) -> None:
        """Apply a retention policy from now on."""
        self.policy = policy
        self._send(policy)

    def put(self, answers: Answers) -> None:
        """Queue answers."""
        if self.waiting > MOST_BYTES:
            self.tally.dropped += len(answers.ids)
            return
        self._send(answers)

    async def say(
        self, prediction: str, label: str, source: str, known: bool, at: float, chance: float | None = None
    ) -> bool:
        """Write a label; the arguments are the attributes of `Said`.

        Returns:
            Whether the prediction is logged. If it is and the label is known, the label is on the disk.

        Raises:
            Unwritable: The label could not be written.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        number = self._send(LabelMessage(prediction, label, source, known, at, chance))
        self._acknowledgements[number] = future
        self._flush()
        try:
            async with asyncio.timeout(PATIENCE):
                return await future
        except TimeoutError:
            raise Unwritable from None
        finally:
            self._acknowledgements.pop(number, None)

    async def close(self) -> None:
        """Let the writer write what is left, and end it."""
        self._closing = True
        self._flush()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        if self._supervisor is not None:
            await asyncio.wait([self._supervisor], timeout=CLOSING)
            self._supervisor.cancel()

    def _send(self, body: Answers | LabelMessage | Policy) -> int:
        self._number += 1
        frame = framed(pack(Message(self._number, body)))
        self._unsettled[self._number] = frame
        self.waiting += len(frame)
        if not self._unsent:
            with suppress(RuntimeError):  # before the event loop runs there is no writer either
                asyncio.get_running_loop().call_later(GATHER, self._flush)
        self._unsent.append(frame)
        return self._number

    def _flush(self) -> None:
        if self._unsent and self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(b"".join(self._unsent))
            self._unsent.clear()

    async def _spawn(self) -> None:
        """Start a writer and send it the policy first, then all unsettled messages."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ratchet.monitoring.log.writer",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        self._unsent = [framed(pack(Message(0, self.policy))), *self._unsettled.values()]
        self._flush()

    async def _supervise(self) -> None:
        """Read the writer's reports, and start another writer if it ends too early."""
        while True:
            await self._read_reports()
            if self._closing:
                return
            self.report_problem(
                "The writer of the prediction log ended; another one is started, and gets what was not written."
            )
            await asyncio.sleep(0.5)
            try:
                await self._spawn()
            except OSError as error:
                self.report_problem(f"The writer of the prediction log could not be started: {error}.")

    async def _read_reports(self) -> None:
        """Process reports until the writer ends."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        buffer = bytearray()
        while chunk := await process.stdout.read(1 << 16):
            buffer += chunk
            for frame in frames(buffer):
                self._settle(frame)
        await process.wait()

    def _settle(self, frame: bytes) -> None:
        report = REPORT.decode(frame)
        self.tally.written += report.written
        self.tally.dropped += report.dropped
        self.tally.failed = report.failed
        settled = [number for number in self._unsettled if number <= report.number]
        for number in [*settled, *(number for number in report.found if number in self._unsettled)]:
            if number in self._unsettled:
                self.waiting -= len(self._unsettled.pop(number))
        for number, found in report.found.items():
            future = self._acknowledgements.get(number)
            if future is None or future.done():
                continue
            if found is None:
                future.set_exception(Unwritable())
            else:
                future.set_result(found)
