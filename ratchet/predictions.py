"""The log of what the champion answered: state/predictions.db, SQLite in WAL mode; lengths of texts, no texts."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ratchet import database

TABLE = """create table if not exists predictions (
    id integer primary key, at real not null, problem text not null, version integer not null,
    characters integer not null, label text not null, score real not null)"""
VERSION = 1
"""Of the table, kept in `user_version`; UPGRADES[n] leads from version n to the next."""
UPGRADES: tuple[tuple[str, ...], ...] = ((),)  # version 0 is the same table, from before versions were kept
INDEX = "create index if not exists latest on predictions (problem, version, id)"


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that waits for a writer, and commits where the block ends well.

    Raises:
        Refusal: another program holds the file all the while.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with database.patient(path), closing(sqlite3.connect(path, timeout=database.PATIENCE)) as connection:
        connection.execute("pragma journal_mode = wal")
        if is_empty(connection):
            connection.execute("begin immediate")
            for statement in (TABLE, INDEX, f"pragma user_version = {VERSION}"):
                connection.execute(statement)
            connection.commit()
        with connection:
            yield connection


def is_empty(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("select count(*) from sqlite_master").fetchone()[0] == 0)


def upgrade(path: Path) -> None:
    """Bring a table of an older version to this one, all steps or none."""
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("begin exclusive")
        (version,) = connection.execute("pragma user_version").fetchone()
        for step in UPGRADES[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"pragma user_version = {VERSION}")
        connection.execute("commit")


def record(path: Path, problem: str, version: int, answers: Iterable[tuple[int, str, float]]) -> None:
    """Add answers, each as (characters of the text, label, score of that label)."""
    now = time.time()
    with connected(path) as connection:
        connection.executemany(
            "insert into predictions (at, problem, version, characters, label, score) values (?, ?, ?, ?, ?, ?)",
            ((now, problem, version, *answer) for answer in answers),
        )


def recent(path: Path, problem: str, version: int, window: int) -> dict[str, list[object]]:
    """The last answers of one version, newest first, as columns characters, label and score."""
    if not path.exists():
        return {"characters": [], "label": [], "score": []}
    with connected(path) as connection:
        rows = connection.execute(
            "select characters, label, score from predictions "
            "where problem = ? and version = ? order by id desc limit ?",
            (problem, version, window),
        ).fetchall()
    return {name: [row[at] for row in rows] for at, name in enumerate(("characters", "label", "score"))}
