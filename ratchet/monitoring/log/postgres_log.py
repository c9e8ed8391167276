"""The prediction log in PostgreSQL, for services on several machines that share a log (RATCHET_PREDICTIONS).

RemoteLog offers the part of sqlite3's connection interface that this project uses. Errors of the database become
OSError.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ratchet.project.faults import without_password

TABLES = (
    """create table if not exists predictions (
    id text primary key, at double precision not null, problem text not null, version integer not null,
    role text not null, route text not null, label text not null, score double precision not null,
    characters integer not null, digest text not null, text text, seconds double precision)""",
    """create table if not exists feedback (
    prediction text not null, label text not null, source text not null, at double precision not null,
    chance double precision, taken double precision, primary key (prediction, label))""",
    "alter table feedback add column if not exists chance double precision",  # version 2 had none
    "alter table feedback add column if not exists taken double precision",  # version 3 had none
    "create index if not exists latest on predictions (problem, version, id)",
    "create index if not exists said on feedback (at)",
    "create index if not exists untaken on feedback (prediction) where taken is null",
)
"""Creates the tables, or upgrades older ones to VERSION; every statement is idempotent."""
VERSION = 4
MARK = "Ratchet, log of predictions, version "
"""Comment on the table `predictions`, followed by its version; version 2 and older had no comment."""
PATIENCE = 10
"""Seconds to wait for a connection."""


class RemoteLog:
    """A connection. As a context manager it is a transaction.

    Raises:
        OSError: The database cannot be reached, or rejects a statement.
    """

    def __init__(self, address: str) -> None:
        import psycopg2

        self._address = address
        with self._os_errors():
            plain = "postgresql://" + address.partition("://")[2]
            self._connection = psycopg2.connect(plain, connect_timeout=PATIENCE)
            with self._connection, self._connection.cursor() as cursor:
                cursor.execute("select obj_description(to_regclass('predictions'), 'pg_class')")
                version = version_of((cursor.fetchone() or (None,))[0])
                if version < VERSION:
                    cursor.execute("select pg_advisory_xact_lock(7243392)")  # two services may start at once
                    for statement in (*TABLES, f"comment on table predictions is '{MARK}{VERSION}'"):
                        cursor.execute(statement)
        if version > VERSION:
            self._connection.close()
            raise OSError(f"{without_password(address)}: its log is of version {version}, this code knows {VERSION}")

    def execute(self, statement: str, values: Sequence[object] = ()) -> Any:
        """Run one statement in SQLite's dialect; returns the cursor."""
        with self._os_errors():
            cursor = self._connection.cursor()
            cursor.execute(statement.replace("?", "%s"), [storable(value) for value in values])
            return cursor

    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run `insert into ... values (?, ...) ...` for all rows, a thousand a message."""
        from psycopg2.extras import execute_values

        before, _, after = statement.partition("(")
        with self._os_errors(), self._connection.cursor() as cursor:
            values = [tuple(map(storable, row)) for row in rows]
            if values:
                execute_values(cursor, f"{before}%s{after.partition(')')[2]}", values, page_size=1000)

    def __enter__(self) -> RemoteLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._os_errors():
            if kind is None:
                self._connection.commit()
            else:
                self._connection.rollback()

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _os_errors(self) -> Iterator[None]:
        import psycopg2

        try:
            yield
        except psycopg2.Error as error:
            message = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise OSError(f"{without_password(self._address)}: {message}") from error


def storable(value: object) -> object:
    """The value, with U+0000 replaced in texts, which PostgreSQL cannot store."""
    return value.replace("\x00", "\ufffd") if isinstance(value, str) else value


def version_of(comment: str | None) -> int:
    """The schema version in the comment on the table; 0 without a table or such a comment."""
    number = (comment or "").removeprefix(MARK)
    return int(number) if number.isdecimal() else 0
