"""The facts of a table that is too long for memory: batches of its rows enter, a Survey leaves.

The facts are those of `facts.measure`, row for row. What a row has by itself is measured as its batch comes, and kept
on disk; what only the whole table can tell (copies, classes, crossings) is found from hashes and counts at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ratchet.data.prepare import row_facts
from ratchet.data.tables.key_index import Flags, KeyIndex
from ratchet.data.tables.row_store import StoredRows, storing


@dataclass(frozen=True)
class TableFacts:
    """What was found in a table; its files lie in the folder that `survey` was given.

    aside: the rows to be set aside, each with its `row` and `reason`, as they came.
    stays: for each row whether it stays; a byte a row.
    facts: the facts that a row has by itself. table_wide: the others that are about rows, by name.
    classes: rows of each class, counted over the rows that stay.
    """

    aside: StoredRows
    stays: Flags
    facts: StoredRows
    table_wide: dict[str, Flags]
    classes: dict[str, int]

    @property
    def rows(self) -> int:
        return len(self.stays)

    def slices(self, rows: int) -> Iterator[pl.DataFrame]:
        """All facts of all rows in order, so many rows at a time (the last fewer); at least one frame."""
        waiting = pl.DataFrame()
        for known in self._finished():
            waiting = pl.concat([waiting, known]) if waiting.width else known
            while waiting.height > rows:
                yield waiting.head(rows)
                waiting = waiting.slice(rows)
        yield waiting

    def _finished(self) -> Iterator[pl.DataFrame]:
        """Batches of facts, the table-wide ones added."""
        start = 0
        classes = pl.DataFrame(
            {"class": list(self.classes), "class_rows": list(self.classes.values())},
            schema={"class": pl.String, "class_rows": pl.UInt32},
        )
        classes = classes.with_columns(class_share=pl.col("class_rows") / pl.col("class_rows").sum())
        for known in self.facts.batches():
            end = start + known.height
            flags = [pl.Series(name, of[start:end]) for name, of in self.table_wide.items()]
            yield known.join(classes, on="class", how="left", maintain_order="left").with_columns(*flags)
            start = end


def survey(batches: Iterable[pl.DataFrame], folder: Path, max_characters: int = row_facts.MAX_CHARACTERS) -> TableFacts:
    """The facts of all rows, and which of them are to be set aside.

    Args:
        batches: frames with the same columns, at least one, `row` among them (`rows.Raw` gives such).
        folder: an existing one, for what does not stay in memory.

    Raises:
        ValueError: the batches have no column `text` or no column `label`.
    """
    texts: KeyIndex | None = None
    groups: KeyIndex | None = None
    classes: Counter[str] = Counter()
    stays: list[Flags] = []
    with storing(folder / "facts.parquet") as keep, storing(folder / "aside.parquet") as put_aside:
        for frame in batches:
            known = row_facts.alone(frame, max_characters)
            split = ["split"] if "split" in known.columns else []
            texts = texts or KeyIndex(["label", *split], folder)
            texts.add(known[row_facts.KEY], known)
            if split and "group" in known.columns:
                groups = groups or KeyIndex(split, folder)
                groups.add(known["group"], known)
            classes.update(dict(known["class"].drop_nulls().value_counts().iter_rows()))
            stays.append(~known["set_aside"].to_numpy())
            keep(known.drop(row_facts.KEY))
            put_aside(row_facts.set_aside(frame, known)[1])
    assert texts is not None, "storing insists on a batch"
    return TableFacts(
        StoredRows(folder / "aside.parquet"),
        np.concatenate(stays),
        StoredRows(folder / "facts.parquet"),
        _table_wide(texts, groups),
        dict(classes),
    )


def _table_wide(texts: KeyIndex, groups: KeyIndex | None) -> dict[str, Flags]:
    """What the rows have to do with each other, by the names of `facts.measure`."""
    found = texts.found()
    flags = {"duplicate": found.repeated, "conflict": found.torn["label"]}
    if "split" in found.torn:
        flags["text_crosses"] = found.torn["split"]
        flags["group_crosses"] = groups.found().torn["split"] if groups else np.zeros_like(found.repeated)
    return flags
