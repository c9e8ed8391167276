"""Location, connection, tables and schema upgrades of the prediction log.

The log is state/predictions.db (SQLite in WAL mode), or the PostgreSQL database that RATCHET_PREDICTIONS names.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ratchet.monitoring.log.postgres_log import RemoteLog
from ratchet.project.errors import Refusal
from ratchet.project.paths import LOG_VARIABLE, Places
from ratchet.state import sqlite_file

Place = Path | str
"""Path of an SQLite file, or address of a PostgreSQL database."""
VERSION = 4
"""Schema version, kept in `user_version`; UPGRADES[n] upgrades version n to n + 1."""
TABLES = (
    """create table if not exists predictions (
    id text primary key, at real not null, problem text not null, version integer not null, role text not null,
    route text not null, label text not null, score real not null, characters integer not null, digest text not null,
    text text, seconds real) without rowid""",
    """create table if not exists feedback (
    prediction text not null, label text not null, source text not null, at real not null, chance real, taken real,
    primary key (prediction, label)) without rowid""",
    "create index if not exists latest on predictions (problem, version, id)",
    "create index if not exists said on feedback (at)",
    "create index if not exists untaken on feedback (prediction) where taken is null",
)
UPGRADES: tuple[tuple[str, ...], ...] = (
    (),  # version 0 has the same tables as version 1, without a version number
    (
        "drop index if exists latest",
        "alter table predictions rename to before",
        *TABLES,
        """insert into predictions select printf('%032x', id), at, problem, version, 'champion', 'make predict', label,
        score, characters, '', null, null from before""",
        "drop table before",
    ),
    (
        "drop index if exists said",
        "alter table feedback rename to before",
        *TABLES,
        "insert into feedback (prediction, label, source, at) select prediction, label, source, at from before",
        "drop table before",
    ),
    (
        "drop index if exists said",
        "drop index if exists untaken",
        "alter table feedback rename to before",
        *TABLES,
        """insert into feedback (prediction, label, source, at, chance)
        select prediction, label, source, at, chance from before""",
        "drop table before",
    ),
)


def place(here: Places) -> Place:
    """Location of the log: the database that RATCHET_PREDICTIONS names, or a file of the state."""
    return os.environ.get(LOG_VARIABLE) or here.predictions


def is_there(log: Place) -> bool:
    """Whether the log can hold anything: False if its SQLite file does not exist."""
    return isinstance(log, str) or log.exists()


@contextmanager
def connected(log: Place) -> Iterator[Any]:
    """A connection that waits for another writer, and commits if the block raises nothing.

    Raises:
        Refusal: Another program keeps the file locked, or the database cannot be reached.
    """
    if isinstance(log, str):
        with remote(log) as connection:
            yield connection
    else:
        with local(log) as connection:
            yield connection


@contextmanager
def remote(address: str) -> Iterator[Any]:
    try:
        with closing(RemoteLog(address)) as connection, connection:
            yield connection
    except OSError as error:
        raise Refusal(
            f"The log of predictions must be reached where {LOG_VARIABLE} says.",
            str(error),
            f"Start that database, mend the address, or leave {LOG_VARIABLE} out: it is then a file of Ratchet's own.",
        ) from None


@contextmanager
def local(path: Path) -> Iterator[sqlite3.Connection]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite_file.refuse_locked(path), closing(sqlite3.connect(path, timeout=sqlite_file.PATIENCE)) as connection:
        lay_out(connection)
        with connection:
            yield connection


def lay_out(connection: sqlite3.Connection) -> None:
    """Create the tables in an empty database."""
    connection.execute("pragma journal_mode = wal")
    if is_empty(connection):
        connection.execute("begin immediate")
        for statement in (*TABLES, f"pragma user_version = {VERSION}"):
            connection.execute(statement)
        connection.commit()


def is_empty(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("select count(*) from sqlite_master").fetchone()[0] == 0)


def upgrade(path: Path) -> None:
    """Upgrade the tables from an older schema version in one transaction."""
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("begin exclusive")
        (version,) = connection.execute("pragma user_version").fetchone()
        for step in UPGRADES[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"pragma user_version = {VERSION}")
        connection.execute("commit")
