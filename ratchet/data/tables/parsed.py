"""The result of a parser for one file: rows with their line numbers, and the lines that are not rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO, TypeVar

import polars as pl

from ratchet.project.errors import Refusal

Row = TypeVar("Row")
BATCH = 16_384
"""Rows held as Python objects at a time; fewer where they are long."""
BATCH_CHARACTERS = 16 << 20
"""Characters of such rows with which a batch ends."""


@dataclass(frozen=True)
class BrokenLine:
    """A line that is not a row.

    Attributes:
        line: its number, from 1.
        content: its text in the file.
        reason: the fault in a few words.
        refusal: the fault as a refusal of the whole file.
    """

    line: int
    content: str
    reason: str
    refusal: Refusal


@dataclass(frozen=True)
class Parsed:
    """The rows of a file or of a batch.

    Attributes:
        frame: every column of type String, missing values null.
        lines: the line number of each row, UInt32, from 1 (in Parquet the row number).
        broken: the lines that are not rows.
        form: the form of the file, e.g. `UTF-8, fields between commas`.
    """

    frame: pl.DataFrame
    lines: pl.Series
    broken: tuple[BrokenLine, ...]
    form: str


@dataclass
class Meter:
    """Calls `tell` with the bytes of an open file that were read since the last call."""

    file: TextIO
    tell: Callable[[int], None]
    read: int = 0

    def __call__(self) -> None:
        position = self.file.buffer.tell()
        self.tell(position - self.read)
        self.read = position


def batched(rows: Iterable[Row], size: Callable[[Row], int]) -> Iterator[list[Row]]:
    """Rows in lists of at most BATCH rows, and about BATCH_CHARACTERS; `size` gives the characters of a row."""
    batch: list[Row] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += size(row)
        if len(batch) == BATCH or characters >= BATCH_CHARACTERS:
            yield batch
            batch = []
            characters = 0
    if batch:
        yield batch


def joined(parts: Sequence[Parsed]) -> Parsed:
    """The batches of a file as one; columns in the order in which they first occur."""
    return Parsed(
        pl.concat([part.frame for part in parts], how="diagonal"),
        pl.concat([part.lines for part in parts]),
        tuple(line for part in parts for line in part.broken),
        parts[0].form,
    )


def numbers(values: list[int]) -> pl.Series:
    """Line numbers as a series."""
    return pl.Series("line", values, dtype=pl.UInt32)
