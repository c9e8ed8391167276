"""What a model may learn from: valid rows enter; each text once, in normal form, with one undisputed label
leaves.

Copies go before rows are split, not after: on one real set a random split with its copies scored 0.962
where the honest figure is 0.861 (the Chinese reviews of ratchet/examples).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from ratchet.steps.facts import compared
from ratchet.steps.normalise import normalised


@dataclass(frozen=True)
class Report:
    """What preparing did to the rows: rows in = rows out + copies + conflicting.

    copies: later copies of a text that is kept.
    conflicting: rows of the texts whose copies have different labels; all copies of such a text go.
    conflicting_texts: how many texts those are.
    """

    rows_in: int
    rows_out: int
    copies: int
    conflicting: int
    conflicting_texts: int

    def __str__(self) -> str:
        return (
            f"{self.rows_out:,} of {self.rows_in:,} rows are kept: {self.copies:,} were copies, "
            f"{self.conflicting:,} had a text with more than one label."
        )


@dataclass(frozen=True)
class Prepared:
    """The prepared rows, in the order of their first copies, and what was done to get them."""

    frame: pl.DataFrame
    report: Report


def prepare(valid: pl.DataFrame) -> Prepared:
    """Normal forms of text and label, each text once (case does not tell two texts apart), no text with two
    labels."""
    spelled = valid.with_columns(normalised(pl.col("text")), pl.col("label").str.strip_chars())
    keyed = spelled.with_columns(compared(spelled["text"]).alias("_key"))
    labels = pl.col("label").n_unique().over("_key")
    agreed = keyed.filter(labels == 1)
    kept = agreed.filter(pl.col("_key").is_first_distinct())
    report = Report(
        rows_in=valid.height,
        rows_out=kept.height,
        copies=agreed.height - kept.height,
        conflicting=valid.height - agreed.height,
        conflicting_texts=keyed["_key"].n_unique() - kept.height,
    )
    return Prepared(kept.drop("_key"), report)
