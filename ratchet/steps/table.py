"""One table, one sequence of bytes: how every table that Ratchet keeps is written, and read back.

UTF-8 CSV; the frame's own row and column order; every value in double quotes, an inner quote doubled, a
missing value nothing at all (so `""` is the empty text and two commas in a row hold a missing one); lines
end in LF. Line ends inside a text stay as they are. The rules stand here and not in a library's defaults,
so the same rows have the same hash with any version of any library.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import BinaryIO

import polars as pl

SLICE = 65_536
"""Rows turned into bytes at a time: bounds the memory to some tens of MB however long the table is."""


def write(frame: pl.DataFrame, path: Path) -> None:
    """Write the canonical form of a frame of texts; a reader sees the old file or the whole new one, never
    half.

    Raises:
        TypeError: a column is not of type String.
        ValueError: the frame has fewer than two columns, so a missing value could not be told from a blank
        line.
    """
    _refuse_other_types(frame)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        write_to(file, frame)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_to(file: BinaryIO, frame: pl.DataFrame) -> None:
    """The same into a file that is already open, e.g. to hash the bytes without keeping them."""
    _refuse_other_types(frame)
    header = ",".join(_quoted(name) for name in frame.columns)
    file.write(f"{header}\n".encode())
    for rows in frame.iter_slices(SLICE):
        file.write("".join(rows.select(_line(frame.columns)).to_series().to_list()).encode())


def read(path: Path) -> pl.DataFrame:
    """The frame that `write` was given: every column of type String, in the file's order.

    The names are read apart because polars 2.1 leaves a doubled quote in a name as it is.
    """
    with path.open(encoding="utf-8", newline="") as file:
        names = next(csv.reader(file), [])
    return pl.read_csv(path, infer_schema=False, new_columns=names)


def _line(columns: list[str]) -> pl.Expr:
    """A row's bytes as text, with its line end."""
    values = [_value(pl.col(name)) for name in columns]
    return pl.concat_str(pl.concat_str(values, separator=","), pl.lit("\n"))


def _value(text: pl.Expr) -> pl.Expr:
    """A quoted value; a missing one stays empty."""
    inner = text.str.replace_all('"', '""', literal=True)
    return pl.concat_str(pl.lit('"'), inner, pl.lit('"')).fill_null("")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _refuse_other_types(frame: pl.DataFrame) -> None:
    if frame.width < 2:
        raise ValueError(
            f"A table has a text and a label, so two columns or more. Received: {frame.columns}. Add what is missing."
        )
    others = {name: str(kind) for name, kind in frame.schema.items() if kind != pl.String}
    if others:
        raise TypeError(
            "Every column must be of type String, so that its bytes are not up to a library. "
            f"Received: {others}. Cast them before writing."
        )
