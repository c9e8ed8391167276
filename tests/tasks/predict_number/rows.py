"""What a row of numbers is: its numbers as one JSON object, the columns in alphabetical order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import polars as pl

from ratchet.project.errors import Refusal
from ratchet.tasks import get
from ratchet.tasks.values import Data, RowRule

HAS_CLASSES = False
ONE_TARGET = False
REASONS = {"missing_text": "a number is missing", "no_number": "no number to predict"}
RULES = (RowRule("no_number", "Every row has a number to predict.", "set aside"),)


def inputs(table: pl.DataFrame, data: Any) -> pl.Series:
    numbers = table.select(pl.col(name).cast(pl.Float64, strict=False) for name in sorted(data.numbers))
    whole = numbers.select(pl.all_horizontal(pl.all().is_finite())).to_series()
    rows = [stored(row) if is_whole else None for row, is_whole in zip(numbers.rows(named=True), whole, strict=True)]
    return pl.Series("text", rows, dtype=pl.String)


def stored(row: Mapping[str, float]) -> str:
    return json.dumps(dict(sorted(row.items())), separators=(",", ":"))


def owned(inputs: pl.Series, data: Any) -> pl.DataFrame:
    rows = [json.loads(row) if row is not None else {} for row in inputs]
    columns = {name: [str(row[name]) if name in row else None for row in rows] for name in data.numbers}
    return pl.DataFrame(columns, schema=dict.fromkeys(data.numbers, pl.String))


def facts() -> Sequence[pl.Expr]:
    number = pl.col("label").cast(pl.Float64, strict=False)
    return [
        pl.col("text").str.len_chars().alias("characters"),
        (~number.is_finite()).fill_null(True).alias("no_number"),
    ]


def guess(table: pl.DataFrame, source: str, named: Mapping[str, str]) -> Data:
    label, group = named.get("label", ""), named.get("group") or None
    if label not in table.columns:
        raise Refusal("LABEL names the column to predict.", label or "no LABEL", f"make data SOURCE={source} LABEL=...")
    free = [name for name in table.columns if name not in (label, group)]
    numbers = [name for name in free if table[name].cast(pl.Float64, strict=False).null_count() < table.height / 2]
    columns: Any = get("predict_number").columns
    return cast("Data", columns(numbers=tuple(numbers), label=label, group=group))


def clean(frame: pl.DataFrame, data: Any, command: str, merge: bool) -> tuple[pl.DataFrame, list[str]]:
    return frame.with_columns(pl.col(data.label).str.strip_chars()), []


def preview(frame: pl.DataFrame, data: Any) -> list[str]:
    targets = frame[data.label].cast(pl.Float64, strict=False)
    return [f"Numbers from {targets.min()} to {targets.max()}."]


def usual_metric(targets: pl.Series) -> str:
    return "squared_error"


def misfit(data: Any, metric: str | None, targets: Iterable[str | None]) -> None:
    return None
