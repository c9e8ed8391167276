"""A table in any of the usual forms -> a frame of texts: CSV, TSV, JSON lines, Parquet, or a glob of them."""

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
"""Share of lines that are no rows above which a table is refused; the same as for rows that are set aside."""


@dataclass(frozen=True)
class Reading:
    """A table as it was understood.

    frame: every column of type String, missing values null.
    places: where each row of `frame` stands, columns `file` and `line` (in Parquet: the row's number).
    broken: lines of which no row could be made, columns `reason`, `file`, `line` and `content`.
    files: what it was read from, in order.
    forms: what each kind of file turned out to be, e.g. `UTF-8, fields between commas`.
    """

    frame: pl.DataFrame
    places: pl.DataFrame
    broken: pl.DataFrame
    files: tuple[Path, ...]
    forms: tuple[str, ...]


def read_any(source: str | Path, say: Say | None = None) -> pl.DataFrame:
    """All rows of one table, or of all that a glob names, in the order of their names; every value a text.

    say: told how far a long reading is.

    Raises:
        Refusal: there is no such file, its kind is unknown, or it is damaged, be it in one line alone.
    """
    reading = read(source, most_broken=0, say=say)
    return reading.frame


def read(source: str | Path, most_broken: float = MOST_BROKEN, say: Say | None = None) -> Reading:
    """The same, with what was understood; a few broken lines are set apart. say: told how far a long reading is.

    Raises:
        Refusal: as for `read_any`, too many lines are broken, or the files of a glob differ in their columns.
    """
    try:
        paths = found(source)
        size = sum(path.stat().st_size for path in paths)
        progress = Progress(say or unsaid, f"Reading {Path(source).name}", size, "bytes")
        parts = [joined(list(read_one(path, progress))) for path in paths]
    except OSError as error:
        raise unreadable(source, error) from None
    refuse_other_columns(paths, [part.frame.columns for part in parts])
    refuse_mostly_broken(parts, most_broken)
    whole = pl.concat(part.frame.select(parts[0].frame.columns) for part in parts)
    places = [placed(path, part.lines) for path, part in zip(paths, parts, strict=True)]
    forms = tuple(dict.fromkeys(part.form for part in parts))
    return Reading(whole, pl.concat(places), set_apart(paths, parts), tuple(paths), forms)


def unreadable(source: str | Path, error: OSError) -> Refusal:
    return Refusal(
        "A table must be a file that can be read.",
        f"{error.filename or source}: {error.strerror or error}",
        "See to its permissions, or name another.",
    )


def unsaid(_: str) -> None:
    """Where nobody listens."""


def placed(path: Path, lines: pl.Series) -> pl.DataFrame:
    return lines.to_frame().select(pl.lit(path.name).alias("file"), "line")


def refuse_mostly_broken(parts: list[Parsed], most: float) -> None:
    """Raise what the first broken line broke, where they are too many to be oversights."""
    broken = [line for part in parts for line in part.broken]
    if len(broken) > most * (len(broken) + sum(part.frame.height for part in parts)):
        raise broken[0].refusal


