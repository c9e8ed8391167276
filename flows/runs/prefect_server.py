"""Prefect's server for its own pages and for programs, with SQLite transactions that wait for each other.

Whoever reaches its API runs code, and any page in a browser on this machine reaches it. So the server answers only to
host names of this machine (a name of another site may resolve here as well), and refuses pages of other origins, by
HTTP and by WebSocket; Prefect itself checks neither host names nor WebSockets. Prefect's own protection against forged
forms is on as well (ratchet/project/paths.py), and where the UIs are open to others, its password
(ratchet/servers/access.py).

A transaction of Prefect's reads first and writes later. Where another one has written in between, SQLite cannot
continue it (SQLITE_BUSY_SNAPSHOT, https://www.sqlite.org/isolation.html) and the server answers 503 at once. Prefect's
own client tries again seconds later; its pages and `curl` do not, and every tenth 'Quick run' failed, two of three
where four people clicked at one moment. A transaction that takes the lock when it begins waits instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prefect.server.api import server
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.database.dependencies import MODELS_DEPENDENCIES
from prefect.server.utilities.database import get_dialect
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, PREFECT_SERVER_CORS_ALLOWED_ORIGINS
from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse

from ratchet.project.paths import places
from ratchet.servers.access import LOOPBACK

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction
    from starlette.types import ASGIApp, Receive, Scope, Send

PATIENCE = 60
"""Seconds that a transaction waits: as long as Prefect has SQLite wait for a lock."""

_write_lock = asyncio.Lock()
"""Gives the transactions their order. SQLite's own lock would be polled, with pauses in between."""


class SerialTransactions(AioSqliteConfiguration):
    """Prefect's SQLite configuration, in which each transaction has the write lock from its first statement on."""

    @asynccontextmanager
    async def begin_transaction(
        self, session: AsyncSession, with_for_update: bool = False
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        async with asyncio.timeout(PATIENCE):
            await _write_lock.acquire()
        try:
            async with super().begin_transaction(session, with_for_update=True) as transaction:
                yield transaction
        finally:
            _write_lock.release()


class SameOrigin:
    """Refuses requests from pages of other origins.

    A browser sends a page's origin with every request that may change something and with every WebSocket; programs
    send none. A page has the same origin where the origin's name and port are those of the request.

    Args:
        app: The application behind.
        allowed: Other origins that are let in; `*` lets all in.
    """

    def __init__(self, app: ASGIApp, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if not (
                origin is None
                or "*" in self._allowed
                or origin in self._allowed
                or is_same(origin, headers.get("host", ""))
            ):
                await PlainTextResponse("Pages of other sites may not ask.", status_code=403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_same(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False


def guarded(app: ASGIApp, ui_host: str, origins: Collection[str]) -> ASGIApp:
    """Return the application restricted to its own pages, pages of the given origins, and programs.

    While it listens on this machine alone, it answers only to names of this machine. Once other machines reach it, and
    need a password, it answers to any name.
    """
    hosts = sorted(LOOPBACK) if ui_host in LOOPBACK else ["*"]
    return TrustedHostMiddleware(SameOrigin(app, origins), allowed_hosts=hosts, www_redirect=False)


def create_app() -> ASGIApp:
    """Return the server for uvicorn, wrapped outermost: Prefect calls the inner application under a name of its own."""
    url = PREFECT_API_DATABASE_CONNECTION_URL.value()
    if get_dialect(url).name == "sqlite":
        MODELS_DEPENDENCIES["database_config"] = SerialTransactions(url)
    return guarded(server.create_app(), places().ui_host, PREFECT_SERVER_CORS_ALLOWED_ORIGINS.value().split(","))
