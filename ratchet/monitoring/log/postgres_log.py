"""The prediction log in PostgreSQL, where services of several machines write to one: RATCHET_PREDICTIONS names it.

Behind the same calls as a connection of sqlite3, as far as this project makes them; what it refuses is an OSError.
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
"""Made where they are not there, and brought to VERSION where they are older: each statement may be run again."""
VERSION = 4
MARK = "Ratchet, log of predictions, version "
"""The comment on the table `predictions` in front of its version; version 2 and older had no comment."""
PATIENCE = 10
"""Seconds until a server that says nothing is given up."""


class RemoteLog:
    """One connection. A block with it is a transaction.

    Raises:
        OSError: the database is not reached, or does not take what it is given.
    """

    def __init__(self, address: str) -> None:
        import psycopg2

        self._address = address
        with self._told():
            plain = "postgresql://" + address.partition("://")[2]
            self._connection = psycopg2.connect(plain, connect_timeout=PATIENCE)
            with self._connection, self._connection.cursor() as cursor:
                cursor.execute("select obj_description(to_regclass('predictions'), 'pg_class')")
                version = stated((cursor.fetchone() or (None,))[0])
                if version < VERSION:
                    cursor.execute("select pg_advisory_xact_lock(7243392)")  # two services that begin at once
                    for statement in (*TABLES, f"comment on table predictions is '{MARK}{VERSION}'"):
                        cursor.execute(statement)
        if version > VERSION:
            self._connection.close()
            raise OSError(f"{without_password(address)}: its log is of version {version}, this code knows {VERSION}")

    def execute(self, statement: str, values: Sequence[object] = ()) -> Any:
        """Run one statement in SQLite's words; its cursor."""
        with self._told():
            cursor = self._connection.cursor()
            cursor.execute(statement.replace("?", "%s"), [storable(value) for value in values])
            return cursor

    def executemany(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        """Run `insert into ... values (?, ...) ...` for all rows in few messages."""
        from psycopg2.extras import execute_values

        before, _, after = statement.partition("(")
        with self._told(), self._connection.cursor() as cursor:
            kept = [tuple(map(storable, row)) for row in rows]
            if kept:
                execute_values(cursor, f"{before}%s{after.partition(')')[2]}", kept, page_size=1000)

    def __enter__(self) -> RemoteLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._told():
            if kind is None:
                self._connection.commit()
            else:
                self._connection.rollback()

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        import psycopg2

        try:
            yield
        except psycopg2.Error as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise OSError(f"{without_password(self._address)}: {said}") from error


def storable(value: object) -> object:
    """The value; in a text the one character that PostgreSQL has no place for is replaced."""
    return value.replace("\x00", "\ufffd") if isinstance(value, str) else value


def stated(comment: str | None) -> int:
    """The version that the comment on the table says; 0 where there is no table, or no such comment."""
    number = (comment or "").removeprefix(MARK)
    return int(number) if number.isdecimal() else 0
