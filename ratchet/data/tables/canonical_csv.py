"""The canonical CSV: one sequence of bytes for a table, in which Ratchet writes and reads every table that it keeps.

It is UTF-8 CSV in the frame's own row and column order. Every value is in double quotes, an inner quote is doubled, and
a missing value is nothing at all (`""` is the empty text, and two commas in a row hold a missing value). Lines end in
LF; line ends inside a text stay as they are. The rules are written out here and do not rely on a library's defaults, so
the same rows have the same hash with any version of any library.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import polars as pl

SLICE = 65_536
"""Rows turned into bytes at a time: memory stays at some tens of MB for a table of any length."""

BLOCK = 16 << 20
"""Bytes of a file read at a time: some 100,000 short texts."""


def write(frame: pl.DataFrame, path: Path) -> None:
    """Write a frame of texts; a reader sees the old file or the whole new one.

    Raises:
        TypeError: a column is not of type String.
        ValueError: the frame has fewer than two columns, so a missing value would be a blank line.
    """
    write_batches([frame], path)


def write_batches(batches: Iterable[pl.DataFrame], path: Path) -> None:
    """Write a table that comes in one or more batches with the same columns; otherwise as `write`."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            for at, frame in enumerate(batches):
                _refuse_other_types(frame)
                if at == 0:
                    file.write(f"{','.join(_quoted(name) for name in frame.columns)}\n".encode())
                for rows in frame.iter_slices(SLICE):
                    file.write("".join(rows.select(_line(frame.columns)).to_series().to_list()).encode())
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)


def read(path: Path) -> pl.DataFrame:
    """The frame that was written: every column of type String, in the file's order."""
    return pl.concat(read_batches(path), rechunk=True)


def read_batches(
    path: Path, block: int = BLOCK, tell: Callable[[int], None] = lambda _: None
) -> Iterator[pl.DataFrame]:
    """The frame in batches of about `block` bytes, at least one; a longer row is a batch of its own.

    The header is parsed by the csv module because polars 2.1 does not undouble a quote in a name.

    Args:
        tell: called with the bytes of each batch once the next is asked for.
    """
    with path.open("rb") as file:
        chunks = _whole_rows(file, block)
        head, rows = _split_header(next(chunks, b""))
        schema = dict.fromkeys(next(csv.reader(io.StringIO(head.decode(), newline="")), []), pl.String)
        yield _parsed(rows, schema)
        tell(len(head) + len(rows))
        for chunk in chunks:
            yield _parsed(chunk, schema)
            tell(len(chunk))


def _parsed(rows: bytes, schema: dict[str, type[pl.String]]) -> pl.DataFrame:
    return pl.read_csv(rows, has_header=False, schema=schema) if rows else pl.DataFrame(schema=schema)


def _whole_rows(file: BinaryIO, block: int) -> Iterator[bytes]:
    """The file's bytes in order, cut only where a row ends."""
    rest = b""
    while data := file.read(block):
        rest += data
        end = _last_row_end(rest)
        if end:
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


def _last_row_end(data: bytes) -> int:
    """The place after the last LF outside of a value, that is after an even number of quotes; 0 for none."""
    quotes = data.count(b'"')
    end = len(data)
    while (at := data.rfind(b"\n", 0, end)) >= 0:
        quotes -= data.count(b'"', at, end)
        if quotes % 2 == 0:
            return at + 1
        end = at
    return 0


def _split_header(data: bytes) -> tuple[bytes, bytes]:
    """The header's bytes with their LF, and the bytes that follow."""
    quotes = end = 0
    while (at := data.find(b"\n", end)) >= 0:
        quotes += data.count(b'"', end, at)
        end = at + 1
        if quotes % 2 == 0:
            return data[:end], data[end:]
    return data, b""


def _line(columns: list[str]) -> pl.Expr:
    """An expression for a row's line, with its LF."""
    values = [_value(pl.col(name)) for name in columns]
    return pl.concat_str(pl.concat_str(values, separator=","), pl.lit("\n"))


def _value(text: pl.Expr) -> pl.Expr:
    """An expression for a quoted value; a missing one stays empty."""
    inner = text.str.replace_all('"', '""', literal=True)
    return pl.concat_str(pl.lit('"'), inner, pl.lit('"')).fill_null("")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _refuse_other_types(frame: pl.DataFrame) -> None:
    """Raise unless the frame has two or more columns, all of type String."""
    if frame.width < 2:
        raise ValueError(
            f"A table has a text and a label, so two columns or more. Received: {frame.columns}. Add what is missing."
        )
    others = {name: str(dtype) for name, dtype in frame.schema.items() if dtype != pl.String}
    if others:
        raise TypeError(
            "Every column must be of type String, so that its bytes are not up to a library. "
            f"Received: {others}. Cast them before writing."
        )
