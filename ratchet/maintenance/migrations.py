"""The SQLite files of a project, and whether the installed tools can open them as they are.

MLflow and Prefect number their schemas by Alembic revisions, whose files lie in their packages; they are read here
without importing either. A database of an older revision is upgraded after a copy was kept in state/backups/; one of
a newer revision is refused, for nothing here can go back.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ratchet.monitoring.log import database as predictions
from ratchet.project import durable
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places, prefect_database
from ratchet.state.sqlite_file import patient

REVISION = re.compile(r"^(down_)?revision\b[^=\n]*= *[\"'](\w+)[\"']", re.MULTILINE)
WHOLE = 2**30
"""Bytes; up to this size every page of a database is looked at before a run (about a second), above it the first."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Database:
    """name: whose it is. migrations: folder of Alembic revisions within a package. upgrade: words after `python`."""

    name: str
    path: Path
    package: str
    migrations: str
    upgrade: tuple[str, ...]


def known(here: Places, runs: bool) -> list[Database]:
    """The databases of this project that Alembic numbers, but for those that are servers' own.

    Args:
        runs: whether Prefect's is asked for.
    """
    found = []
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if uri.startswith("sqlite:///"):
        path, upgrade = Path(uri.removeprefix("sqlite:///")), ("-m", "mlflow", "db", "upgrade", uri)
        found.append(Database("mlflow", path, "mlflow", "store/db_migrations/versions", upgrade))
    if runs and not (os.environ.get("PREFECT_API_URL") or prefect_database()[1]):
        folder = "server/database/_migrations/versions/sqlite"
        words = ("-m", "prefect", "server", "database", "upgrade", "-y")
        found.append(Database("prefect", here.state / "prefect" / "prefect.db", "prefect", folder, words))
    return found


def make_ready(here: Places, say: Say, runs: bool, thorough: bool) -> None:
    """Every database that is there opens with what is installed; older ones are upgraded, with a copy kept.

    Args:
        runs: whether Prefect's is needed, too.
        thorough: look at every page, not at the first alone.

    Raises:
        Refusal: one is damaged, or newer than what is installed, or its upgrade fails.
    """
    for database in known(here, runs):
        if database.path.exists() and database.path.stat().st_size:
            revision = inspect(database, thorough)
            if revision is not None and revision != newest(database):
                upgrade(here, database, say)
    if here.predictions.exists() and user_version(here.predictions) != predictions.VERSION:
        upgrade_predictions(here, say)


def inspect(database: Database, thorough: bool) -> str | None:
    """The revision of a database; None where it has none yet.

    Raises:
        Refusal: it is damaged, or of a revision that the installed package does not know.
    """
    path = database.path
    try:
        with patient(path), closing(opened(path)) as connection:
            if thorough and path.stat().st_size <= WHOLE:
                found = connection.execute("pragma quick_check(1)").fetchone()[0]
                if found != "ok":
                    raise sqlite3.DatabaseError(found)
            tables = {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}
            if "alembic_version" not in tables:
                return None
            row = connection.execute("select version_num from alembic_version").fetchone()
    except sqlite3.DatabaseError as error:
        refuse_damaged(path, error)
        raise
    if row and row[0] not in revisions(database):
        raise Refusal(
            f"{path.name} must be of a version that the installed {database.package} knows.",
            f"revision {row[0]}, which a newer {database.package} made",
            "Take the version of this project that made it, or an older backup: make restore FROM=file",
        )
    return row[0] if row else None


def refuse_damaged(path: Path, error: sqlite3.DatabaseError) -> None:
    """Raise where an error of SQLite says that a file is no whole database; another (no room, no right) is the disk's.

    Raises:
        Refusal: it says so.
    """
    if not isinstance(error, sqlite3.OperationalError):
        raise Refusal(
            "A database must be a whole SQLite file.",
            f"{path}: {' '.join(str(error).split())[:200]}",
            "Bring it back: make restore FROM=file; or move it away, to begin without what it held.",
        ) from None


def revisions(database: Database) -> set[str]:
    """The revisions that the installed package knows."""
    return {revision for revision, _ in lineage(database)}


