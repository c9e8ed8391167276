"""The facts of a table that may be larger than memory: batches of its rows enter, `TableFacts` leaves.

Facts that depend on no other row (ratchet/data/prepare/row_facts.py) are measured batch by batch and written to disk;
those that need the whole table (copies, classes, crossings) come from hashes and counts at the end. The same hashes say
which rows are learned from, so that a table's copies are looked for once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ratchet.data.prepare import deduplicate, row_facts
from ratchet.data.prepare.deduplicate import TARGET, Selection
from ratchet.data.tables.key_index import Flags, KeyIndex, KeyMatches
from ratchet.data.tables.row_store import BATCH, StoredRows, storing
from ratchet.tasks import Task


@dataclass(frozen=True)
class TableFacts:
    """The facts of a table; the files lie in the folder that `measure_table` was given.

    Attributes:
        aside: the rows to be set aside, each with its `row` and `reason`, in their order.
        stays: for each row whether it is valid; a byte a row.
        selection: which rows are learned from.
        facts: the facts that depend on no other row.
        table_wide: the other facts that are Boolean, by name.
        classes: number of valid rows of each class; None where labels are no classes.
    """

    aside: StoredRows
    stays: Flags
    selection: Selection
    facts: StoredRows
    table_wide: dict[str, Flags]
    classes: dict[str, int] | None

    @property
    def rows(self) -> int:
        return len(self.stays)

    @property
    def labels(self) -> set[str | None]:
        """The labels of all rows, valid or not."""
        return {label for frame in self.facts.batches("label") for label in frame["label"].unique()}

    def slices(self, rows: int) -> Iterator[pl.DataFrame]:
        """All facts of all rows in order, in frames of `rows` rows (the last has fewer); at least one frame."""
        waiting = pl.DataFrame()
        for facts in self._complete():
            waiting = pl.concat([waiting, facts]) if waiting.width else facts
            while waiting.height > rows:
                yield waiting.head(rows)
                waiting = waiting.slice(rows)
        yield waiting

    def _complete(self) -> Iterator[pl.DataFrame]:
        """Batches of facts, with the table-wide ones."""
        start = 0
        classes = None if self.classes is None else _class_facts(self.classes)
        for facts in self.facts.batches():
            end = start + facts.height
            flags = [pl.Series(name, values[start:end]) for name, values in self.table_wide.items()]
            if classes is not None:
                facts = facts.join(classes, on="class", how="left", maintain_order="left")
            yield facts.with_columns(*flags)
            start = end


def _class_facts(classes: dict[str, int]) -> pl.DataFrame:
    """Rows of each class, as a number and as a share of the valid rows."""
    counted = pl.DataFrame(
        {"class": list(classes), "class_rows": list(classes.values())},
        schema={"class": pl.String, "class_rows": pl.UInt32},
    )
    return counted.with_columns(class_share=pl.col("class_rows") / pl.col("class_rows").sum())


def measure_table(batches: Iterable[pl.DataFrame], folder: Path, task: Task) -> TableFacts:
    """Measure all rows.

    Args:
        batches: frames with the same columns, at least one, `row` among them, as `rows.RawRows` gives them.
        folder: an existing folder for the files.
        task: the kind of problem.

    Raises:
        ValueError: the batches have no column `text` or no column `label`.
    """
    texts: KeyIndex | None = None
    groups: KeyIndex | None = None
    classes: Counter[str] | None = Counter() if task.rows.HAS_CLASSES else None
    stays: list[Flags] = []
    with storing(folder / "facts.parquet", BATCH) as keep, storing(folder / "aside.parquet") as put_aside:
        for frame in batches:
            facts = row_facts.row_only_facts(frame, task)
            split = ["split"] if "split" in facts.columns else []
            texts = texts or KeyIndex([TARGET, "label", *split], folder)
            texts.add(facts[row_facts.KEY], facts.with_columns(deduplicate.normal_label().alias(TARGET)))
            if split and "group" in facts.columns:
                groups = groups or KeyIndex(split, folder)
                groups.add(facts["group"], facts)
            if classes is not None:
                classes.update(dict(facts["class"].drop_nulls().value_counts().iter_rows()))
            stays.append(~facts["set_aside"].to_numpy())
            keep(facts.drop(row_facts.KEY))
            put_aside(row_facts.set_aside(frame, facts, task)[1])
    assert texts is not None, "storing insists on a batch"
    valid = np.concatenate(stays)
    of_all, of_valid = texts.match_among(np.ones_like(valid), valid)
    return TableFacts(
        StoredRows(folder / "aside.parquet"),
        valid,
        deduplicate.select(valid, of_valid, task.unit),
        StoredRows(folder / "facts.parquet"),
        _table_wide(of_all, groups),
        None if classes is None else dict(classes),
    )


def _table_wide(matches: KeyMatches, groups: KeyIndex | None) -> dict[str, Flags]:
    """The Boolean facts that need the whole table, by name.

    `duplicate`: a copy of an earlier row's input. `conflict`: an input whose copies have different labels.
    `text_crosses`, `group_crosses`: an input, or a group, in more than one split.
    """
    flags = {"duplicate": matches.duplicate, "conflict": matches.conflict["label"]}
    if "split" in matches.conflict:
        flags["text_crosses"] = matches.conflict["split"]
        flags["group_crosses"] = groups.match().conflict["split"] if groups else np.zeros_like(matches.duplicate)
    return flags
