"""Compare two versions of a table: rows added, rows withdrawn, labels and classes changed.

Two frames with `text` and `label` enter; counts leave, and the withdrawn texts in compared form. Rows are identified by
their text in compared form, as everywhere: another space or case in a text is no change.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from models.text.normalise import compared_form
from models.text.redact import redact


@dataclass(frozen=True)
class Revision:
    """How a next version differs from the last.

    Attributes:
        rows_before: rows of the last version.
        rows_after: rows of the next version.
        added: texts that only the next version has.
        withdrawn: rows of the last version whose text the next table does not have.
        relabelled: texts of both versions whose sets of labels differ.
        new_classes: classes that only the next version has, each with its rows there.
        gone_classes: classes that only the last version has, each with its rows there.
        gone: the withdrawn texts in compared form, each once, as they are and redacted, as in a redacted prediction
            log. They are texts, so they are never printed or stored.
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
        """The changes, separated by commas."""
        counts = (
            (self.added, "came"),
            (self.withdrawn, "withdrawn"),
            (self.relabelled, "with another label"),
        )
        parts = [f"{number:,} {'row' if number == 1 else 'rows'} {words}" for number, words in counts if number]
        parts += [f"new class {label!r} ({rows:,} rows)" for label, rows in self.new_classes[:5]]
        parts += [f"class {label!r} is gone (it had {rows:,} rows)" for label, rows in self.gone_classes[:5]]
        return ", ".join(parts) or "the same rows"


def compare_tables(
    before: pl.DataFrame, after: pl.DataFrame, seen: pl.Series | None = None, has_classes: bool = True
) -> Revision:
    """Compare the next version with the last.

    Args:
        before: rows of the last version, columns `text` and `label`.
        after: rows of the next version, likewise.
        seen: all texts of the next table, with those set aside: a row that is set aside was not withdrawn. None where
            no row was set aside.
        has_classes: whether labels are classes, of which one may be new or gone.
    """
    old, new = keyed(before), keyed(after)
    present = compared_form(seen.drop_nulls().rename("text")).unique() if seen is not None else new["key"].unique()
    gone = old.filter(~pl.col("key").is_in(present.implode()))
    withdrawn = before.drop_nulls("text")["text"].filter(~old["key"].is_in(present.implode()))
    redacted_keys = compared_form(pl.Series("key", [redact(text) for text in withdrawn], dtype=pl.String))
    added = new.filter(~pl.col("key").is_in(old["key"].unique().implode()))
    return Revision(
        rows_before=before.height,
        rows_after=after.height,
        added=added["key"].n_unique(),
        withdrawn=gone.height,
        relabelled=relabelled(old, new),
        new_classes=only_in(after["label"], before["label"]) if has_classes else (),
        gone_classes=only_in(before["label"], after["label"]) if has_classes else (),
        gone=pl.concat([gone["key"], redacted_keys.filter(~redacted_keys.is_in(present.implode()))]).unique(),
    )


def keyed(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows that have a text, with its compared form as `key`."""
    rows = frame.select("text", "label").drop_nulls("text")
    return rows.select(key(rows["text"]), "label")


def key(texts: pl.Series) -> pl.Series:
    """The compared form that identifies a text; null for a missing text."""
    return compared_form(texts).rename("key")


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
    return any(compared_form(column.drop_nulls()).is_in(keys.implode()).any() for column in table.iter_columns())
