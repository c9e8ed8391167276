"""A table as its owner wrote it -> the canonical frame: text, label, group, slices, label_source and row.

`text` is the input in its stored form, one string a row, and `label` is the target; the kind of problem says how a row
becomes an input (ratchet/tasks).
"""

from __future__ import annotations

import polars as pl

from ratchet.data.prepare.label_sources import ORIGINAL
from ratchet.tasks import Task
from ratchet.tasks.values import Data


def canonical_frame(table: pl.DataFrame, data: Data, task: Task, first: int = 1) -> pl.DataFrame:
    """The same rows in the same order, under the canonical column names that every later step uses.

    Args:
        data: the table's own names of its columns; those of slices are kept.
        first: number of the first row, for a later batch of a table.

    Raises:
        ValueError: the table lacks one of the columns.
    """
    missing = [name for name in data.columns if name not in table.columns]
    if missing:
        raise ValueError(
            f"The table must have the columns that params.yaml names. Received: {', '.join(table.columns)}; "
            f"missing: {', '.join(missing)}. Mend `data` in params.yaml."
        )
    columns: dict[str, pl.Series | pl.Expr] = dict(answered(table, data, task).to_dict())
    if data.group:
        columns["group"] = pl.col(data.group)
    columns |= {name: pl.col(name) for name in data.slices if name not in columns}
    columns["label_source"] = pl.col("label_source") if "label_source" in table.columns else pl.lit(ORIGINAL)
    return table.select(**columns).with_row_index("row", offset=first)


def answered(table: pl.DataFrame, data: Data, task: Task) -> pl.DataFrame:
    """Columns `text` and `label` of a table that has the columns of inputs and targets."""
    return pl.DataFrame({"text": task.rows.inputs(table, data), "label": table[data.label]})
