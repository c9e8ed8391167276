"""A preview of a table: how it was read, its columns, and what its kind says of it, before anything is pinned."""

from __future__ import annotations

import polars as pl

from ratchet.data.tables.reading import Reading
from ratchet.project.printable import printable
from ratchet.tasks import Task
from ratchet.tasks.values import Data

COLUMNS = 10
"""Most columns left out that the preview names."""


def synopsis(reading: Reading, columns: Data, task: Task) -> list[str]:
    """The lines of the preview, most general first; `columns` are in the table."""
    frame = reading.frame
    first, more = printable(reading.files[0].name), len(reading.files) - 1
    files = f"{first} and {more:,} more files" if more > 1 else f"{first} and 1 more file" if more else first
    return [
        f"Read {files}: {frame.height:,} rows, {frame.width} columns; {'; '.join(reading.forms)}.",
        taken(frame, columns),
        *task.rows.preview(frame, columns),
    ]


def taken(frame: pl.DataFrame, columns: Data) -> str:
    """Which columns are taken, and which are left out."""
    named = columns.named()
    left = [printable(name) for name in frame.columns if name not in named.values()]
    kept = ", ".join(f"{key} from {printable(name)!r}" for key, name in named.items())
    shown = ", ".join(left[:COLUMNS]) + (f" and {len(left) - COLUMNS:,} more" if len(left) > COLUMNS else "")
    return f"Taken: {kept}." + (f" Left out: {shown}." if left else "")
