"""Where the log of predictions is: state/predictions.db, SQLite in WAL mode, or PostgreSQL; its tables, and their
upgrades."""

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
"""A file of SQLite, or the address of a PostgreSQL database."""
VERSION = 4
"""Of the tables, kept in `user_version`; UPGRADES[n] leads from version n to the next."""
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
    (),  # version 0 is the same table, from before versions were kept
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
    """Where the log is: a file of the state, or the database that RATCHET_PREDICTIONS names."""
    return os.environ.get(LOG_VARIABLE) or here.predictions


def is_there(log: Place) -> bool:
    """Whether anything can have been logged."""
    return isinstance(log, str) or log.exists()


@contextmanager
def connected(log: Place) -> Iterator[Any]:
    """A connection that waits for a writer, and commits where the block ends well.

    Raises:
        Refusal: another program holds the file all the while, or the database is not reached.
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
    with sqlite_file.patient(path), closing(sqlite3.connect(path, timeout=sqlite_file.PATIENCE)) as connection:
        lay_out(connection)
        with connection:
            yield connection


def lay_out(connection: sqlite3.Connection) -> None:
    """Make the tables where there are none."""
    connection.execute("pragma journal_mode = wal")
    if is_empty(connection):
        connection.execute("begin immediate")
        for statement in (*TABLES, f"pragma user_version = {VERSION}"):
            connection.execute(statement)
        connection.commit()


def is_empty(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("select count(*) from sqlite_master").fetchone()[0] == 0)


def upgrade(path: Path) -> None:
    """Bring tables of an older version to this one, all steps or none."""
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("begin exclusive")
        (version,) = connection.execute("pragma user_version").fetchone()
        for step in UPGRADES[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"pragma user_version = {VERSION}")
        connection.execute("commit")
