"""The bodies of requests and answers for numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from random import Random
from typing import Any

from msgspec import Struct

from ratchet.tasks import get
from ratchet.tasks.bodies import Id, Invocation, Lines
from ratchet.tasks.values import Labels

__all__ = ["Invocation", "Lines"]

SUMMARY = "Predict numbers"
TABLE = "`number`"
EXAMPLES = ('{"rooms":3.0,"size":70.0}', '{"rooms":5.0,"size":120.0}')


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

    id: Id
    label: float


def question(inputs: Sequence[str]) -> dict[str, Any]:
    return {"rows": [json.loads(one) for one in inputs]}


def read_question(question: Any) -> list[str]:
    return [get("predict_number").answers.read_record(row) for row in question.rows]


def record(stored: str) -> dict[str, Any]:
    return dict(json.loads(stored))


def columns(names: Sequence[Any]) -> Sequence[str]:
    if not all(isinstance(name, str) for name in names):
        raise ValueError("Every column must have a name.")
    return names


def correction(name: str, target: str) -> dict[str, Any]:
    return {"id": name, "label": float(target)}


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


def example(name: str, labels: Labels) -> tuple[Prediction, str]:
    return Prediction(name, 280.0), "270"


def made_up(inputs: Sequence[str], chance: Random) -> str:
    return chance.choice(inputs)
