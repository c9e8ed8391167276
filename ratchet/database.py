"""A SQLite database that another program may hold: waited for, and after a while named as held."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ratchet.refusal import Refusal

PATIENCE = 30.0  # seconds; the longest write of a turn here took under one


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
