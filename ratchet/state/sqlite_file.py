"""A SQLite database's file: there whole or not at all; held by another program, waited for, and after a while named."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ratchet.project import durable
from ratchet.project.errors import Refusal

PATIENCE = 30.0  # seconds; the longest write of a turn here took under one


def make_whole(path: Path, lay_out: Callable[[Path], None]) -> None:
    """Lay out the tables beside the place and give them its name whole: a kill in between left half a database.

    Args:
        lay_out: makes the database at the path that it is given; not called where there is one at its place.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        lay_out(fresh)
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)  # of one that is gone: SQLite would play it back
        with suppress(FileExistsError, FileNotFoundError):
            path.hardlink_to(fresh)  # unlike a move, never in place of one that another command has just made
            durable.fsync(path.parent)
    for left in path.parent.glob(f"{path.name}.[0-9]*"):
        left.unlink(missing_ok=True)


def wait_until_free(path: Path, patience: float = PATIENCE) -> None:
    """Return when the database can be written to; at once where there is none yet.

    MLflow alone would wait 5 s at its start, then try again with growing pauses for a minute and a half.

    Raises:
        Refusal: another program still holds it after `patience` seconds.
    """
    if path.exists():
        with patient(path), closing(sqlite3.connect(path, timeout=patience)) as connection:
            connection.execute("begin immediate")
            connection.rollback()


@contextmanager
def patient(path: Path) -> Iterator[None]:
    """Raise what SQLite says of a lock inside the block as a refusal.

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
