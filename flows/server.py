"""Prefect's server over SQLite, where a click that meets another's write waits for it instead of failing.

A transaction of Prefect's reads first and writes later. Where another has written in between, SQLite cannot let it
go on (SQLITE_BUSY_SNAPSHOT, https://www.sqlite.org/isolation.html) and the server answers 503 at once. Prefect's own
client asks again seconds later; its pages and `curl` do not, and every tenth 'Quick run' failed, two of three where
four people clicked at one moment. One that takes the lock when it begins waits for its turn instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from prefect.server.api import server
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.database.dependencies import MODELS_DEPENDENCIES
from prefect.server.utilities.database import get_dialect
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

if TYPE_CHECKING:
    from fastapi import FastAPI
    from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

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


def create_app() -> FastAPI:
    url = PREFECT_API_DATABASE_CONNECTION_URL.value()
    if get_dialect(url).name == "sqlite":
        MODELS_DEPENDENCIES["database_config"] = InTurn(url)
    return server.create_app()
