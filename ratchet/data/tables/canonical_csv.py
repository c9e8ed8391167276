"""One table, one sequence of bytes: how every table that Ratchet keeps is written, and read back.

UTF-8 CSV; the frame's own row and column order; every value in double quotes, an inner quote doubled, a
missing value nothing at all (so `""` is the empty text and two commas in a row hold a missing one); lines
end in LF. Line ends inside a text stay as they are. The rules stand here and not in a library's defaults,
so the same rows have the same hash with any version of any library.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import polars as pl

SLICE = 65_536
"""Rows turned into bytes at a time: bounds the memory to some tens of MB however long the table is."""

BLOCK = 16 << 20
"""Bytes of a file read at a time: some 100,000 short texts."""


def write(frame: pl.DataFrame, path: Path) -> None:
    """Write the canonical form of a frame of texts; a reader sees the old file or the whole new one, never
    half.

    Raises:
        TypeError: a column is not of type String.
        ValueError: the frame has fewer than two columns, so a missing value could not be told from a blank
        line.
    """
    write_batches([frame], path)


def write_batches(batches: Iterable[pl.DataFrame], path: Path) -> None:
    """The same for a table that comes in batches of its rows, one or more, all with the same columns."""
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
    """The frame that `write` was given: every column of type String, in the file's order."""
    return pl.concat(read_batches(path), rechunk=True)


def read_batches(path: Path, block: int = BLOCK) -> Iterator[pl.DataFrame]:
    """The same in batches of about `block` bytes, at least one of them; a longer row comes by itself.

    The names are read apart because polars 2.1 leaves a doubled quote in a name as it is.
    """
    with path.open("rb") as file:
        chunks = _whole_rows(file, block)
        head, rows = _after_header(next(chunks, b""))
        schema = dict.fromkeys(next(csv.reader(io.StringIO(head.decode(), newline="")), []), pl.String)
        yield _parsed(rows, schema)
        for chunk in chunks:
            yield _parsed(chunk, schema)


def _parsed(rows: bytes, schema: dict[str, type[pl.String]]) -> pl.DataFrame:
    return pl.read_csv(rows, has_header=False, schema=schema) if rows else pl.DataFrame(schema=schema)


def _whole_rows(file: BinaryIO, block: int) -> Iterator[bytes]:
    """The file's bytes in order, cut only where a row ends."""
    rest = b""
    while fresh := file.read(block):
        rest += fresh
        end = _last_row_end(rest)
        if end:
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


def _last_row_end(some: bytes) -> int:
    """Behind the last LF that an even number of quotes precedes, so that no value is open there; 0 for none."""
    before, end = some.count(b'"'), len(some)
    while (at := some.rfind(b"\n", 0, end)) >= 0:
        before -= some.count(b'"', at, end)
        if before % 2 == 0:
            return at + 1
        end = at
    return 0


def _after_header(some: bytes) -> tuple[bytes, bytes]:
    """The header's bytes with their LF, and what follows."""
    quotes = end = 0
    while (at := some.find(b"\n", end)) >= 0:
        quotes += some.count(b'"', end, at)
        end = at + 1
        if quotes % 2 == 0:
            return some[:end], some[end:]
    return some, b""


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
