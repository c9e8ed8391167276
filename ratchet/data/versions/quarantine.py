"""The quarantine: rows set aside, in `state/quarantine/<problem>.csv`, which a person opens, mends and adds again.

A person's changes are never lost silently. New rows are added to the file; a table that would replace a changed file is
refused; a file that cannot be read any more is kept under another name, which is reported.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import polars as pl

from ratchet.data.tables.reading import Reading, read_table
from ratchet.project import durable
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.progress import Say
from ratchet.tasks import Task
from ratchet.tasks.values import Data

REASON, FILE, LINE = "set_aside_because", "from_file", "from_line"
"""Columns in front of the row's own."""
WRITTEN = "written.json"
"""The file beside the tables: name -> the SHA-256 of the last two contents that Ratchet wrote."""


@dataclass(frozen=True)
class Quarantine:
    """A summary of the rows set aside.

    Attributes:
        path: the table's path, relative to the project where it lies in it.
        rows: number of rows.
        reasons: each reason with its number of rows, the commonest first.
        first: places of the first five rows, e.g. `reviews.csv line 17`.
    """

    path: Path
    rows: int
    reasons: tuple[tuple[str, int], ...]
    first: tuple[str, ...]

    def __str__(self) -> str:
        """The message to the person, with the command to type."""
        return (
            f"{self.rows:,} {'row is' if self.rows == 1 else 'rows are'} set aside ({self.counts}), the first from "
            f"{self.first[0]}. Mend them in {self.path} and take them back: make data ADD={self.path}"
        )

    @property
    def counts(self) -> str:
        """Each reason with its number of rows."""
        return ", ".join(f"{reason}: {rows:,}" for reason, rows in self.reasons)


def path(here: Places, problem: str) -> Path:
    """The table of a problem."""
    return here.quarantine / f"{problem}.csv"


def summary(here: Places, problem: str, aside: pl.DataFrame | None = None) -> Quarantine | None:
    """The summary of a problem's rows set aside; None where there are none, or the file cannot be read."""
    return summary_of(here, path(here, problem), aside)


def summary_of(here: Places, place: Path, aside: pl.DataFrame | None = None) -> Quarantine | None:
    """The summary of the table at `place`, or of the rows `aside` that are going to be written there."""
    try:
        rows = read(place) if aside is None else aside
    except Refusal:
        return None
    if rows.is_empty():
        return None
    counted = rows[REASON].fill_null("no reason given").rename("reason").value_counts(sort=True)
    first = tuple(f"{file} line {line}" for file, line in rows.select(FILE, LINE).head(5).iter_rows())
    shown = place.relative_to(here.root) if place.is_relative_to(here.root) else place
    return Quarantine(shown, rows.height, tuple(counted.iter_rows()), first)


def read(place: Path) -> pl.DataFrame:
    """The rows set aside, all columns of type String; an empty frame for no file or an empty one.

    Raises:
        Refusal: the file cannot be read, or lacks one of our columns.
    """
    if not place.exists() or place.stat().st_size == 0:
        return pl.DataFrame()
    try:
        rows = read_table(place)
    except Refusal as refusal:
        raise unreadable(place, refusal.received) from None
    missing = [name for name in (REASON, FILE, LINE) if name not in rows.columns]
    if missing:
        raise unreadable(place, f"no column {', '.join(missing)}")
    return rows


def unreadable(place: Path, why: str) -> Refusal:
    """The refusal of a file that cannot be read."""
    return Refusal(
        "Rows that were set aside must lie in a table that can be read, with its columns.",
        f"{place}: {why}",
        f"Mend it, take its rows back (make data ADD={place}), or move it elsewhere; nothing was changed.",
    )


