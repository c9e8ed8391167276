"""Rows stored on disk and read batch by batch: a frame that is never in memory as a whole.

Batches of a frame enter, a Parquet file in small row groups leaves; a `Column` of it is a sequence of texts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import polars as pl

from ratchet.project import durable

GROUP = 8_192
"""Rows of a row group, the least that is read at once."""

BATCH = 65_536
"""Rows of a batch; fewer where their texts are long."""

BATCH_BYTES = 16 << 20
"""Bytes with which a batch ends."""


@dataclass(frozen=True)
class StoredRows:
    """The rows in one Parquet file that `store` wrote."""

    path: Path

    def open(self) -> Any:
        """The open file, for one reader: two threads must not share it."""
        import pyarrow.parquet

        return pyarrow.parquet.ParquetFile(self.path)

    def is_whole(self) -> bool:
        """Whether the file exists and was written to its end."""
        import pyarrow

        try:
            return len(self) >= 0
        except (OSError, pyarrow.ArrowException):
            return False

    @cached_property
    def columns(self) -> list[str]:
        with self.open() as file:
            return list(file.schema_arrow.names)

    @cached_property
    def group_rows(self) -> list[int]:
        """Number of rows of each row group."""
        with self.open() as file:
            return [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)]

    def __len__(self) -> int:
        return sum(self.group_rows)

    def batches(self, *columns: str) -> Iterator[pl.DataFrame]:
        """All rows in order, with these columns or all; at least one batch, which may be empty."""
        waiting: list[int] = []
        rows = size = 0
        with self.open() as file:
            for group, group_rows in enumerate(self.group_rows):
                waiting.append(group)
                rows += group_rows
                size += file.metadata.row_group(group).total_byte_size
                if rows >= BATCH or size >= BATCH_BYTES:
                    yield _read(file, waiting, columns)
                    waiting = []
                    rows = size = 0
            if waiting or not self.group_rows:
                yield _read(file, waiting, columns)

    def read(self) -> pl.DataFrame:
        """The whole frame; for few rows only."""
        return pl.concat(self.batches(), rechunk=True)


def _read(file: Any, groups: list[int], columns: Sequence[str]) -> pl.DataFrame:
    """Some row groups as one frame, with these columns or all."""
    rows = file.read_row_groups(groups, list(columns) or None, use_threads=False)
    frame = cast(pl.DataFrame, pl.from_arrow(rows))
    return frame.select(columns) if columns else frame


def store(batches: Iterable[pl.DataFrame], path: Path) -> StoredRows:
    """Write one or more batches of rows with the same columns; a reader sees all of them or no file."""
    with storing(path) as put:
        for frame in batches:
            put(frame)
    return StoredRows(path)


@contextmanager
def storing(path: Path, group: int = GROUP) -> Iterator[Callable[[pl.DataFrame], None]]:
    """Write batches one at a time: yields a function that takes the next batch.

    Args:
        group: most rows of a row group; larger ones are written faster.

    Raises:
        ValueError: the function was never called, so the columns are unknown.
    """
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}")
    writer = None

    def put(frame: pl.DataFrame) -> None:
        nonlocal writer
        rows = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        writer = writer or pyarrow.parquet.ParquetWriter(partial, rows.schema, compression="zstd", compression_level=1)
        writer.write_table(rows, row_group_size=group)

    try:
        yield put
        if writer is None:
            raise ValueError("A table comes in one batch of rows or more. Received: none.")
        writer.close()
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    durable.replace(partial, path)


class Column(Sequence[str]):
    """One column of stored rows as a sequence of texts. Read it in order or by slices: one row group is cached."""

    def __init__(self, rows: StoredRows, name: str) -> None:
        self._rows = rows
        self._name = name
        self._file = rows.open()
        self._bounds = np.cumsum([0, *rows.group_rows])
        self._cached_group = -1
        self._cached: list[str] = []

    def __len__(self) -> int:
        return int(self._bounds[-1])

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            start, stop, step = place.indices(len(self))
            return self._between(start, stop) if step == 1 else [self[at] for at in range(start, stop, step)]
        at = range(len(self))[place]
        return self._between(at, at + 1)[0]

    def __iter__(self) -> Iterator[str]:
        for frame in self._rows.batches(self._name):
            yield from frame[self._name].to_list()

    def _between(self, start: int, stop: int) -> list[str]:
        texts: list[str] = []
        while start < stop:
            group = int(np.searchsorted(self._bounds, start, side="right")) - 1
            first = start - int(self._bounds[group])
            texts += self._group(group)[first : first + stop - start]
            start = int(self._bounds[group + 1])
        return texts

    def _group(self, group: int) -> list[str]:
        if group != self._cached_group:
            self._cached = _read(self._file, [group], [self._name])[self._name].to_list()
            self._cached_group = group
        return self._cached
