"""What a model of texts to classes takes and gives: a text enters, a probability of each class leaves."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ratchet.judging.metrics import Floats
    from ratchet.tasks.values import ColumnType, Labels

EXAMPLE = "A text to be classified."
ODD = ("A perfectly ordinary sentence.", "", "今天天气很好。", "x" * 5000)
SOUND = "odd texts with probabilities that sum to 1"
ONE_COLUMN = True
COLUMN = "text"
"""The column of texts in a frame or a table that a caller sends."""
MOST_NAMES = 20
"""Most columns that a message names."""


def read_record(record: Mapping[str, Any]) -> str:
    """The text of a row; a missing one is empty.

    Raises:
        ValueError: the row has no column `text`, or its value is not a string.
    """
    if COLUMN not in record:
        raise missing_column([name for name, _ in zip(record, range(MOST_NAMES), strict=False)])
    return read_value(record[COLUMN])


def missing_column(columns: Sequence[Any]) -> ValueError:
    """The error of a frame with these columns, none of which holds texts."""
    received = ", ".join(map(_short, columns[:MOST_NAMES])) or "no columns"
    return ValueError(f"The input must have a column {COLUMN!r}. Received: {received}. Rename the column of texts.")


def read_value(value: Any) -> str:
    """The value itself, or an empty text for a missing one.

    Raises:
        ValueError: the value is not a string.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise ValueError(f"Every text must be a string. Received: {_short(value)}.")


def fault(outputs: Floats, labels: Labels) -> str:
    """The sums of the probabilities of ODD, where the shape is wrong or a sum is not 1; otherwise empty."""
    sums = outputs.sum(axis=1)
    is_sound = outputs.shape == (len(ODD), len(labels)) and np.allclose(sums, 1, atol=1e-6)
    return "" if is_sound else f"sums {np.round(sums, 6).tolist()}"


def answers(outputs: Floats, labels: Labels) -> tuple[list[str], list[float]]:
    """The likeliest class of each text, and its probability."""
    return [labels[column] for column in outputs.argmax(axis=1).tolist()], outputs.max(axis=1).tolist()


def columns(labels: Labels) -> Sequence[tuple[str, ColumnType]]:
    """`label`, `score`, and `p_<label>` for each class."""
    return ("label", "string"), ("score", "double"), *((f"p_{label}", "double") for label in labels)


def table(outputs: Floats, labels: Labels) -> dict[str, Any]:
    """The likeliest class of each text, its probability, and the probability of each class."""
    best = outputs.argmax(axis=1)
    likeliest: dict[str, Any] = {"label": np.array(labels, dtype=object)[best], "score": outputs.max(axis=1)}
    return likeliest | {f"p_{label}": outputs[:, number] for number, label in enumerate(labels)}


def outputs(table: Mapping[str, Any], labels: Labels) -> Floats:
    """The probability of each class, shape (n, k); 0 for a class that the table lacks."""
    rows = len(table["score"])
    found = [table[name] if (name := f"p_{label}") in table else np.zeros(rows) for label in labels]
    return np.column_stack(found).astype(np.float64)


def _short(value: object) -> str:
    """A received value for a message: at most 100 characters, made without reading all of its megabytes."""
    return f"{reprlib.repr(value):.100}"
