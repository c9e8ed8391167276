"""Which rows stay in a table and which are set aside, each with its reason: frames and facts in, two frames
out."""

from __future__ import annotations

import polars as pl

from ratchet.data.prepare.row_facts import REASONS


def set_aside(frame: pl.DataFrame, facts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The valid rows, and the others with a column `reason` (the first that holds) and their `row` in the
    source.

    Raises:
        ValueError: the facts are not those of this frame.
    """
    if facts.height != frame.height:
        raise ValueError(
            f"A frame and its facts must have the same rows. Received: {frame.height:,} rows, "
            f"facts of {facts.height:,}. Measure the frame again."
        )
    reason = reasons(facts)
    numbered = frame.with_columns(facts["row"], reason)
    return frame.filter(reason.is_null()), numbered.filter(reason.is_not_null())


def reasons(facts: pl.DataFrame) -> pl.Series:
    """Why each row is set aside: the first reason that holds, missing where none does."""
    said = pl.coalesce(_said(fact, words) for fact, words in REASONS.items())
    return facts.select(said.alias("reason")).to_series()


def _said(fact: str, words: str) -> pl.Expr:
    return pl.when(pl.col(fact)).then(pl.lit(words))
