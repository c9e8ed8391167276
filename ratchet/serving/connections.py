"""Connections that do not wait for ever: slow or endless requests are cut off, and so many are open at a time.

uvicorn bounds how long a connection may be idle between two requests. What it does not bound is bounded here: the time
from a request's first byte to the end of its answer, the size of its head, and how many connections there are.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ratchet.serving.service import Service

HEAD = 1 << 16
"""Bytes of a request's line and headers."""
ANSWERING = 30.0
"""Seconds that an answer may take, to make and to be fetched, beyond `deploy.limits.seconds` for the request."""
LOOK = 1.0
"""Seconds between two looks for those that take longer."""
SPARED = 64
"""Open files that the process needs for itself."""
MOST = 4096


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
                    connection.transport.abort()


class Connection(HttpToolsProtocol):
    """One connection. since: when its request, or the connection itself, began; None between two requests."""

    def __init__(self, connections_: Connections, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._others = connections_
        self.since: float | None = None
        self.receiving = True
        self._head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.since = self.loop.time()
        if len(self._others.open) >= self._others.most:
            transport.abort()
            return
        self._others.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._others.open.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.receiving and self._head >= 0:
            self._head += len(data)
        super().data_received(data)
        if self._head > HEAD:
            self.transport.abort()

    def on_message_begin(self) -> None:
        self.since, self.receiving, self._head = self.loop.time(), True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = -1  # what follows is the body, which has its own bound
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.receiving = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.since = None if not self.receiving else self.since  # an answer to a request that is still being sent
        super().on_response_complete()
