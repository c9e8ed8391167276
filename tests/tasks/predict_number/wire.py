"""The bodies of /predict and /feedback for numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from ratchet.tasks import get
from ratchet.tasks.contract import Labels


class Question(Struct, forbid_unknown_fields=True):
    """Rows of numbers."""

    rows: list[dict[str, float]]
    key: str | None = None


class Prediction(Struct):
    """The answer to one row."""

    id: str
    number: float


class Correction(Struct, forbid_unknown_fields=True):
    """The right number for a row."""

    id: str
    label: float


def read_question(question: Any) -> list[str]:
    return [get("predict_number").answers.read_record(row) for row in question.rows]


def read_label(value: Any, labels: Labels) -> str:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"The right answer must be a number. Received: {value!r:.40}.")
    return f"{number:.6g}"


def prediction(name: str, answer: str, confidence: float, row: Sequence[float], labels: Labels) -> Prediction:
    return Prediction(name, row[0])


def choices(labels: Labels) -> Sequence[str]:
    return ()
