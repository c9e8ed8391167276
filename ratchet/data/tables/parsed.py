"""What a parser makes of one file: rows with the line that each begins on, and the lines that are no rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO, TypeVar

import polars as pl

from ratchet.project.errors import Refusal

Row = TypeVar("Row")
BATCH = 16_384
"""Rows held as Python objects at a time, unless they are long."""
BATCH_CHARACTERS = 16 << 20
"""Characters held so, up to the row with which there are so many."""


@dataclass(frozen=True)
class BrokenLine:
    """A line that is no row.

    content: as it stands in the file. reason: what is wrong with it, in a few words; refusal: in a sentence.
    """

    line: int
    content: str
    reason: str
    refusal: Refusal


@dataclass(frozen=True)
class Parsed:
    """Every column of type String, missing values null; lines: of type UInt32, from 1 (in Parquet: row numbers)."""

    frame: pl.DataFrame
    lines: pl.Series
    broken: tuple[BrokenLine, ...]
    form: str


@dataclass
class Meter:
    """Tells how many more bytes of an open file have been read."""

    file: TextIO
    tell: Callable[[int], None]
    read: int = 0

    def __call__(self) -> None:
        now = self.file.buffer.tell()
        self.tell(now - self.read)
        self.read = now


def batched(rows: Iterable[Row], size: Callable[[Row], int]) -> Iterator[list[Row]]:
    """Rows in lists that bound what is held at a time. size: the characters of a row."""
    batch: list[Row] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += size(row)
        if len(batch) == BATCH or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def joined(parts: Sequence[Parsed]) -> Parsed:
    """What was read of a file batch by batch, as one; columns in the order in which they first come."""
    return Parsed(
        pl.concat([part.frame for part in parts], how="diagonal"),
        pl.concat([part.lines for part in parts]),
        tuple(line for part in parts for line in part.broken),
        parts[0].form,
    )


def numbers(values: list[int]) -> pl.Series:
    return pl.Series("line", values, dtype=pl.UInt32)
