"""SQLite files: atomic creation, and waiting for a lock that another program holds."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ratchet.project import durable
from ratchet.project.errors import Refusal

PATIENCE = 30.0  # seconds; the longest measured write of a turn took under one


def make_whole(path: Path, lay_out: Callable[[Path], None]) -> None:
    """Create a database beside its place and link it there when it is whole; else a kill could leave half a database.

    Args:
        path: the place; nothing happens if there is a database.
        lay_out: creates the database at the path that it gets.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        lay_out(fresh)
        path.with_name(f"{path.name}-journal").unlink(
            missing_ok=True
        )  # of a removed database: SQLite would roll it back
        with suppress(FileExistsError, FileNotFoundError):
            path.hardlink_to(
                fresh
            )  # unlike a rename, it never replaces a database that another command has just created
            durable.fsync(path.parent)
    for leftover in path.parent.glob(f"{path.name}.[0-9]*"):
        leftover.unlink(missing_ok=True)


def wait_until_free(path: Path, patience: float = PATIENCE) -> None:
    """Return when the database can be written to; at once if it does not exist.

    MLflow by itself waits 5 s at its start, then tries again with growing pauses for a minute and a half.

    Raises:
        Refusal: another program still holds it after `patience` seconds.
    """
    if path.exists():
        with refuse_locked(path), closing(sqlite3.connect(path, timeout=patience)) as connection:
            connection.execute("begin immediate")
            connection.rollback()


@contextmanager
def refuse_locked(path: Path) -> Iterator[None]:
    """Turn SQLite's error about a lock inside the block into a Refusal.

    Raises:
        Refusal: another program held the database for longer than the connection waits.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        raise Refusal(
            f"{path.name} must become free within half a minute.",
            f"another program holds it all the while ({path})",
            "See what runs (make status), or which program has that file open; then give the same command again.",
        ) from None
