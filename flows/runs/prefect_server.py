"""Prefect's server, for its own pages and for programs; over SQLite, where a click waits for another's write.

Whoever reaches its API runs code, and any page that is open in a browser on this machine reaches it. So it answers to
names of this machine alone (a name of another site's may lead here as well), and to no page of another origin, by HTTP
and by WebSocket; Prefect itself checks neither name nor WebSockets. Its own protection against forged forms is on
beside it (ratchet/project/paths.py), and where the UIs are open to others, its password (ratchet/servers/access.py).

A transaction of Prefect's reads first and writes later. Where another has written in between, SQLite cannot let it
go on (SQLITE_BUSY_SNAPSHOT, https://www.sqlite.org/isolation.html) and the server answers 503 at once. Prefect's own
client asks again seconds later; its pages and `curl` do not, and every tenth 'Quick run' failed, two of three where
four people clicked at one moment. One that takes the lock when it begins waits for its turn instead.
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
"""Seconds to wait for a turn: as long as Prefect has SQLite wait for a lock."""

_turn = asyncio.Lock()
"""Who writes next, in order; waiting for SQLite's own lock would be sleeping and asking again."""


class InTurn(AioSqliteConfiguration):
    """Prefect's way with SQLite, but for transactions: each has the write lock from its first statement on."""

    @asynccontextmanager
    async def begin_transaction(
        self, session: AsyncSession, with_for_update: bool = False
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        async with asyncio.timeout(PATIENCE):
            await _turn.acquire()
        try:
            async with super().begin_transaction(session, with_for_update=True) as transaction:
                yield transaction
        finally:
            _turn.release()


class OwnPages:
    """Refuses pages of other origins. A browser names a page's origin with whatever may change something and with every
    WebSocket; programs name none. A page is its own where its origin has the name and port that it asks.
    """

    def __init__(self, app: ASGIApp, others: Collection[str]) -> None:
        self._app, self._others = app, others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if not (
                origin is None
                or "*" in self._others
                or origin in self._others
                or is_own(origin, headers.get("host", ""))
            ):
                await PlainTextResponse("Pages of other sites may not ask.", status_code=403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_own(origin: str, host: str) -> bool:
    try:
        return urlsplit(origin).netloc == host
    except ValueError:
        return False


def guarded(app: ASGIApp, ui_host: str, others: Collection[str]) -> ASGIApp:
    """The application for its own pages, those of other origins that are named, and programs; under names of this
    machine while it listens there alone, and under any once others reach it and must have a password.
    """
    hosts = sorted(LOOPBACK) if ui_host in LOOPBACK else ["*"]
    return TrustedHostMiddleware(OwnPages(app, others), allowed_hosts=hosts, www_redirect=False)


def create_app() -> ASGIApp:
    """The server, as uvicorn runs it; wrapped from without, for Prefect asks the one within under a name of its own."""
    url = PREFECT_API_DATABASE_CONNECTION_URL.value()
    if get_dialect(url).name == "sqlite":
        MODELS_DEPENDENCIES["database_config"] = InTurn(url)
    return guarded(server.create_app(), places().ui_host, PREFECT_SERVER_CORS_ALLOWED_ORIGINS.value().split(","))
