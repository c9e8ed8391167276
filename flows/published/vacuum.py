"""Removes old runs from this project's own Prefect database by Prefect's own vacuum; never from a shared server."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ratchet.project.paths import Places, prefect_database

MIN_AGE = timedelta(hours=1, seconds=1)
"""Prefect's vacuum removes no run that ended less than this ago."""


def database(here: Places) -> Path | None:
    """Return the database file of the runs; None where a shared server has them, or there are none yet."""
    path = here.state / "prefect" / "prefect.db"
    shared = os.environ.get("PREFECT_API_URL") or prefect_database()[1]
    return None if shared or not path.exists() else path


def count(here: Places, cutoff: float) -> tuple[int, int] | None:
    """Return how many runs ended before the cutoff (seconds since 1970), and how many other runs there are.

    None where the runs are not in this project's own database.
    """
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
    """Return the cutoff as Prefect writes times into SQLite; an hour ago at the latest."""
    latest = datetime.now(UTC) - MIN_AGE
    return min(datetime.fromtimestamp(cutoff, UTC), latest).strftime("%Y-%m-%d %H:%M:%S.%f")


def remove(here: Places, cutoff: float) -> None:
    """Remove the old runs that `count` counts, with their tasks, logs, artifacts and events, and shrink the file."""
    path = database(here)
    if path is None:
        return
    age = max(datetime.now(UTC) - datetime.fromtimestamp(cutoff, UTC), MIN_AGE)
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
