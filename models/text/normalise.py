"""One text, one spelling: what a text looks like before anything compares, hashes or learns from it."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def normalised(text: pl.Expr) -> pl.Expr:
    """A text in Unicode form NFC, without control characters, each run of white space one space, none at the ends.

    It is idempotent: normalising twice gives the same text (tests/test_steps.py).
    Source: Unicode Standard Annex 15, Normalization Forms.
    """
    return text.str.replace_all(r"[\s\p{Cc}]+", " ").str.strip_chars(" ").str.normalize("NFC")


def normalise(texts: Sequence[str]) -> list[str]:
    """The same for a plain sequence of texts, in order."""
    return pl.Series("text", texts, dtype=pl.String).to_frame().select(normalised(pl.col("text")))["text"].to_list()


def normal_form(text: pl.Series) -> pl.Series:
    """The same for a column. Most texts are in normal form already, and finding that out is ten times quicker."""
    unusual = text.str.contains(r"[^ -~]|  |^ | $").arg_true()
    spelled = text.gather(unusual).rename("text").to_frame().select(normalised(pl.col("text")))["text"]
    return text.clone().scatter(unusual, spelled)
