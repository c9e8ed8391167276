"""What a row of texts to classes is."""

from __future__ import annotations

from typing import Any

import polars as pl


def inputs(table: pl.DataFrame, data: Any) -> pl.Series:
    texts: pl.Series = table[data.text]
    return texts


def owned(inputs: pl.Series, data: Any) -> pl.DataFrame:
    return inputs.alias(data.text).to_frame()