def set_apart(paths: list[Path], parts: list[Parsed]) -> pl.DataFrame:
    """The broken lines of all files."""
    rows = [
        (line.reason, path.name, line.line, line.content)
        for path, part in zip(paths, parts, strict=True)
        for line in part.broken
    ]
    schema = {"reason": pl.String, "file": pl.String, "line": pl.UInt32, "content": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def found(source: str | Path) -> list[Path]:
    """The file of that name, or else the files that it matches as a glob, sorted.

    Raises:
        Refusal: there is none.
    """
    named = Path(source).expanduser() if str(source).startswith("~/") else Path(source)
    paths = [named] if named.exists() else [Path(name) for name in sorted(glob.glob(str(named), recursive=True))]
    if not paths:
        raise Refusal(
            "A table must be a file, or a glob of files.", f"{source}: no such file", "Name one that is there."
        )
    return paths


def read_one(path: Path, tell: Callable[[int], None] = lambda _: None) -> Iterator[Parsed]:
    """One file's rows as texts, batch by batch.

    Raises:
        Refusal: it is no file, of no known kind, empty, or damaged.
        OSError: it may not be read.
    """
    kind = path.suffix.lower()
    if not path.is_file() or kind not in KINDS:
        what = f"the folder {path}" if path.is_dir() else str(path)
        remedy = next((said for kinds, said in REMEDIES.items() if kind in kinds), "Name a file of one of these kinds.")
        raise Refusal(f"A table must be one of {', '.join(KINDS)}.", what, remedy)
    if not path.stat().st_size:
        raise Refusal("A table must hold a header and rows.", f"{path.name}: an empty file", "Name another file.")
    return parquet(path, tell) if kind == ".parquet" else written(path, kind, tell)


def written(path: Path, kind: str, tell: Callable[[int], None]) -> Iterator[Parsed]:
    """A file of text."""
    read = json_records.read if kind in RECORDS else csv_file.read
    return read(path, encoding.recognise(path), tell)


def parquet(path: Path, tell: Callable[[int], None]) -> Iterator[Parsed]:
    """Every column as text; lists and structures as JSON.

    Raises:
        Refusal: it is damaged, or holds no rows.
    """
    import pyarrow

    first, size = 1, path.stat().st_size
    with path.open("rb") as file:
        try:
            for frame, share in _groups(file):
                texts = frame.select(as_texts(column) for column in frame.iter_columns())
                rows = pl.int_range(first, first + texts.height, dtype=pl.UInt32, eager=True).alias("line")
                yield Parsed(texts, rows, (), "Parquet")
                first += texts.height
                tell(int(share * size))
        except pl.exceptions.PanicException:  # polars' own word for bytes that it did not expect
            raise Refusal(f"{path.name} must be a whole Parquet file.", "damaged contents", "Write it again.") from None
        except (pl.exceptions.PolarsError, pyarrow.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise Refusal(f"{path.name} must be a whole Parquet file.", reason, "Write it again.") from None
    if first == 1:
        raise Refusal(f"{path.name} must hold rows.", "columns and no rows", "Add labelled rows.")


def _groups(file: BinaryIO) -> Iterator[tuple[pl.DataFrame, float]]:
    """The rows of a Parquet file in batches, each with its share of all; none that is empty.

    A row group may be the whole file: it is read in pieces, too.
    """
    import pyarrow.parquet

    whole = pyarrow.parquet.ParquetFile(file, buffer_size=1 << 20)
    facts = whole.metadata
    size = sum(facts.row_group(at).total_byte_size for at in range(facts.num_row_groups))
    most = max(1, min(BATCH, BATCH_CHARACTERS * facts.num_rows // max(size, 1)))
    for rows in whole.iter_batches(most, use_threads=False):
        if rows.num_rows:
            yield cast(pl.DataFrame, pl.from_arrow(rows)), rows.num_rows / facts.num_rows


def as_texts(column: pl.Series) -> pl.Series:
    """A column's values as text; what is no UTF-8 in bytes becomes U+FFFD, which validation counts."""
    if not column.dtype.is_nested() and column.dtype not in (pl.Binary, pl.Duration):
        return column.cast(pl.String)
    return pl.Series(column.name, [as_text(value) for value in column.to_list()], dtype=pl.String)


def as_text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return None if value is None else str(value)


def refuse_other_columns(paths: Sequence[Path], columns: Sequence[Sequence[str]]) -> None:
    """The files of a glob are one table, so they have the same columns; the order may differ."""
    wanted = columns[0]
    for path, names in zip(paths, columns, strict=True):
        lacking = [name for name in wanted if name not in names]
        added = [name for name in names if name not in wanted]
        if lacking or added:
            differs = "; ".join(
                f"{words} {', '.join(some)}" for words, some in (("lacks", lacking), ("adds", added)) if some
            )
            raise Refusal(
                f"All files of a table must have the columns of {paths[0].name}: {', '.join(wanted)}.",
                f"{path.name} {differs}",
                "Give them the same columns, or name fewer files.",
            )
