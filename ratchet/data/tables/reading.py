"""Read a table in any of the usual forms (CSV, TSV, JSON lines, Parquet, or a glob of them) as a frame of texts."""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import polars as pl

from ratchet.data.tables import csv_file, encoding, json_records
from ratchet.data.tables.parsed import BATCH, BATCH_CHARACTERS, Parsed, joined
from ratchet.project.errors import Refusal
from ratchet.project.progress import Progress, Say

DELIMITED = (".csv", ".tsv")
RECORDS = (".jsonl", ".ndjson", ".json")
KINDS = (*DELIMITED, *RECORDS, ".parquet")
REMEDIES = {
    (".xlsx", ".xls", ".ods", ".numbers"): "Save the sheet as CSV UTF-8.",
    (".zip", ".gz", ".bz2", ".xz", ".zst", ".7z"): "Unpack it first.",
}

MOST_BROKEN = 0.10
"""Most broken lines of a table, as a share of all; the same as for rows that are set aside."""


@dataclass(frozen=True)
class Reading:
    """A table that was read.

    Attributes:
        frame: every column of type String, missing values null.
        places: the place of each row of `frame`, columns `file` and `line` (in Parquet the row number).
        broken: the broken lines, columns `reason`, `file`, `line` and `content`.
        files: the files, in order.
        forms: the distinct forms of the files, e.g. `UTF-8, fields between commas`.
    """

    frame: pl.DataFrame
    places: pl.DataFrame
    broken: pl.DataFrame
    files: tuple[Path, ...]
    forms: tuple[str, ...]


def read_table(source: str | Path, say: Say | None = None) -> pl.DataFrame:
    """All rows of a table, or of all files of a glob in the order of their names, as texts.

    Args:
        say: called with the progress of a long reading.

    Raises:
        Refusal: there is no such file, its kind is unknown, or it has a broken line.
    """
    reading = read(source, most_broken=0, say=say)
    return reading.frame


def read(source: str | Path, most_broken: float = MOST_BROKEN, say: Say | None = None) -> Reading:
    """Read a table, or all files of a glob; a few broken lines are kept apart.

    Args:
        most_broken: most broken lines, as a share of all.
        say: called with the progress of a long reading.

    Raises:
        Refusal: as for `read_table`, too many lines are broken, or the files of a glob differ in their columns.
    """
    try:
        paths = find_files(source)
        size = sum(path.stat().st_size for path in paths)
        progress = Progress(say or ignore, f"Reading {Path(source).name}", size, "bytes")
        parts = [joined(list(read_one(path, progress))) for path in paths]
    except OSError as error:
        raise unreadable(source, error) from None
    refuse_other_columns(paths, [part.frame.columns for part in parts])
    refuse_mostly_broken(parts, most_broken)
    frame = pl.concat(part.frame.select(parts[0].frame.columns) for part in parts)
    places = [places_of(path, part.lines) for path, part in zip(paths, parts, strict=True)]
    forms = tuple(dict.fromkeys(part.form for part in parts))
    return Reading(frame, pl.concat(places), broken_lines(paths, parts), tuple(paths), forms)


def unreadable(source: str | Path, error: OSError) -> Refusal:
    """The refusal of a file that the operating system does not let us read."""
    return Refusal(
        "A table must be a file that can be read.",
        f"{error.filename or source}: {error.strerror or error}",
        "See to its permissions, or name another.",
    )


def ignore(_: str) -> None:
    """Report no progress."""


def places_of(path: Path, lines: pl.Series) -> pl.DataFrame:
    """The columns `file` and `line` of rows of one file."""
    return lines.to_frame().select(pl.lit(path.name).alias("file"), "line")


def refuse_mostly_broken(parts: list[Parsed], most: float) -> None:
    """Raise the refusal of the first broken line where more than the share `most` of the lines are broken."""
    broken = [line for part in parts for line in part.broken]
    if len(broken) > most * (len(broken) + sum(part.frame.height for part in parts)):
        raise broken[0].refusal


