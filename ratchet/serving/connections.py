"""Connections that do not wait for ever: slow or endless requests are cut off, and so many are open at a time.

uvicorn bounds how long a connection may be idle between two requests. What it does not bound is bounded here: the time
from a request's first byte to the end of its answer, the size of its head, and how many connections there are.
"""

from __future__ import annotations

import asyncio
import re
import resource
from collections import deque
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ratchet.serving.answering import requests
from ratchet.serving.answering.requests import RequestError
from ratchet.serving.answering.service import Service

HEAD = 1 << 16
"""Bytes of a request's line and headers."""
ANSWERING = 30.0
"""Seconds that an answer may take, to make and to be fetched, beyond `deploy.limits.seconds` for the request."""
LOOK = 1.0
"""Seconds between two looks for those that take longer."""
SPARED = 64
"""Open files that the process needs for itself."""
MOST = 4096
UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*", re.IGNORECASE)
NOWHERE: Any = deque(maxlen=0)
"""Where headers go that come behind a body, which nothing here reads and which have no bound."""


class Connections:
    """The open connections of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.open: set[Connection] = set()
        self.most = min(MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARED)

    def __call__(self, *args: Any, **kwargs: Any) -> Connection:
        """What uvicorn calls for each connection."""
        return Connection(self, *args, **kwargs)

    async def watch(self) -> None:
        """Until cancelled: cut off what takes too long."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK)
            limits = self._service.settings.limits
            for connection in list(self.open):
                patience = limits.seconds + (0 if connection.receiving else ANSWERING)
                if connection.since is not None and loop.time() - connection.since > patience + LOOK:
                    connection.cut()


class Connection(HttpToolsProtocol):
    """One connection. since: when its request, or the connection itself, began; None between two requests."""

    def __init__(self, connections_: Connections, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._others = connections_
        self.since: float | None = None
        self.receiving = True
        self._head = 0
        self._answered: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.since = self.loop.time()
        if len(self._others.open) >= self._others.most:
            transport.abort()
            return
        self._others.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._others.open.discard(self)
        self._give_up()
        super().connection_lost(exc)

    def cut(self) -> None:
        """Close the connection at once; what answers its request stops."""
        self._give_up()
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Say of what is no HTTP that it is none, as everything else is said, and close."""
        cycle = self._answered
        begun = cycle is not None and cycle.response_started and not cycle.response_complete
        self._give_up()
        if not begun:
            told = requests.as_details(RequestError(400, "What was sent must be HTTP/1.1. It could not be read."))
            head = b"".join(b"%b: %b\r\n" % header for header in told.raw_headers)
            self.transport.write(
                b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n%b\r\n%b" % (head, bytes(told.body))
            )
        self.transport.close()

    def eof_received(self) -> None:
        self._give_up()
        super().eof_received()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answered = cycle  # not always `cycle`, which is the last that came: requests may follow at once
        super()._start_asgi_task(cycle, app)

    def _give_up(self) -> None:
        """Who still makes an answer need not send it: there is nobody to send it to."""
        if self._answered is not None:
            self._answered.disconnected = True

    def data_received(self, data: bytes) -> None:
        in_body = self.receiving and self._head < 0
        if b"pgrade" in data and not in_body:
            data = without_upgrade(data)
        if self.receiving and self._head >= 0:
            self._head += len(data)
        super().data_received(data)
        if self._head > HEAD:
            self.cut()

    def on_message_begin(self) -> None:
        self.since, self.receiving, self._head = self.loop.time(), True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = -1  # what follows is the body, which has its own bound
        super().on_headers_complete()
        self.headers = NOWHERE
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False  # the parser reads nothing after it

    def on_message_complete(self) -> None:
        self.receiving = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.since = None if not self.receiving else self.since  # an answer to a request that is still being sent
        super().on_response_complete()


def without_upgrade(data: bytes) -> bytes:
    """The head without its wish to speak another protocol.

    A server may leave it unheeded (RFC 9110, 7.8), and some clients send it with every first request (Java's does). The
    parser cannot: it would take the body for the other protocol's.
    """
    head, gap, rest = data.partition(b"\r\n\r\n")
    return UPGRADE.sub(b"", head) + gap + rest
