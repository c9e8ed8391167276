"""Write a frame that comes in batches, in the form of the file's ending: CSV, TSV, JSON lines or Parquet."""

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
    """Write batches of rows with the same columns. The write is not atomic: a kill leaves a partial file.

    Parquet has types; in the other forms a missing value is an empty field, or null.
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
"""The writer of each ending; None for Parquet. A name without an ending gets CSV."""


def require_place(target: Path) -> None:
    """Raise unless a file of that name can be written.

    Raises:
        Refusal: its ending is no form of FORMS, the path is a folder, or its folder does not exist.
    """
    if target.is_dir() or not target.parent.is_dir():
        fault = "a folder" if target.is_dir() else f"no folder {target.parent}"
        raise Refusal("OUT names a file in a folder that is there.", f"{target}: {fault}", "Name another: OUT=...")
    if target.suffix.lower() not in FORMS:
        raise Refusal(
            "OUT ends in .csv, .tsv, .jsonl or .parquet, which is the form that it gets.",
            str(target),
            "Name another: OUT=answers.csv",
        )
