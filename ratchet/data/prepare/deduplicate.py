"""Which rows to learn from: each input once, in normal form, without inputs that have two labels.

The copies were found while the table was measured (ratchet/data/prepare/table_facts.py). They are removed before rows
are split, not after: on one real data set a random split with copies scored 0.962 where the honest figure is 0.861 (the
Chinese reviews of ratchet/data/examples).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from models.text.normalise import normal_form
from ratchet.data.tables.key_index import Flags, KeyMatches
from ratchet.project.printable import with_article

TARGET = "target"
"""The mark of the matches: the label in normal form, in which copies have to agree."""


@dataclass(frozen=True)
class PreparationReport:
    """Counts of rows; rows_in = rows_out + copies + conflicting.

    Attributes:
        rows_in: valid rows.
        rows_out: prepared rows.
        copies: later copies of a text that is kept.
        conflicting: rows of texts whose copies have different labels; all copies of such a text are removed.
        conflicting_texts: the number of those texts.
        unit: what an input is called in a sentence.
    """

    rows_in: int
    rows_out: int
    copies: int
    conflicting: int
    conflicting_texts: int
    unit: str = "text"

    def __str__(self) -> str:
        return (
            f"{self.rows_out:,} of {self.rows_in:,} rows are kept: {self.copies:,} were copies, "
            f"{self.conflicting:,} had {with_article(self.unit)} with more than one label."
        )


@dataclass(frozen=True)
class Selection:
    """Which rows of a table are learned from.

    Attributes:
        kept: for each row whether it is.
        report: how many are, and why the others are not.
    """

    kept: Flags
    report: PreparationReport


def select(stays: Flags, matches: KeyMatches, unit: str) -> Selection:
    """The first row of each input, without inputs that have two labels.

    Args:
        stays: for each row whether it is valid.
        matches: of the valid rows among themselves, with the mark TARGET.
        unit: what an input is called in a sentence.
    """
    conflict = matches.conflict[TARGET]
    kept = stays & ~matches.duplicate & ~conflict
    rows_in, rows_out, conflicting = (int(rows.sum()) for rows in (stays, kept, conflict))
    copies = rows_in - rows_out - conflicting
    return Selection(
        kept, PreparationReport(rows_in, rows_out, copies, conflicting, matches.conflicting_keys[TARGET], unit)
    )


def normalised(rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows with text and label in normal form."""
    return rows.with_columns(normal_form(rows["text"]), normal_label())


def normal_label() -> pl.Expr:
    """The label without white space around it."""
    return pl.col("label").str.strip_chars()
