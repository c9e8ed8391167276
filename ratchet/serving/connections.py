"""Connection limits: how long a request may take, how large its head may be, how many connections are open.

uvicorn bounds only how long a connection may be idle between two requests. This adds a bound on the time from a
request's first byte to the end of its answer, on the size of its head, and on the number of connections.

For that it overrides methods of a class that uvicorn does not document. Each has an attack that succeeds without it, in
tests/serving/test_connections.py. Tested with uvicorn from 0.53.0 to before 0.55.0.
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

MAX_HEAD = 1 << 16
"""Bytes of the request line and the headers."""
ANSWER_SECONDS = 30.0
"""Seconds to make and to fetch the answer, beyond `deploy.limits.seconds` for the request."""
WATCH_INTERVAL = 1.0
"""Seconds between two checks for connections that take too long."""
SPARE_FILES = 64
"""Open files that the process needs besides its connections."""
MAX_OPEN = 4096
UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*(?=\r\n)", re.IGNORECASE)
"""The header, whole: where only its beginning has come, the header before it would go on with the rest."""
DISCARD: Any = deque(maxlen=0)
"""Takes the trailers, the headers behind a body: nothing reads them, and their size has no bound."""


class Connections:
    """The open connections of one service; uvicorn calls it to make each one."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.open: set[Connection] = set()
        self.max_open = min(MAX_OPEN, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)

    def __call__(self, *args: Any, **kwargs: Any) -> Connection:
        return Connection(self, *args, **kwargs)

    async def watch(self) -> None:
        """Abort the connections that take too long, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            self.abort_late(loop.time())

    def abort_late(self, now: float) -> None:
        """Abort the connections that take too long at this loop time."""
        limits = self._service.settings.limits
        for connection in list(self.open):
            allowed = limits.seconds + (0 if connection.is_receiving else ANSWER_SECONDS)
            if connection.began is not None and now - connection.began > allowed + WATCH_INTERVAL:
                connection.abort()


class Connection(HttpToolsProtocol):
    """One connection.

    Attributes:
        began: loop time at which the connection opened, its current request began or the answer before was complete;
            None between two requests.
        is_receiving: whether the request is not complete yet.
    """

    def __init__(self, connections: Connections, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._all = connections
        self.began: float | None = None
        self.is_receiving = True
        self._head_bytes = 0  # -1 once the head is complete
        self._unanswered: deque[Any] = deque()  # uvicorn's cycles of the requests, the one being answered first

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.began = self.loop.time()
        if len(self._all.open) >= self._all.max_open:
            transport.abort()
            return
        self._all.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.open.discard(self)
        self._stop_sending()
        super().connection_lost(exc)

    def abort(self) -> None:
        """Close the connection at once, and stop its answer."""
        self._stop_sending()
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are not HTTP with problem details like any other error, and close."""
        is_sending = bool(self._unanswered) and self._unanswered[0].response_started
        self._stop_sending()
        if not is_sending:
            response = requests.problem_details(
                RequestError(400, "What was sent must be HTTP/1.1. It could not be read.")
            )
            head = b"".join(b"%b: %b\r\n" % header for header in response.raw_headers)
            self.transport.write(
                b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n%b\r\n%b" % (head, bytes(response.body))
            )
        self.transport.close()

    def _stop_sending(self) -> None:
        """Tell the handlers that the client has gone, so that they do not send the rest of their answers."""
        for cycle in self._unanswered:
            cycle.disconnected = True

    def data_received(self, data: bytes) -> None:
        in_body = self.is_receiving and self._head_bytes < 0
        if b"pgrade" in data and not in_body:
            data = without_upgrade(data)
        if self.began is None:
            self.began = self.loop.time()  # any byte stops uvicorn's clock of an idle connection, even an empty line
        if self.is_receiving and self._head_bytes >= 0:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD:
            self.abort()

    def on_message_begin(self) -> None:
        if not self._unanswered:
            self.began = self.loop.time()
        self.is_receiving = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_bytes = -1  # the body follows, which has its own limit
        super().on_headers_complete()
        self._unanswered.append(self.cycle)
        self.headers = DISCARD
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False  # the parser reads nothing after an upgrade

    def on_message_complete(self) -> None:
        self.is_receiving = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._unanswered.popleft()
        if self._unanswered:
            self.began = self.loop.time()
        elif not self.is_receiving and not self.transport.get_write_buffer_size():
            self.began = None  # an answer may be complete before its request is, and before the client fetches it
        super().on_response_complete()


def without_upgrade(data: bytes) -> bytes:
    """Remove the header Upgrade from a request head.

    A server may ignore the header (RFC 9110, 7.8), and some clients send it with every first request (Java's does). The
    parser cannot ignore it: it would take the body for the other protocol's.
    """
    head, gap, rest = data.partition(b"\r\n\r\n")
    return UPGRADE.sub(b"", head + gap[:2]) + gap[2:] + rest
