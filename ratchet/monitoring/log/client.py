"""The service's end of the prediction log: hands answers to the writer (writer.py), never in the way of a request.

Answers wait a quarter of a second to be sent together, and are kept until the writer reports them on the disk;
where it dies it is started anew and gets them again. So many may wait; the rest is dropped and counted. Feedback is
acknowledged when it is on the disk.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from ratchet.monitoring.log.writer import REPORT, Answers, Message, Policy, Said, framed, frames, pack
from ratchet.project.paths import ROOT

GATHER = 0.25
"""Seconds that answers are gathered before they are sent together: what is written more often costs others more."""
MOST_BYTES = 128_000_000
"""Of answers that are not on the disk yet."""
PATIENCE = 15.0
"""Seconds until feedback that is not on the disk is said not to have been taken."""
CLOSING = 3.0
"""Seconds that the writer may take for what is left once the service ends."""


class Unwritable(Exception):
    """The log cannot be written now; the feedback was not taken."""


@dataclass
class Tally:
    """What became of the answers, for the metrics."""

    written: int = 0
    dropped: int = 0
    failed: int = 0


@dataclass
class Log:
    """The queue to the writer. Used by one event loop alone."""

    policy: Policy
    said: Callable[[str], None] = print
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._number = self.waiting = 0
        self._unsettled: dict[int, bytes] = {}  # by number, in order: what is to be sent again where the writer dies
        self._unsent: list[bytes] = []
        self._asked: dict[int, asyncio.Future[bool]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> None:
        """Start the writer, and keep one."""
        await self._spawn()
        self._keeping = asyncio.create_task(self._keep())

    def keep(self, policy: Policy) -> None:
        """What is kept of texts from now on."""
        self.policy = policy
        self._send(policy)

    def put(self, answers: Answers) -> None:
        """Hand over what was answered."""
        if self.waiting > MOST_BYTES:
            self.tally.dropped += len(answers.ids)
            return
        self._send(answers)

    async def say(
        self, prediction: str, label: str, source: str, known: bool, at: float, chance: float | None = None
    ) -> bool:
        """Whether there is a prediction of that id; if so, and where it is a known label, it is on the disk.

        Raises:
            Unwritable: it could not be written.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        number = self._send(Said(prediction, label, source, known, at, chance))
        self._asked[number] = future
        self._flush()
        try:
            async with asyncio.timeout(PATIENCE):
                return await future
        except TimeoutError:
            raise Unwritable from None
        finally:
            self._asked.pop(number, None)

    async def close(self) -> None:
        """Have the writer write what is left, and end it."""
        self._closing = True
        self._flush()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        if self._keeping is not None:
            await asyncio.wait([self._keeping], timeout=CLOSING)
            self._keeping.cancel()

    def _send(self, body: Answers | Said | Policy) -> int:
        self._number += 1
        frame = framed(pack(Message(self._number, body)))
        self._unsettled[self._number] = frame
        self.waiting += len(frame)
        if not self._unsent:
            with suppress(RuntimeError):  # before the event loop runs there is nobody to send to either
                asyncio.get_running_loop().call_later(GATHER, self._flush)
        self._unsent.append(frame)
        return self._number

    def _flush(self) -> None:
        if self._unsent and self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(b"".join(self._unsent))
            self._unsent.clear()

    async def _spawn(self) -> None:
        """A new writer, which gets all that is not settled; before anything else it must know what it may keep."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ratchet.monitoring.log.writer",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        self._unsent = [framed(pack(Message(0, self.policy))), *self._unsettled.values()]
        self._flush()

    async def _keep(self) -> None:
        """Hear the writer's reports; where it ends too early, start another."""
        while True:
            await self._hear()
            if self._closing:
                return
            self.said("The writer of the prediction log ended; another one is started, and gets what was not written.")
            await asyncio.sleep(0.5)
            try:
                await self._spawn()
            except OSError as error:
                self.said(f"It could not be started: {error}.")

    async def _hear(self) -> None:
        """Take in reports until the writer ends."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        buffer = bytearray()
        while some := await process.stdout.read(1 << 16):
            buffer += some
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
            future = self._asked.get(number)
            if future is None or future.done():
                continue
            if found is None:
                future.set_exception(Unwritable())
            else:
                future.set_result(found)