def read_or_rename(place: Path, say: Say) -> pl.DataFrame:
    """The rows set aside; a file that cannot be read is renamed, which `say` reports, and counts as empty."""
    try:
        return read(place)
    except Refusal as refusal:
        names = (place.with_name(f"{place.stem}.kept-{number}.csv") for number in count(1))
        kept = next(name for name in names if not name.exists())
        durable.move(place, kept)
        say(f"{refusal.received}. It is kept as {kept}, and the rows that are set aside now lie in {place}.")
        return pl.DataFrame()


def is_changed(place: Path) -> bool:
    """Whether a person has changed a table since Ratchet wrote it.

    An earlier version of Ratchet noted no hash: its table is unchanged if writing its rows again gives the same bytes.
    """
    if not place.exists():
        return False
    content = place.read_bytes()
    hashes = (durable.read_json(place.parent / WRITTEN) or {}).get(place.name)
    if hashes is not None:
        return hashlib.sha256(content).hexdigest() not in hashes
    try:
        return written(read(place)).encode().replace(b'""', b"") != content.replace(b'""', b"")
    except Refusal:
        return True


def refuse_changed(place: Path) -> None:
    """Raise where a person has changed a table, before another replaces it.

    Raises:
        Refusal: the table was changed.
    """
    if is_changed(place):
        raise Refusal(
            "Rows that were set aside and that somebody has changed are not overwritten.",
            f"{place}, changed since Ratchet wrote it",
            f"Take them back: make data ADD={place}; or move that file elsewhere. Then give the same command again.",
        )


def sign(place: Path, content: bytes) -> None:
    """Note the hash of what Ratchet is about to write, so that a person's change can be detected."""
    path = place.parent / WRITTEN
    hashes = durable.read_json(path) or {}
    digest = hashlib.sha256(content).hexdigest()
    earlier = [other for other in hashes.get(place.name, []) if other != digest]
    durable.write_json(path, hashes | {place.name: [*earlier[-1:], digest]})


def put(place: Path, rows: pl.DataFrame) -> None:
    """Write a table of rows set aside; a table that a person has changed still counts as changed."""
    text = written(rows)
    if not is_changed(place):
        sign(place, text.encode())
    durable.write(place, text)


def placed(reading: Reading) -> Reading:
    """A reading whose rows are placed where they first came from, if it is a table of rows set aside."""
    if not {FILE, LINE} <= set(reading.frame.columns):
        return reading
    line = pl.col(LINE).cast(pl.UInt32, strict=False).fill_null(reading.places["line"])
    places = reading.frame.select(pl.col(FILE).fill_null(reading.places["file"]).alias("file"), line.alias("line"))
    return replace(reading, places=places)


def keep(here: Places, problem: str, aside: pl.DataFrame, data: Data, task: Task, say: Say) -> Quarantine | None:
    """Add invalid rows of the pinned table (row_facts.py) to the rows set aside.

    Args:
        aside: columns `reason` and `row`, and the canonical ones.
        data: the table's own column names.
        task: the kind of problem.
    """
    rows = aside.select(
        pl.col("reason").alias(REASON),
        pl.lit("data/table.csv").alias(FILE),
        pl.col("row").alias(LINE),
        *task.rows.owned(aside["text"], data),
        pl.col("label").alias(data.label),
        *([pl.col("group").alias(data.group)] if data.group else []),
    )
    whole = join_rows(read_or_rename(path(here, problem), say), rows)
    put(path(here, problem), whole)
    return summary(here, problem, whole)


def join_rows(earlier: pl.DataFrame | None, new: pl.DataFrame) -> pl.DataFrame:
    """The rows set aside before and now, each once."""
    texts = new.cast({LINE: pl.String}).with_columns(pl.col(pl.String).replace("", None))
    if earlier is None or earlier.is_empty():
        return texts
    return pl.concat([earlier, texts], how="diagonal").unique(maintain_order=True)


def written(rows: pl.DataFrame) -> str:
    """The table as CSV with a byte order mark, by which spreadsheets recognise UTF-8; empty without rows."""
    return rows.write_csv(include_bom=True) if rows.height else ""
