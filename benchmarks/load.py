"""A load generator for the service: requests over kept connections, every text another; latencies and statuses out.

Runs as a process of its own, so that its work does not share an interpreter with what it measures:
`python -m benchmarks.load` takes a plan as JSON on standard input and prints what it found as JSON.

    closed loop   `rate` null: each of `connections` clients asks again as soon as it is answered
    open loop     requests are due at a steady `rate` a second, whoever is still waiting; a latency counts from when
                  its request was due, so that a stall of the server is not hidden (Tene, How NOT to Measure Latency)
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import uvloop


@dataclass(frozen=True)
class Plan:
    """What to ask. form: `texts` or `inputs`. batch: texts in a request. rate: a second, None for a closed loop."""

    port: int
    seconds: float
    connections: int
    path: str = "/predict"
    form: str = "texts"
    batch: int = 1
    rate: float | None = None
    patient: bool = False
    """Whether a client that is told to come back waits the second that it is told."""


@dataclass
class Found:
    """latencies: seconds of each answered request, in the order of the answers. lost: connections that broke."""

    latencies: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    seconds: float = 0.0


class Client(asyncio.Protocol):
    """One connection with at most one request on its way."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._got = b""
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._load.free(self)

    def ask(self, request: bytes, due: float) -> None:
        self._due = due
        self._transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._got += data
        head = self._got.find(b"\r\n\r\n")
        if head < 0:
            return
        size = int(self._got[:head].lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(self._got) < head + 4 + size:
            return
        status, self._got = self._got[9:12].decode(), b""
        self._load.answered(self, status, self._due)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost(self)


class Load:
    """The requests of a plan, and what came of them."""

    def __init__(self, plan: Plan, texts: list[str]) -> None:
        self.plan, self.found = plan, Found()
        self._requests = requests(plan, texts)
        self._idle: deque[Client] = deque()
        self._due: deque[float] = deque()
        self._ends = float("inf")

    async def run(self) -> Found:
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        self._ends = began + self.plan.seconds
        for _ in range(self.plan.connections):
            await loop.create_connection(lambda: Client(self), "127.0.0.1", self.plan.port)
        if self.plan.rate is not None:
            await self._keep_pace(self.plan.rate)
        await asyncio.sleep(max(0.0, self._ends - time.perf_counter()))
        self.found.seconds = time.perf_counter() - began
        await asyncio.sleep(1.0)  # for what is on its way
        return self.found

    async def _keep_pace(self, rate: float) -> None:
        """Every millisecond as many requests fall due as the rate says, and are sent by whoever is free.

        Waiting busily would be more even, and would take a whole core from what is measured.
        """
        began, sent = time.perf_counter(), 0
        while (now := time.perf_counter()) < self._ends:
            wanted = int((now - began) * rate)
            self._due.extend([now] * (wanted - sent))
            sent = wanted
            self._send()
            await asyncio.sleep(0.001)

    def _send(self) -> None:
        while self._due and self._idle:
            self._idle.popleft().ask(next(self._requests), self._due.popleft())

    def free(self, client: Client) -> None:
        """The client may ask."""
        now = time.perf_counter()
        if self.plan.rate is not None:
            self._idle.append(client)
            self._send()
        elif now < self._ends:
            client.ask(next(self._requests), now)

    def answered(self, client: Client, status: str, due: float) -> None:
        self.found.statuses[status] = self.found.statuses.get(status, 0) + 1
        if status == "200":
            self.found.latencies.append(time.perf_counter() - due)
        if status == "503" and self.plan.patient:
            asyncio.get_running_loop().call_later(1.0, self.free, client)
        else:
            self.free(client)

    def lost(self, client: Client) -> None:
        if time.perf_counter() < self._ends:
            self.found.lost += 1


def requests(plan: Plan, texts: list[str]) -> Iterator[bytes]:
    """Requests without end; a number makes every text another, so that no cache can answer."""
    number = 0
    while True:
        asked = []
        for _ in range(plan.batch):
            number += 1
            asked.append(f"{texts[number % len(texts)]} {number}")
        body = json.dumps({plan.form: asked}).encode()
        yield (
            b"POST %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            % (plan.path.encode(), plan.port, len(body))
        ) + body


def main() -> None:
    gc.disable()  # nothing here is cyclic, and a pause would be blamed on the server
    asked = json.load(sys.stdin)
    found = uvloop.run(Load(Plan(**asked["plan"]), asked["texts"]).run())
    json.dump(asdict(found), sys.stdout)


if __name__ == "__main__":
    main()
