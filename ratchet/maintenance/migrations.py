"""Schema migrations: the SQLite files of the project enter and are opened, upgraded or refused.

MLflow and Prefect number their schemas by Alembic revisions. The revision files lie in their packages and are read here
without importing either. A database of an older revision is upgraded after a copy was kept in state/backups/. One of a
newer revision is refused, because nothing here can downgrade it.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ratchet.monitoring.log import database as predictions
from ratchet.project import durable
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places, prefect_database
from ratchet.project.progress import Say
from ratchet.state.sqlite_file import refuse_locked

REVISION = re.compile(r"^(down_)?revision\b[^=\n]*= *[\"'](\w+)[\"']", re.MULTILINE)
FULL_CHECK_BYTES = 2**30
"""Up to this size a run checks every page of a database first (about a second); above it only the first page."""


@dataclass(frozen=True)
class Database:
    """A SQLite file whose schema Alembic numbers.

    Attributes:
        name: of the tool.
        path: of the file.
        package: of the tool.
        migrations: folder of the Alembic revisions within the package.
        upgrade: arguments of `python` that upgrade the database.
    """

    name: str
    path: Path
    package: str
    migrations: str
    upgrade: tuple[str, ...]


def databases(here: Places, runs: bool) -> list[Database]:
    """The SQLite files of this project whose schema Alembic numbers; databases on servers are left out.

    Args:
        runs: include Prefect's.
    """
    files = []
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if uri.startswith("sqlite:///"):
        path = Path(uri.removeprefix("sqlite:///"))
        command: tuple[str, ...] = ("-m", "mlflow", "db", "upgrade", uri)
        files.append(Database("mlflow", path, "mlflow", "store/db_migrations/versions", command))
    if runs and not (os.environ.get("PREFECT_API_URL") or prefect_database()[1]):
        folder = "server/database/_migrations/versions/sqlite"
        command = ("-m", "prefect", "server", "database", "upgrade", "-y")
        files.append(Database("prefect", here.state / "prefect" / "prefect.db", "prefect", folder, command))
    return files


def make_ready(here: Places, say: Say, runs: bool, thorough: bool) -> None:
    """Make sure that the installed tools can open every existing database; older ones are upgraded, with a copy kept.

    Args:
        runs: include Prefect's.
        thorough: check every page, not only the first.

    Raises:
        Refusal: a database is damaged or newer than the installed tool, or its upgrade fails.
    """
    for database in databases(here, runs):
        if database.path.exists() and database.path.stat().st_size:
            revision = inspect(database, thorough)
            if revision is not None and revision != newest(database):
                upgrade(here, database, say)
    if here.predictions.exists() and user_version(here.predictions) != predictions.VERSION:
        upgrade_predictions(here, say)


def inspect(database: Database, thorough: bool) -> str | None:
    """The revision of a database; None if it has none yet.

    Raises:
        Refusal: the database is damaged, or its revision is unknown to the installed package.
    """
    path = database.path
    try:
        with refuse_locked(path), closing(opened(path)) as connection:
            if thorough and path.stat().st_size <= FULL_CHECK_BYTES:
                answer = connection.execute("pragma quick_check(1)").fetchone()[0]
                if answer != "ok":
                    raise sqlite3.DatabaseError(answer)
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
    """Raise if an error means a damaged database file; an OperationalError (disk full, no permission) does not.

    Raises:
        Refusal: it does.
    """
    if not isinstance(error, sqlite3.OperationalError):
        raise Refusal(
            "A database must be a whole SQLite file.",
            f"{path}: {' '.join(str(error).split())[:200]}",
            "Bring it back: make restore FROM=file; or move it away, to begin without what it held.",
        ) from None


def revisions(database: Database) -> set[str]:
    """All revisions of the installed package."""
    return {revision for revision, _ in lineage(database)}


def newest(database: Database) -> str:
    """The head: the revision that has no successor."""
    pairs = lineage(database)
    (head,) = {revision for revision, _ in pairs} - {before for _, before in pairs}
    return head


def lineage(database: Database) -> list[tuple[str, str]]:
    """Each revision with its predecessor (empty for the first), read from the files of the package."""
    spec = importlib.util.find_spec(database.package)
    assert spec is not None
    assert spec.origin is not None
    pairs = []
    for file in (Path(spec.origin).parent / database.migrations).glob("*.py"):
        revision_of = {bool(down): revision for down, revision in REVISION.findall(file.read_text(encoding="utf-8"))}
        if False in revision_of:
            pairs.append((revision_of[False], revision_of.get(True, "")))
    return pairs


def upgrade(here: Places, database: Database, say: Say) -> None:
    """Copy the database, then upgrade it; a failed upgrade is undone.

    Raises:
        Refusal: the upgrade failed.
    """
    with open(here.state / "upgrade.lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        revision = inspect(database, thorough=False)
        if revision == newest(database):
            return  # another command has just upgraded it
        copy = keep_copy(here, database.path, str(revision))
        say(f"{database.name}'s database is of an older version ({revision}); upgrading it. A copy is kept: {copy}")
        env = os.environ | {"PREFECT_HOME": str(database.path.parent)} if database.name == "prefect" else os.environ
        done = subprocess.run([sys.executable, *database.upgrade], env=env, capture_output=True, text=True)
        if done.returncode != 0 or inspect(database, thorough=False) != newest(database):
            put_back(copy, database.path)
            output = (done.stderr or done.stdout).strip().splitlines()
            raise Refusal(
                f"{database.path.name} must upgrade to what {database.package} needs.",
                output[-1][:200] if output else "no words",
                f"It is as it was. Take the version of this project that made it; a copy is in {copy}",
            )


def upgrade_predictions(here: Places, say: Say) -> None:
    """Copy and upgrade the log of predictions, whose version is SQLite's `user_version`.

    Raises:
        Refusal: the log is damaged, or newer than this code.
    """
    path = here.predictions
    version = user_version(path)
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
    """A connection to an existing database, for reading.

    It is opened for writing if possible: the first connection after a kill rolls back a half-written transaction, and a
    read-only one would fail with "attempt to write a readonly database".
    """
    return sqlite3.connect(f"file:{quoted(path)}?mode=rw", uri=True, timeout=30)


def user_version(path: Path) -> int:
    try:
        with refuse_locked(path), closing(opened(path)) as connection:
            if predictions.is_empty(connection):
                return predictions.VERSION
            return int(connection.execute("pragma user_version").fetchone()[0])
    except sqlite3.DatabaseError as error:
        refuse_damaged(path, error)
        raise


def keep_copy(here: Places, path: Path, revision: str) -> Path:
    """Copy a database into state/backups/, under its revision and the time; the path of the copy."""
    here.backups.mkdir(parents=True, exist_ok=True)
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    copy = here.backups / f"{path.stem}-{revision}-{moment}.db"
    snapshot(path, copy)
    durable.sync(copy)
    return copy


def snapshot(path: Path, copy: Path) -> None:
    """Copy a database consistently while it may be in use, by SQLite's online backup."""
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
    """A path, escaped for a SQLite URI."""
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
