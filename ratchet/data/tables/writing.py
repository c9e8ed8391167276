"""A frame that comes in batches -> a file of the form that its ending names: CSV, TSV, JSON lines, Parquet."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import BinaryIO

import polars as pl

from ratchet.data.tables.row_store import store
from ratchet.project.errors import Refusal


def write(batches: Iterable[pl.DataFrame], path: Path) -> None:
    """Write batches of rows with the same columns; a kill leaves half a file under this name.

    Parquet gets types; in the others a missing value is an empty field, or null.
    """
    put = FORMS[path.suffix.lower()]
    if put is None:
        store(batches, path)
        return
    with path.open("wb") as file:
        for number, frame in enumerate(batches):
            put(frame, file, number == 0)
        file.flush()
        os.fsync(file.fileno())


def delimited(separator: str, frame: pl.DataFrame, file: BinaryIO, first: bool) -> None:
    file.write(frame.write_csv(include_header=first, separator=separator).encode())


def json_lines(frame: pl.DataFrame, file: BinaryIO, first: bool) -> None:
    file.write(frame.write_ndjson().encode())


FORMS: dict[str, Callable[[pl.DataFrame, BinaryIO, bool], None] | None] = {
    ".csv": partial(delimited, ","), ".tsv": partial(delimited, "\t"), ".jsonl": json_lines, ".ndjson": json_lines,
    ".parquet": None, ".txt": partial(delimited, ","), "": partial(delimited, ","),
}  # fmt: skip
"""What writes each kind of file; None: it is Parquet. A name that promises no form gets CSV."""


def require_place(target: Path) -> None:
    """Return where a file of that name can be made.

    Raises:
        Refusal: its ending names no form that can be written, or its place is a folder, or in none.
    """
    if target.is_dir() or not target.parent.is_dir():
        there = "a folder" if target.is_dir() else f"no folder {target.parent}"
        raise Refusal("OUT names a file in a folder that is there.", f"{target}: {there}", "Name another: OUT=...")
    if target.suffix.lower() not in FORMS:
        raise Refusal(
            "OUT ends in .csv, .tsv, .jsonl or .parquet, which is the form that it gets.",
            str(target),
            "Name another: OUT=answers.csv",
        )
