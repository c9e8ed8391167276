"""What a model of texts to classes takes and gives."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from ratchet.tasks.contract import Floats, Labels

ONE_COLUMN = True
COLUMN = "text"
"""The column of texts in a frame or a table that a caller sends."""


def read_record(record: Mapping[str, Any]) -> str:
    if COLUMN not in record:
        raise missing_column(list(record))
    return read_value(record[COLUMN])


def read_value(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"Every text must be a string. Received: {abbreviate(value)}.")
    return value


def missing_column(columns: Sequence[Any]) -> ValueError:
    """The error of a frame with these columns, none of which holds texts."""
    received = ", ".join(map(abbreviate, columns[:20])) or "no columns"
    return ValueError(f"The input must have a column {COLUMN!r}. Received: {received}. Rename the column of texts.")


def abbreviate(value: object) -> str:
    """A received value for an error message: at most 100 characters, made without reading all of its megabytes."""
    return f"{reprlib.repr(value):.100}"


def columns(labels: Labels) -> Sequence[tuple[str, Literal["string", "double"]]]:
    return [("label", "string"), ("score", "double"), *((f"p_{label}", "double") for label in labels)]


def table(outputs: Floats, labels: Labels) -> dict[str, Any]:
    best = outputs.argmax(axis=1)
    scores = outputs[np.arange(len(best)), best]
    shares = {f"p_{label}": outputs[:, column] for column, label in enumerate(labels)}
    return {"label": [labels[column] for column in best.tolist()], "score": scores, **shares}
