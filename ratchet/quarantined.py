"""A problem's rows set aside: `state/quarantine/<problem>.csv`, a table that a person opens, mends and brings back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from ratchet.ingest import FILE, LINE, REASON
from ratchet.places import Places
from ratchet.reading import Reading, read_any
from ratchet.refusal import Refusal
from ratchet.settings import Data


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
    """What lies aside of a problem; None where nothing does."""
    return summary_of(here, path(here, problem), aside)


def summary_of(here: Places, place: Path, aside: pl.DataFrame | None = None) -> Quarantine | None:
    """The same of any such table."""
    rows = read(place) if aside is None else aside
    if rows.is_empty():
        return None
    counted = rows[REASON].fill_null("no reason given").rename("reason").value_counts(sort=True)
    first = tuple(f"{file} line {line}" for file, line in rows.select(FILE, LINE).head(5).iter_rows())
    shown = place.relative_to(here.root) if place.is_relative_to(here.root) else place
    return Quarantine(shown, rows.height, tuple(counted.iter_rows()), first)


def read(place: Path) -> pl.DataFrame:
    """The rows as they lie there, every value a text; none where there is no such file, or it is no quarantine now."""
    if not place.exists():
        return pl.DataFrame()
    try:
        rows = read_any(place)
    except Refusal:
        return pl.DataFrame()
    return rows if {REASON, FILE, LINE} <= set(rows.columns) else pl.DataFrame()


def placed(reading: Reading) -> Reading:
    """A reading of such a table, its rows placed where they first came from; any other as it is."""
    if not {FILE, LINE} <= set(reading.frame.columns):
        return reading
    line = pl.col(LINE).cast(pl.UInt32, strict=False).fill_null(reading.places["line"])
    places = reading.frame.select(pl.col(FILE).fill_null(reading.places["file"]).alias("file"), line.alias("line"))
    return replace(reading, places=places)


def keep(here: Places, problem: str, aside: pl.DataFrame, names: Data) -> Quarantine | None:
    """Lay rows of the pinned table that are not sound (steps/quarantine.py) beside those that lie there already."""
    own = {"text": names.text, "label": names.label} | ({"group": names.group} if names.group else {})
    rows = aside.select(
        pl.col("reason").alias(REASON),
        pl.lit("data/table.csv").alias(FILE),
        pl.col("row").alias(LINE),
        *(pl.col(column).alias(name) for column, name in own.items()),
    )
    lying = joined(read(path(here, problem)), rows)
    here.quarantine.mkdir(parents=True, exist_ok=True)
    path(here, problem).write_text(written(lying), encoding="utf-8")
    return summary(here, problem, lying)


def joined(earlier: pl.DataFrame | None, now: pl.DataFrame) -> pl.DataFrame:
    """Rows set aside before and now, each once."""
    texts = now.cast({LINE: pl.String})
    if earlier is None or earlier.is_empty():
        return texts
    return pl.concat([earlier, texts], how="diagonal").unique(maintain_order=True)


def written(rows: pl.DataFrame) -> str:
    """The table as CSV, with the mark by which spreadsheets know UTF-8; empty without rows."""
    return rows.write_csv(include_bom=True) if rows.height else ""
