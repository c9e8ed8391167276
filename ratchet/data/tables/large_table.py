"""A table that may be larger than memory: looked through once from end to end, then read batch by batch.

The first pass finds what only the whole table can tell (its rows, the keys of JSON records) and refuses what is
damaged before anything is done with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ratchet.data.tables import reading
from ratchet.project.errors import Refusal
from ratchet.project.progress import Progress, Say


@dataclass(frozen=True)
class LargeTable:
    """A table that was looked through. prints: of its files, as `print_of` gives them. rows: how many there are."""

    source: Path
    files: tuple[Path, ...]
    prints: tuple[str, ...]
    columns: tuple[str, ...]
    rows: int

    def batches(self, least: int, most_bytes: int) -> Iterator[pl.DataFrame]:
        """All rows in order as texts, the same batches each time: of `least` rows and up to 16,383 more, or of fewer
        where those take `most_bytes`; the last may be small.

        Raises:
            Refusal: the files are not what they were.
        """
        waiting: list[pl.DataFrame] = []
        rows = size = 0
        for path in self.files:
            for part in reading.read_one(path):
                waiting.append(self._filled(part.frame))
                rows, size = rows + part.frame.height, size + int(part.frame.estimated_size())
                if rows >= least or size >= most_bytes:
                    yield pl.concat(waiting)
                    waiting, rows, size = [], 0, 0
        if rows:
            yield pl.concat(waiting)
        self.refuse_changes()

    def refuse_changes(self) -> None:
        """Raise where a file has been written to since the table was looked through.

        Raises:
            Refusal: one has.
        """
        for path, known in zip(self.files, self.prints, strict=True):
            if print_of(path) != known:
                raise Refusal(
                    "A table stays as it is while it is read.", f"{path}, which has changed", "Give the command again."
                )

    def _filled(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The table's columns in its order; a key that no record of the batch has is missing in all of them."""
        missing = pl.lit(None, pl.String)
        return frame.select(pl.col(name) if name in frame.columns else missing.alias(name) for name in self.columns)


def look_through(source: Path, say: Say) -> LargeTable:
    """Read a table once, or all that a glob names. say: told how far a long reading is.

    Raises:
        Refusal: as for `reading.read_any`.
    """
    try:
        files = reading.found(source)
        prints = tuple(map(print_of, files))
        progress = Progress(say, f"Looking through {source.name}", sum(path.stat().st_size for path in files), "bytes")
        found = [_look(path, progress) for path in files]
    except OSError as error:
        raise reading.unreadable(source, error) from None
    reading.refuse_other_columns(files, [columns for columns, _ in found])
    return LargeTable(source, tuple(files), prints, tuple(found[0][0]), sum(rows for _, rows in found))


def _look(path: Path, progress: Progress) -> tuple[list[str], int]:
    """Columns and rows of one file.

    Raises:
        Refusal: a line of it is no row.
    """
    columns: dict[str, None] = {}
    rows = 0
    for part in reading.read_one(path, progress):
        if part.broken:
            raise part.broken[0].refusal
        columns |= dict.fromkeys(part.frame.columns)
        rows += part.frame.height
    return list(columns), rows


def print_of(path: Path) -> str:
    """What tells a file from others, and from what it was before."""
    return f"{path.resolve()} {stamp_of(path)}"


def stamp_of(path: Path) -> str:
    """Size and time of the last change, which a file keeps when it is given another name."""
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"
