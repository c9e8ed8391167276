"""Removes old runs from this project's own Prefect database, by Prefect's own vacuum; from no shared server's."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ratchet.project.paths import Places, prefect_database

LEAST = timedelta(hours=1, seconds=1)
"""Prefect's vacuum takes nothing that ended later than this ago."""


def database(here: Places) -> Path | None:
    """The file that holds the runs; None where a server of somebody else has them, or there are none yet."""
    path = here.state / "prefect" / "prefect.db"
    elsewhere = os.environ.get("PREFECT_API_URL") or prefect_database()[1]
    return None if elsewhere or not path.exists() else path


def count(here: Places, cutoff: float) -> tuple[int, int] | None:
    """How many runs ended before the cutoff, and how many others there are; None where this is not ours to say."""
    path = database(here)
    if path is None:
        return None
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        total = connection.execute("select count(*) from flow_run").fetchone()[0]
        old = connection.execute(
            "select count(*) from flow_run where end_time is not null and end_time < ?", (moment(cutoff),)
        ).fetchone()[0]
    return old, total - old


def moment(cutoff: float) -> str:
    """As Prefect writes times into SQLite; an hour ago at the latest."""
    latest = datetime.now(UTC) - LEAST
    return min(datetime.fromtimestamp(cutoff, UTC), latest).strftime("%Y-%m-%d %H:%M:%S.%f")


def remove(here: Places, cutoff: float) -> None:
    """Remove the runs that `count` counts, with their tasks, logs, artifacts and events, and give the room back."""
    path = database(here)
    if path is None:
        return
    age = max(datetime.now(UTC) - datetime.fromtimestamp(cutoff, UTC), LEAST)
    seconds = int(age.total_seconds())
    os.environ["PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"] = str(seconds)
    os.environ["PREFECT_SERVER_EVENTS_RETENTION_PERIOD"] = f"PT{seconds}S"
    asyncio.run(sweep())
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        connection.execute("vacuum")


async def sweep() -> None:
    from prefect.server.database import provide_database_interface
    from prefect.server.services import db_vacuum

    db = provide_database_interface()
    await db_vacuum.vacuum_old_flow_runs(db=db)
    await db_vacuum.vacuum_orphaned_logs(db=db)
    await db_vacuum.vacuum_orphaned_artifacts(db=db)
    await db_vacuum.vacuum_stale_artifact_collections(db=db)
    await db_vacuum.vacuum_old_events(db=db)
    engine = await db.engine()
    await engine.dispose()
