"""A table that may be larger than memory: scanned once from end to end, then read batch by batch.

The scan counts the rows and collects the columns (the keys of JSON records), and refuses a damaged table before
anything is done with it.
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
    """A table that was scanned.

    Attributes:
        source: the file or glob that was named.
        files: the files, in order.
        prints: the files' fingerprints (`print_of`).
        columns: all columns of the table.
        rows: number of rows.
    """

    source: Path
    files: tuple[Path, ...]
    prints: tuple[str, ...]
    columns: tuple[str, ...]
    rows: int

    def batches(self, least: int, most_bytes: int) -> Iterator[pl.DataFrame]:
        """All rows in order as texts, in the same batches each time.

        Args:
            least: rows of a batch; it may have up to 16,383 more, and the last one fewer.
            most_bytes: a batch ends before `least` rows where they take so many bytes.

        Raises:
            Refusal: a file was changed since the scan.
        """
        waiting: list[pl.DataFrame] = []
        rows = size = 0
        for path in self.files:
            for part in reading.read_one(path):
                waiting.append(self._with_all_columns(part.frame))
                rows += part.frame.height
                size += int(part.frame.estimated_size())
                if rows >= least or size >= most_bytes:
                    yield pl.concat(waiting)
                    waiting, rows, size = [], 0, 0
        if rows:
            yield pl.concat(waiting)
        self.refuse_changes()

    def refuse_changes(self) -> None:
        """Raise where a file was changed since the scan.

        Raises:
            Refusal: a file was changed.
        """
        for path, fingerprint in zip(self.files, self.prints, strict=True):
            if print_of(path) != fingerprint:
                raise Refusal(
                    "A table stays as it is while it is read.", f"{path}, which has changed", "Give the command again."
                )

    def _with_all_columns(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The table's columns in its order; a column that the batch lacks is null."""
        missing = pl.lit(None, pl.String)
        return frame.select(pl.col(name) if name in frame.columns else missing.alias(name) for name in self.columns)


def scan_table(source: Path, say: Say) -> LargeTable:
    """Scan a table, or all files of a glob.

    Args:
        say: called with the progress of a long scan.

    Raises:
        Refusal: as for `reading.read_table`.
    """
    try:
        files = reading.find_files(source)
        prints = tuple(map(print_of, files))
        progress = Progress(say, f"Looking through {source.name}", sum(path.stat().st_size for path in files), "bytes")
        scans = [_scan(path, progress) for path in files]
    except OSError as error:
        raise reading.unreadable(source, error) from None
    reading.refuse_other_columns(files, [columns for columns, _ in scans])
    return LargeTable(source, tuple(files), prints, tuple(scans[0][0]), sum(rows for _, rows in scans))


def _scan(path: Path, progress: Progress) -> tuple[list[str], int]:
    """Columns and number of rows of one file.

    Raises:
        Refusal: the file has a broken line.
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
    """A fingerprint of a file: its path and its stamp."""
    return f"{path.resolve()} {stamp_of(path)}"


def stamp_of(path: Path) -> str:
    """Size and time of the last change of a file, which renaming does not alter."""
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"
