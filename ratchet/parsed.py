"""What a parser makes of one file: rows with the line that each begins on, and the lines that are no rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

import polars as pl

from ratchet.refusal import Refusal


@dataclass(frozen=True)
class Broken:
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
    broken: tuple[Broken, ...]
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


def numbers(values: list[int]) -> pl.Series:
    return pl.Series("line", values, dtype=pl.UInt32)
