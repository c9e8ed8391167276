"""The rows of the pinned data: raw as loaded, valid, and prepared as every stage after build meets them.

Whoever has one of these has a handle; the rows come batch by batch, as often as they are asked for, and are never in
memory together. Prepared rows are kept as Parquet in state/cache/, under a key of data version, columns, preparing code
and polars' version; never under their contents. What is missing there is made again by the same pure steps.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from models.text import normalise
from ratchet.data.prepare import canonical_columns, deduplicate, label_sources, redact, row_facts, split
from ratchet.data.prepare.deduplicate import PreparationReport
from ratchet.data.tables import canonical_csv, key_index
from ratchet.data.tables.key_index import KeyIndex
from ratchet.data.tables.row_store import StoredRows, store
from ratchet.project import data_pin
from ratchet.project.data_pin import SplitSpec
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.problem import Problem

VALIDATING, JUDGING = 100_000, 250_000
"""Rows of the validation and of the holdout side that are scored; with so many, an accuracy has a standard error of at
most 0.16 and 0.1 points. Of more, those with the lowest places (ratchet/data/prepare/split.py) stand for all."""

CELLS = 25_000_000
"""Probabilities held for one model, rows times classes: 200 MB. With 1,000 classes 25,000 rows judge."""


@dataclass(frozen=True)
class RawRows:
    """The pinned table in canonical columns, batch by batch, and behind it what people said of answers.

    Raises, when its rows are asked for:
        Refusal: params.yaml names a column that the table does not have.
    """

    problem: Problem

    def __iter__(self) -> Iterator[pl.DataFrame]:
        data, first = self.problem.settings.data, 1
        for frame in canonical_csv.read_batches(self.problem.here.data / data_pin.TABLE):
            try:
                loaded = canonical_columns.load(frame, data.text, data.label, data.group, data.slices, first)
            except ValueError as error:
                raise Refusal(
                    "params.yaml must name columns of the pinned table.", str(error), "Mend `data` in params.yaml."
                ) from None
            yield loaded
            first += frame.height
        yield from self._fed_back(first, loaded)

    def _fed_back(self, first: int, like: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """What people said of the champion's answers, as far as it plays a part; like: a frame with the columns."""
        path = self.problem.here.data / data_pin.FEEDBACK
        if not path.exists():
            return
        rows = label_sources.usable(
            canonical_csv.read(path).select("text", "label", "label_source"), self.problem.split
        )
        if rows.height:
            yield pl.concat([like.clear(), rows.with_row_index("row", offset=first)], how="diagonal")

    @cached_property
    def counts(self) -> Counter[str | None]:
        """Rows of each label, in one pass."""
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
class ValidRows:
    """The raw rows less those that are set aside."""

    raw: RawRows

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for frame in self.raw:
            yield row_facts.set_aside(frame, row_facts.flaws(frame))[0]


@dataclass(frozen=True)
class Sample:
    """Rows of one side that are scored. rows: of that side altogether."""

    frame: pl.DataFrame
    rows: int

    def __str__(self) -> str:
        """What is to be said where it is not all of them; nothing otherwise."""
        shown = f"{self.frame.height:,} of {self.rows:,}"
        return f"{shown} rows are scored, chosen by their hash." if self.frame.height < self.rows else ""


@dataclass(frozen=True)
class PreparedRows:
    """The prepared rows, each with its side in the column `split`."""

    stored: StoredRows
    spec: SplitSpec

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return self.stored.batches()

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def grouped(self) -> bool:
        return "group" in self.stored.columns

    @cached_property
    def counts(self) -> Counter[tuple[str, str]]:
        """Rows of each side and label."""
        counts: Counter[tuple[str, str]] = Counter()
        for frame in self.stored.batches("split", "label"):
            for side, label, rows in frame.group_by("split", "label").len().iter_rows():
                counts[side, label] += rows
        return counts

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, sorted: the order of every model's columns."""
        return tuple(sorted({label for _, label in self.counts}))

    def count(self, side: str) -> int:
        return sum(rows for (of, _), rows in self.counts.items() if of == side)

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
        """The rows of a side that are scored: all, unless there are too many."""
        return Sample(*split.first(self.side(side), self.spec, min(most, CELLS // max(1, len(self.labels)))))


def prepared(problem: Problem) -> PreparedRows:
    """The prepared rows: from the cache, or made now."""
    kept = StoredRows(cache_path(problem))
    if kept.is_whole():
        return PreparedRows(kept, problem.split)
    return prepare_rows(problem, ValidRows(RawRows(problem)))[0]


def prepare_rows(problem: Problem, valid: Iterable[pl.DataFrame]) -> tuple[PreparedRows, PreparationReport]:
    """The valid rows prepared and put into the cache."""
    with scratch(problem.here) as folder:
        stored, report = prepare_batches(valid, problem.split, folder, cache_path(problem))
    return PreparedRows(stored, problem.split), report


def prepare_batches(
    valid: Iterable[pl.DataFrame], spec: SplitSpec, folder: Path, path: Path
) -> tuple[StoredRows, PreparationReport]:
    """What `prepare` and `assign` make of valid rows that come in batches.

    Args:
        valid: batches of the rows, which are asked for twice.
        folder: for what does not stay in memory meanwhile. path: where the prepared rows go.
    """
    texts = KeyIndex(["label"], folder)
    for frame in valid:
        texts.add(row_facts.compared(frame["text"]), frame.select(pl.col("label").str.strip_chars()))
    found = texts.found()
    torn = found.torn["label"]
    stored = store(_kept(valid, ~found.repeated & ~torn, spec), path)
    return stored, deduplicate.report_of(found.repeated, torn, found.torn_keys["label"])


def _kept(valid: Iterable[pl.DataFrame], kept: key_index.Flags, spec: SplitSpec) -> Iterator[pl.DataFrame]:
    start = 0
    for frame in valid:
        end = start + frame.height
        yield split.assign(deduplicate.spelled(frame.filter(kept[start:end])), spec)
        start = end


@contextmanager
def scratch(here: Places) -> Iterator[Path]:
    """An empty folder that is gone after the block."""
    here.work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=here.work) as folder:
        yield Path(folder)


def cache_path(problem: Problem) -> Path:
    key = hashlib.sha256()
    for word in (problem.pin.version, problem.settings.data.model_dump_json(), pl.__version__):
        key.update(word.encode() + b"\0")
    for module in (
        row_facts,
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
    return problem.here.state / "cache" / f"prepared-{problem.pin.short}-{key.hexdigest()[:12]}.parquet"
