"""The rows of the pinned data: raw, and prepared for every stage after build.

Each class is a handle: it can be iterated any number of times, gives the rows batch by batch, and never holds all of
them in memory. Prepared rows are cached as Parquet in state/cache/, under a key of data version, columns, preparing
code (the face `rows` of the kind of problem too) and polars' version, never of their contents. A missing cache file is
made again by the same pure steps.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import cast

import polars as pl

from models.text import normalise, redact
from ratchet.data.prepare import canonical_columns, deduplicate, label_sources, row_facts, split, table_facts
from ratchet.data.prepare.table_facts import measure_table
from ratchet.data.tables import canonical_csv, key_index
from ratchet.data.tables.key_index import Flags
from ratchet.data.tables.row_store import StoredRows, store
from ratchet.problem import data_pin
from ratchet.problem.data_pin import SplitSpec
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.tasks import Task

VALIDATING, JUDGING = 100_000, 250_000
"""Most rows of the validation and of the holdout side that are scored: an accuracy then has a standard error of at most
0.16 and 0.1 points. Of more rows, those with the lowest places (ratchet/data/prepare/split.py) are scored."""

CELLS = 25_000_000
"""Most outputs held for one model, rows times columns: 200 MB. With 1,000 classes 25,000 rows are scored."""


@dataclass(frozen=True)
class RawRows:
    """The pinned table in canonical columns, followed by the feedback, batch by batch.

    Iterating raises a Refusal where params.yaml names a column that the table does not have.

    Attributes:
        tell: called with the bytes of each batch of the table that was gone through.
    """

    problem: Problem
    tell: Callable[[int], None] = lambda _: None

    def __iter__(self) -> Iterator[pl.DataFrame]:
        data = self.problem.settings.data
        first = 1
        for frame in canonical_csv.read_batches(self.path, tell=self.tell):
            try:
                loaded = canonical_columns.canonical_frame(frame, data, self.problem.task, first)
            except ValueError as error:
                raise Refusal(
                    "params.yaml must name columns of the pinned table.", str(error), "Mend `data` in params.yaml."
                ) from None
            yield loaded
            first += frame.height
        yield from self._feedback(first, loaded)

    @property
    def path(self) -> Path:
        """The file of the table."""
        return self.problem.here.data / data_pin.TABLE

    def _feedback(self, first: int, like: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """The usable rows of feedback.csv.

        Args:
            first: number of the first row.
            like: a frame with the canonical columns.
        """
        path = self.problem.here.data / data_pin.FEEDBACK
        if not path.exists():
            return
        rows = label_sources.usable_rows(
            canonical_csv.read(path).select("text", "label", "label_source"), self.problem.split
        )
        if rows.height:
            yield pl.concat([like.clear(), rows.with_row_index("row", offset=first)], how="diagonal")

    @cached_property
    def counts(self) -> Counter[str | None]:
        """Number of rows of each label, in one pass."""
        counts: Counter[str | None] = Counter()
        for frame in self:
            counts.update(dict(frame["label"].value_counts().iter_rows()))
        return counts

    @property
    def rows(self) -> int:
        return self.counts.total()

    @property
    def labels(self) -> set[str | None]:
        return set(self.counts)


@dataclass(frozen=True)
class Sample:
    """The rows of one side that are scored.

    Attributes:
        frame: those rows.
        rows: number of all rows of the side.
    """

    frame: pl.DataFrame
    rows: int

    def __str__(self) -> str:
        """A sentence where not all rows of the side are scored; empty otherwise."""
        shown = f"{self.frame.height:,} of {self.rows:,}"
        return f"{shown} rows are scored, chosen by their hash." if self.frame.height < self.rows else ""


@dataclass(frozen=True)
class PreparedRows:
    """The prepared rows, each with its side in the column `split`."""

    stored: StoredRows
    spec: SplitSpec
    task: Task

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return self.stored.batches()

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def grouped(self) -> bool:
        return "group" in self.stored.columns

    @cached_property
    def counts(self) -> Counter[tuple[str, str]]:
        """Number of rows of each side and label."""
        counts: Counter[tuple[str, str]] = Counter()
        for frame in self.stored.batches("split", "label"):
            for side, label, rows in frame.group_by("split", "label").len().iter_rows():
                counts[side, label] += rows
        return counts

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the columns of every model's outputs, in their order; for classes, these, sorted."""
        return self.task.judging.labels({label for _, label in self.counts})

    def count(self, side: str) -> int:
        """Number of rows of one side."""
        return sum(rows for (name, _), rows in self.counts.items() if name == side)

    def side(self, side: str) -> Iterator[pl.DataFrame]:
        """The rows of one side, batch by batch."""
        return (frame.filter(pl.col("split") == side) for frame in self)

    @cached_property
    def validation(self) -> Sample:
        return self._sample("validation", VALIDATING)

    @cached_property
    def holdout(self) -> Sample:
        return self._sample("holdout", JUDGING)

    def _sample(self, side: str, most: int) -> Sample:
        """The rows of a side that are scored: all, or as many as `most` and CELLS allow."""
        limit = min(most, CELLS // max(1, len(self.labels)))
        return Sample(*split.first(self.side(side), self.spec, limit))


def load_prepared(problem: Problem) -> PreparedRows:
    """The prepared rows, from the cache or made now."""
    cached = StoredRows(cache_path(problem))
    if cached.is_whole():
        return PreparedRows(cached, problem.split, problem.task)
    raw = RawRows(problem)
    with scratch_folder(problem.here) as folder:
        kept = measure_table(raw, folder, problem.task).selection.kept
    return prepare_rows(problem, raw, kept)


def prepare_rows(problem: Problem, raw: Iterable[pl.DataFrame], kept: Flags) -> PreparedRows:
    """Prepare the raw rows that are kept (`TableFacts.selection`), and put them into the cache."""
    stored = store(prepared(raw, kept, problem.split), cache_path(problem))
    return PreparedRows(stored, problem.split, problem.task)


def prepared(raw: Iterable[pl.DataFrame], kept: Flags, spec: SplitSpec) -> Iterator[pl.DataFrame]:
    """The rows to keep, in normal form and with their sides, batch by batch."""
    start = 0
    for frame in raw:
        end = start + frame.height
        yield split.assign_sides(deduplicate.normalised(frame.filter(kept[start:end])), spec)
        start = end


@contextmanager
def scratch_folder(here: Places) -> Iterator[Path]:
    """An empty folder that is removed after the block."""
    here.work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=here.work) as folder:
        yield Path(folder)


def cache_path(problem: Problem) -> Path:
    """The cache file of a problem's prepared rows."""
    key = hashlib.sha256()
    for word in (problem.pin.version, problem.settings.data.model_dump_json(), pl.__version__):
        key.update(word.encode() + b"\0")
    for module in (
        row_facts,
        table_facts,
        label_sources,
        canonical_columns,
        key_index,
        normalise,
        deduplicate,
        redact,
        split,
        canonical_csv,
        sys.modules[__name__],
    ):
        key.update(inspect.getsource(module).encode())
    key.update(Path(inspect.getfile(cast("ModuleType", problem.task.rows))).read_bytes())
    return problem.here.state / "cache" / f"prepared-{problem.pin.short}-{key.hexdigest()[:12]}.parquet"