def broken_lines(paths: list[Path], parts: list[Parsed]) -> pl.DataFrame:
    """The broken lines of all files."""
    rows = [
        (line.reason, path.name, line.line, line.content)
        for path, part in zip(paths, parts, strict=True)
        for line in part.broken
    ]
    schema = {"reason": pl.String, "file": pl.String, "line": pl.UInt32, "content": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def find_files(source: str | Path) -> list[Path]:
    """The file of that name, or else the files that match it as a glob, sorted.

    Raises:
        Refusal: there is no such file.
    """
    file = Path(source).expanduser() if str(source).startswith("~/") else Path(source)
    paths = [file] if file.exists() else [Path(name) for name in sorted(glob.glob(str(file), recursive=True))]
    if not paths:
        raise Refusal(
            "A table must be a file, or a glob of files.", f"{source}: no such file", "Name one that is there."
        )
    return paths


def read_one(path: Path, tell: Callable[[int], None] = lambda _: None) -> Iterator[Parsed]:
    """The rows of one file as texts, batch by batch.

    Args:
        tell: called with the number of bytes read since the last call.

    Raises:
        Refusal: the path is not a file, or the file is of no known kind, empty, or damaged.
        OSError: the file cannot be read.
    """
    kind = path.suffix.lower()
    if not path.is_file() or kind not in KINDS:
        received = f"the folder {path}" if path.is_dir() else str(path)
        remedies = (remedy for kinds, remedy in REMEDIES.items() if kind in kinds)
        remedy = next(remedies, "Name a file of one of these kinds.")
        raise Refusal(f"A table must be one of {', '.join(KINDS)}.", received, remedy)
    if not path.stat().st_size:
        raise Refusal("A table must hold a header and rows.", f"{path.name}: an empty file", "Name another file.")
    return read_parquet(path, tell) if kind == ".parquet" else read_text(path, kind, tell)


def read_text(path: Path, kind: str, tell: Callable[[int], None]) -> Iterator[Parsed]:
    """The rows of a text file, in the encoding that is recognised."""
    read = json_records.read if kind in RECORDS else csv_file.read
    return read(path, encoding.recognise(path), tell)


def read_parquet(path: Path, tell: Callable[[int], None]) -> Iterator[Parsed]:
    """The rows of a Parquet file as text; lists and structures as JSON.

    Raises:
        Refusal: the file is damaged, or has no rows.
    """
    import pyarrow

    first = 1
    size = path.stat().st_size
    with path.open("rb") as file:
        try:
            for frame, share in _groups(file):
                texts = frame.select(as_texts(column) for column in frame.iter_columns())
                rows = pl.int_range(first, first + texts.height, dtype=pl.UInt32, eager=True).alias("line")
                yield Parsed(texts, rows, (), "Parquet")
                first += texts.height
                tell(int(share * size))
        except pl.exceptions.PanicException:  # raised by polars for bytes that it did not expect
            raise Refusal(f"{path.name} must be a whole Parquet file.", "damaged contents", "Write it again.") from None
        except (pl.exceptions.PolarsError, pyarrow.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise Refusal(f"{path.name} must be a whole Parquet file.", reason, "Write it again.") from None
    if first == 1:
        raise Refusal(f"{path.name} must hold rows.", "columns and no rows", "Add labelled rows.")


def _groups(file: BinaryIO) -> Iterator[tuple[pl.DataFrame, float]]:
    """The rows of a Parquet file in batches that are not empty, each with its share of all rows.

    A row group is read in pieces, because it may be the whole file.
    """
    import pyarrow.parquet

    parquet = pyarrow.parquet.ParquetFile(file, buffer_size=1 << 20)
    metadata = parquet.metadata
    size = sum(metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups))
    most = max(1, min(BATCH, BATCH_CHARACTERS * metadata.num_rows // max(size, 1)))
    for rows in parquet.iter_batches(most, use_threads=False):
        if rows.num_rows:
            yield cast(pl.DataFrame, pl.from_arrow(rows)), rows.num_rows / metadata.num_rows


def as_texts(column: pl.Series) -> pl.Series:
    """A column's values as text; invalid UTF-8 in bytes becomes U+FFFD, which validation counts."""
    if not column.dtype.is_nested() and column.dtype not in (pl.Binary, pl.Duration):
        return column.cast(pl.String)
    return pl.Series(column.name, [as_text(value) for value in column.to_list()], dtype=pl.String)


def as_text(value: Any) -> str | None:
    """One value of a nested or binary column as text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return None if value is None else str(value)


def refuse_other_columns(paths: Sequence[Path], columns: Sequence[Sequence[str]]) -> None:
    """Raise unless the files of a glob have the same columns, in any order.

    Raises:
        Refusal: a file lacks a column of the first file, or has another one.
    """
    required = columns[0]
    for path, names in zip(paths, columns, strict=True):
        lacking = [name for name in required if name not in names]
        added = [name for name in names if name not in required]
        if lacking or added:
            differs = "; ".join(
                f"{verb} {', '.join(names)}" for verb, names in (("lacks", lacking), ("adds", added)) if names
            )
            raise Refusal(
                f"All files of a table must have the columns of {paths[0].name}: {', '.join(required)}.",
                f"{path.name} {differs}",
                "Give them the same columns, or name fewer files.",
            )
