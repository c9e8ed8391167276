"""Compare two versions of a table: rows added, rows withdrawn, labels and classes changed.

Rows with `text` and `label` enter; counts leave, and the withdrawn texts in compared form. Rows are identified by their
text in compared form, as everywhere: another space or case in a text is no change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

from models.text.normalise import compared_form
from models.text.redact import redact
from ratchet.data.tables import key_index
from ratchet.data.tables.key_index import KEY
from ratchet.data.tables.row_store import BATCH


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
    before: Iterable[pl.DataFrame], after: pl.DataFrame, seen: pl.Series | None = None, has_classes: bool = True
) -> Revision:
    """Compare the next version with the last.

    Args:
        before: rows of the last version, columns `text` and `label`, in one or more batches.
        after: rows of the next version, likewise.
        seen: all texts of the next table, with those set aside: a row that is set aside was not withdrawn. None where
            no row was set aside.
        has_classes: whether labels are classes, of which one may be new or gone.
    """
    new = keyed(after)
    present = (new.select(KEY) if seen is None else keys(seen).drop_nulls()).unique()
    olds, labels, gone = [], [], []
    for frame in before:
        old = keyed(frame)
        texts = frame["text"].drop_nulls()
        olds.append(old)
        labels.append(frame["label"])
        gone.append(texts.filter(_absent(old, present)))
    old = pl.concat(olds)
    withdrawn = pl.concat(gone)
    redacted = compared_form(pl.Series("text", [redact(text) for text in withdrawn], dtype=pl.String))
    classes = pl.concat(labels)
    return Revision(
        rows_before=classes.len(),
        rows_after=after.height,
        added=new.join(old, on=KEY, how="anti").select(KEY).n_unique(),
        withdrawn=withdrawn.len(),
        relabelled=relabelled(old, new),
        new_classes=only_in(after["label"], classes) if has_classes else (),
        gone_classes=only_in(classes, after["label"]) if has_classes else (),
        gone=pl.concat([compared_form(withdrawn), redacted.filter(_absent(keys(redacted), present))]).unique(),
    )


def keyed(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows that have a text: their labels, and their texts' `keys`."""
    rows = frame.select("text", "label").drop_nulls("text")
    return keys(rows["text"]).with_columns(rows["label"])


def keys(texts: pl.Series) -> pl.DataFrame:
    """What identifies each text: columns KEY, a hash of its compared form; null for a missing text.

    No copy of all texts is made: a table and its last version may be nearly as large as the memory.
    """
    parts = [key_index.digests(compared_form(texts.slice(start, BATCH))) for start in range(0, texts.len(), BATCH)]
    return pl.concat(parts) if parts else key_index.digests(texts)


def _absent(keys: pl.DataFrame, present: pl.DataFrame) -> pl.Series:
    """For each key whether it is not among those present."""
    numbered = keys.select(KEY).with_row_index("at")
    absent = numbered.join(present, on=KEY, how="anti")["at"]
    return numbered["at"].is_in(absent.implode())


def relabelled(old: pl.DataFrame, new: pl.DataFrame) -> int:
    """Texts of both versions whose sets of labels differ."""
    on = [*KEY, "label"]
    pairs = (old.unique(), new.unique())
    differing = pl.concat(
        one.join(other, on=on, how="anti", nulls_equal=True).select(KEY) for one, other in (pairs, pairs[::-1])
    )
    return differing.unique().join(old, on=KEY, how="semi").join(new, on=KEY, how="semi").height


def only_in(labels: pl.Series, others: pl.Series) -> tuple[tuple[str, int], ...]:
    """The classes of one version that the other lacks, the largest first."""
    counted = (
        labels.drop_nulls().rename("label").value_counts().filter(~pl.col("label").is_in(others.unique().implode()))
    )
    return tuple(counted.sort(["count", "label"], descending=[True, False]).iter_rows())


def holds(columns: Iterable[pl.Series], texts: pl.Series) -> bool:
    """Whether any value, in any column, is one of these texts in compared form."""
    return any(compared_form(column.drop_nulls()).is_in(texts.implode()).any() for column in columns)
