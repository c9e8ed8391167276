"""What a next version of a table changes: rows that came, rows that were withdrawn, labels, classes.

Two frames with `text` and `label` enter; counts leave, and the compared forms of the texts that are gone. Rows are told
by their text in its compared form, as everywhere: spelling a text with another space or case is no change.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from ratchet.data.prepare.redact import redacted
from ratchet.data.prepare.row_facts import compared


@dataclass(frozen=True)
class Revision:
    """How a next version differs from the last.

    rows_before, rows_after: rows of the two.
    added, relabelled: texts that only the next has; texts whose labels differ.
    withdrawn: rows of the last version whose text the next table does not have.
    gone: those texts in compared form, each once, and as a log that keeps them redacted has them; it is texts, so it is
    printed and kept nowhere.
    new_classes, gone_classes: each with its rows, in the version that has it.
    """

    rows_before: int
    rows_after: int
    added: int
    withdrawn: int
    relabelled: int
    new_classes: tuple[tuple[str, int], ...]
    gone_classes: tuple[tuple[str, int], ...]
    gone: pl.Series = field(repr=False, compare=False)

    @property
    def withdrawn_share(self) -> float:
        return self.withdrawn / self.rows_before if self.rows_before else 0.0

    def __str__(self) -> str:
        """What changed, in one clause after the other."""
        counts = (
            (self.added, "came"),
            (self.withdrawn, "withdrawn"),
            (self.relabelled, "with another label"),
        )
        parts = [f"{number:,} {'row' if number == 1 else 'rows'} {words}" for number, words in counts if number]
        parts += [f"new class {label!r} ({rows:,} rows)" for label, rows in self.new_classes[:5]]
        parts += [f"class {label!r} is gone (it had {rows:,} rows)" for label, rows in self.gone_classes[:5]]
        return ", ".join(parts) or "the same rows"


def revise(before: pl.DataFrame, after: pl.DataFrame, seen: pl.Series | None = None) -> Revision:
    """Hold a next version against the last.

    Args:
        before, after: the rows of the two versions, columns `text` and `label`.
        seen: every text that the next table has, those set aside included; a row that is set aside was not withdrawn.
    """
    old, new = keyed(before), keyed(after)
    there = compared(seen.drop_nulls().rename("text")).unique() if seen is not None else new["key"].unique()
    gone = old.filter(~pl.col("key").is_in(there.implode()))
    left = before.drop_nulls("text")["text"].filter(~old["key"].is_in(there.implode()))
    masked = compared(pl.Series("key", [redacted(text) for text in left], dtype=pl.String))
    came = new.filter(~pl.col("key").is_in(old["key"].unique().implode()))
    return Revision(
        rows_before=before.height,
        rows_after=after.height,
        added=came["key"].n_unique(),
        withdrawn=gone.height,
        relabelled=relabelled(old, new),
        new_classes=only_in(after["label"], before["label"]),
        gone_classes=only_in(before["label"], after["label"]),
        gone=pl.concat([gone["key"], masked.filter(~masked.is_in(there.implode()))]).unique(),
    )


def keyed(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows that have a text, with its compared form as `key`."""
    there = frame.select("text", "label").drop_nulls("text")
    return there.select(key(there["text"]), "label")


def key(texts: pl.Series) -> pl.Series:
    """The compared form by which texts are told apart; missing where the text is."""
    return compared(texts).rename("key")


def relabelled(old: pl.DataFrame, new: pl.DataFrame) -> int:
    """Texts of both versions whose sets of labels differ."""
    labels = pl.col("label").unique().sort().alias("labels")
    both = old.group_by("key").agg(labels).join(new.group_by("key").agg(labels), on="key")
    return both.filter(pl.col("labels") != pl.col("labels_right")).height


def only_in(labels: pl.Series, others: pl.Series) -> tuple[tuple[str, int], ...]:
    """The classes of one version that the other lacks, the largest first."""
    counted = (
        labels.drop_nulls().rename("label").value_counts().filter(~pl.col("label").is_in(others.unique().implode()))
    )
    return tuple(counted.sort(["count", "label"], descending=[True, False]).iter_rows())


def holds(table: pl.DataFrame, keys: pl.Series) -> bool:
    """Whether any value of a table, in any column, is one of these texts in compared form."""
    return any(compared(column.drop_nulls()).is_in(keys.implode()).any() for column in table.iter_columns())
