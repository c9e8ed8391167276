"""A problem's rows set aside: `state/quarantine/<problem>.csv`, a table that a person opens, mends and brings back.

What a person has changed there is never lost in silence: rows come beside theirs; a table that should take the place of
theirs is refused; a file that cannot be read any more is kept under another name, which is told.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import polars as pl

from ratchet.data.tables.reading import Reading, read_any
from ratchet.project import durable
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.progress import Say
from ratchet.project.settings import Data

REASON, FILE, LINE = "set_aside_because", "from_file", "from_line"
"""Columns that rows set aside have before their own."""
WRITTEN = "written.json"
"""The note beside such tables: name -> SHA-256 of what Ratchet put there last, and before that."""


@dataclass(frozen=True)
class Quarantine:
    """What lies aside. reasons: each with its rows, the commonest first. first: `reviews.csv line 17`, a few."""

    path: Path
    rows: int
    reasons: tuple[tuple[str, int], ...]
    first: tuple[str, ...]

    def __str__(self) -> str:
        """What a person is told, with what to do."""
        return (
            f"{self.rows:,} {'row is' if self.rows == 1 else 'rows are'} set aside ({self.counts}), the first from "
            f"{self.first[0]}. Mend them in {self.path} and take them back: make data ADD={self.path}"
        )

    @property
    def counts(self) -> str:
        """Each reason with its rows."""
        return ", ".join(f"{reason}: {rows:,}" for reason, rows in self.reasons)


def path(here: Places, problem: str) -> Path:
    return here.quarantine / f"{problem}.csv"


def summary(here: Places, problem: str, aside: pl.DataFrame | None = None) -> Quarantine | None:
    """What lies aside of a problem; None where nothing does that can be read."""
    return summary_of(here, path(here, problem), aside)


def summary_of(here: Places, place: Path, aside: pl.DataFrame | None = None) -> Quarantine | None:
    """The same of any such table."""
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
    """The rows as they lie there, every value a text; none where there is no such file, or nothing in it.

    Raises:
        Refusal: it cannot be read, or is no table of rows set aside any more.
    """
    if not place.exists() or place.stat().st_size == 0:
        return pl.DataFrame()
    try:
        rows = read_any(place)
    except Refusal as refusal:
        raise unreadable(place, refusal.received) from None
    lost = [name for name in (REASON, FILE, LINE) if name not in rows.columns]
    if lost:
        raise unreadable(place, f"no column {', '.join(lost)}")
    return rows


def unreadable(place: Path, why: str) -> Refusal:
    return Refusal(
        "Rows that were set aside must lie in a table that can be read, with its columns.",
        f"{place}: {why}",
        f"Mend it, take its rows back (make data ADD={place}), or move it elsewhere; nothing was changed.",
    )


def readable(place: Path, say: Say) -> pl.DataFrame:
    """The rows as they lie there; a file that cannot be read any more is kept under another name, which is told."""
    try:
        return read(place)
    except Refusal as refusal:
        names = (place.with_name(f"{place.stem}.kept-{number}.csv") for number in count(1))
        kept = next(name for name in names if not name.exists())
        durable.move(place, kept)
        say(f"{refusal.received}. It is kept as {kept}, and the rows that are set aside now lie in {place}.")
        return pl.DataFrame()


def is_changed(place: Path) -> bool:
    """Whether a person has changed such a table since Ratchet wrote it.

    Of a table that an earlier version wrote there is no note: it is as it was if it reads as Ratchet writes.
    """
    if not place.exists():
        return False
    content = place.read_bytes()
    known = (durable.read_json(place.parent / WRITTEN) or {}).get(place.name)
    if known is not None:
        return hashlib.sha256(content).hexdigest() not in known
    try:
        return written(read(place)).encode().replace(b'""', b"") != content.replace(b'""', b"")
    except Refusal:
        return True


def refuse_changed(place: Path) -> None:
    """Raise where a person has changed such a table, before another takes its place.

    Raises:
        Refusal: somebody has.
    """
    if is_changed(place):
        raise Refusal(
            "Rows that were set aside and that somebody has changed are not overwritten.",
            f"{place}, changed since Ratchet wrote it",
            f"Take them back: make data ADD={place}; or move that file elsewhere. Then give the same command again.",
        )


def sign(place: Path, content: bytes) -> None:
    """Note what Ratchet is about to put there, so that a person's change can be told from it."""
    beside = place.parent / WRITTEN
    signed = durable.read_json(beside) or {}
    digest = hashlib.sha256(content).hexdigest()
    earlier = [each for each in signed.get(place.name, []) if each != digest]
    durable.write_json(beside, signed | {place.name: [*earlier[-1:], digest]})


def put(place: Path, rows: pl.DataFrame) -> None:
    """Write such a table; one that a person has changed stays known as such."""
    text = written(rows)
    if not is_changed(place):
        sign(place, text.encode())
    durable.write(place, text)


def placed(reading: Reading) -> Reading:
    """A reading of such a table, its rows placed where they first came from; any other as it is."""
    if not {FILE, LINE} <= set(reading.frame.columns):
        return reading
    line = pl.col(LINE).cast(pl.UInt32, strict=False).fill_null(reading.places["line"])
    places = reading.frame.select(pl.col(FILE).fill_null(reading.places["file"]).alias("file"), line.alias("line"))
    return replace(reading, places=places)


def keep(here: Places, problem: str, aside: pl.DataFrame, names: Data, say: Say) -> Quarantine | None:
    """Lay rows of the pinned table that are not sound (row_facts.py) beside those that lie there already."""
    own = {"text": names.text, "label": names.label} | ({"group": names.group} if names.group else {})
    rows = aside.select(
        pl.col("reason").alias(REASON),
        pl.lit("data/table.csv").alias(FILE),
        pl.col("row").alias(LINE),
        *(pl.col(column).alias(name) for column, name in own.items()),
    )
    lying = joined(readable(path(here, problem), say), rows)
    put(path(here, problem), lying)
    return summary(here, problem, lying)


def joined(earlier: pl.DataFrame | None, now: pl.DataFrame) -> pl.DataFrame:
    """Rows set aside before and now, each once."""
    texts = now.cast({LINE: pl.String}).with_columns(pl.col(pl.String).replace("", None))
    if earlier is None or earlier.is_empty():
        return texts
    return pl.concat([earlier, texts], how="diagonal").unique(maintain_order=True)


def written(rows: pl.DataFrame) -> str:
    """The table as CSV, with the mark by which spreadsheets know UTF-8; empty without rows."""
    return rows.write_csv(include_bom=True) if rows.height else ""
