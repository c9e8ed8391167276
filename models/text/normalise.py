"""The normal form of a text, in which texts are compared, hashed and learnt from."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def normalised(text: pl.Expr) -> pl.Expr:
    """An expression for texts in Unicode form NFC, with one space for each run of white space and control characters,
    and none at the ends.

    It is idempotent: normalising twice gives the same text (tests/data/prepare/test_prepare.py).
    Source: Unicode Standard Annex 15, Normalization Forms.
    """
    return text.str.replace_all(r"[\s\p{Cc}]+", " ").str.strip_chars(" ").str.normalize("NFC")


def normalise(texts: Sequence[str]) -> list[str]:
    """The normal forms of a sequence of texts."""
    return pl.Series("text", texts, dtype=pl.String).to_frame().select(normalised(pl.col("text")))["text"].to_list()


def normal_form(text: pl.Series) -> pl.Series:
    """The normal forms of a column. Most texts are in normal form already, and to check that is ten times quicker."""
    unusual = text.str.contains(r"[^ -~]|  |^ | $").arg_true()
    changed = text.gather(unusual).rename("text").to_frame().select(normalised(pl.col("text")))["text"]
    return text.clone().scatter(unusual, changed)


def compared_form(text: pl.Series) -> pl.Series:
    """The compared form of texts: in normal form, then in lower case. Texts are the same where it is."""
    return normal_form(text).str.to_lowercase()
