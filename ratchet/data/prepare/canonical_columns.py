"""A table as its owner wrote it -> the canonical frame: text, label, group, slices, label_source and row."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from ratchet.data.prepare.label_sources import ORIGINAL


def canonical_frame(
    table: pl.DataFrame,
    text: str,
    label: str,
    group: str | None = None,
    slices: Sequence[str] = (),
    first: int = 1,
) -> pl.DataFrame:
    """The same rows in the same order, under the canonical column names that every later step uses.

    Args:
        text: the table's own name of the text column.
        label: likewise of the label column.
        group: likewise of the group column; None for none.
        slices: likewise of the slice columns, which keep their names.
        first: number of the first row, for a later batch of a table.

    Raises:
        ValueError: the table lacks one of the columns.
    """
    required = [text, label, *([group] if group else []), *slices]
    missing = [name for name in required if name not in table.columns]
    if missing:
        raise ValueError(
            f"The table must have the columns that params.yaml names. Received: {', '.join(table.columns)}; "
            f"missing: {', '.join(missing)}. Mend `data` in params.yaml."
        )
    columns = {"text": pl.col(text), "label": pl.col(label)}
    if group:
        columns["group"] = pl.col(group)
    columns |= {name: pl.col(name) for name in slices if name not in columns}
    columns["label_source"] = pl.col("label_source") if "label_source" in table.columns else pl.lit(ORIGINAL)
    return table.select(**columns).with_row_index("row", offset=first)
