"""What a row of texts to classes is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from ratchet.tasks.classify_text.columns import Columns


def inputs(table: pl.DataFrame, data: Columns) -> pl.Series:
    """The texts of an owner's table."""
    return table[data.text]