def newest(database: Database) -> str:
    """The one revision that no other follows."""
    known = lineage(database)
    (head,) = {revision for revision, _ in known} - {before for _, before in known}
    return head


def lineage(database: Database) -> list[tuple[str, str]]:
    """Each revision with the one before it (empty for the first), as the package's files state them."""
    spec = importlib.util.find_spec(database.package)
    assert spec is not None
    assert spec.origin is not None
    found = []
    for file in (Path(spec.origin).parent / database.migrations).glob("*.py"):
        stated = {bool(down): word for down, word in REVISION.findall(file.read_text(encoding="utf-8"))}
        if False in stated:
            found.append((stated[False], stated.get(True, "")))
    return found


def upgrade(here: Places, database: Database, say: Say) -> None:
    """Copy, then upgrade; where that fails, the database is as it was.

    Raises:
        Refusal: it fails.
    """
    with open(here.state / "upgrade.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        revision = inspect(database, thorough=False)
        if revision == newest(database):
            return  # somebody else just did it
        copy = keep_copy(here, database.path, str(revision))
        say(f"{database.name}'s database is of an older version ({revision}); upgrading it. A copy is kept: {copy}")
        env = os.environ | {"PREFECT_HOME": str(database.path.parent)} if database.name == "prefect" else os.environ
        done = subprocess.run([sys.executable, *database.upgrade], env=env, capture_output=True, text=True)
        if done.returncode != 0 or inspect(database, thorough=False) != newest(database):
            put_back(copy, database.path)
            said = (done.stderr or done.stdout).strip().splitlines()
            raise Refusal(
                f"{database.path.name} must upgrade to what {database.package} needs.",
                said[-1][:200] if said else "no words",
                f"It is as it was. Take the version of this project that made it; a copy is in {copy}",
            )


def upgrade_predictions(here: Places, say: Say) -> None:
    """The same for our own log of predictions, whose version SQLite's `user_version` holds.

    Raises:
        Refusal: it is damaged, or newer than this code.
    """
    path, version = here.predictions, user_version(here.predictions)
    if version > predictions.VERSION:
        raise Refusal(
            f"{path.name} must be of version {predictions.VERSION} or older.",
            f"version {version}",
            "Take the version of this project that made it, or an older backup: make restore FROM=file",
        )
    with open(here.state / "upgrade.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if user_version(path) == predictions.VERSION:
            return
        copy = keep_copy(here, path, str(version))
        say(f"The log of predictions is of an older version ({version}); upgrading it. A copy is kept: {copy}")
        predictions.upgrade(path)


def opened(path: Path) -> sqlite3.Connection:
    """A connection to a database that is there, to read from.

    Open for writing where the system allows it: what a kill left half written is taken back by whoever opens the file
    next, and one that may only read says "attempt to write a readonly database".
    """
    return sqlite3.connect(f"file:{quoted(path)}?mode=rw", uri=True, timeout=30)


def user_version(path: Path) -> int:
    try:
        with patient(path), closing(opened(path)) as connection:
            if predictions.is_empty(connection):
                return predictions.VERSION
            return int(connection.execute("pragma user_version").fetchone()[0])
    except sqlite3.DatabaseError as error:
        refuse_damaged(path, error)
        raise


def keep_copy(here: Places, path: Path, revision: str) -> Path:
    """A copy of a database in state/backups/, named by its revision and the moment."""
    here.backups.mkdir(parents=True, exist_ok=True)
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    copy = here.backups / f"{path.stem}-{revision}-{moment}.db"
    snapshot(path, copy)
    durable.sync(copy)
    return copy


def snapshot(path: Path, copy: Path) -> None:
    """A consistent copy of a database that may be in use, by SQLite's own online backup."""
    with (
        closing(opened(path)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target, pages=4096, sleep=0.01)
        target.execute("pragma journal_mode = delete")


def put_back(copy: Path, path: Path) -> None:
    for suffix in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    fresh = path.with_name(path.name + ".back")
    snapshot(copy, fresh)
    durable.replace(fresh, path)


def quoted(path: Path) -> str:
    """A path as SQLite's URIs want it."""
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
