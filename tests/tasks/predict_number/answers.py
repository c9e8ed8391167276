"""What a model of numbers takes and gives."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ratchet.judging.metrics import Floats
from ratchet.tasks.values import Labels

EXAMPLE = '{"rooms":3.0,"size":70.0}'
ODD = ('{"rooms":0.0,"size":0.0}', '{"rooms":-1e9,"size":1e9}')
SOUND = "odd rows with finite numbers"
ONE_COLUMN = False
MOST = sys.float_info.max


def read_record(record: Mapping[str, Any]) -> str:
    row = {}
    for name, value in record.items():
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float | np.integer | np.floating)
            or not -MOST <= value <= MOST
        ):
            raise ValueError(f"Every value must be a finite number. Received: {name} = {value!r:.40}.")
        row[name] = float(value)
    if not row:
        raise ValueError("A row must have numbers. Received: none.")
    return json.dumps(dict(sorted(row.items())), separators=(",", ":"))


def read_value(value: Any) -> str:
    try:
        row = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, Mapping):
        raise ValueError(f"A row must be a JSON object of numbers. Received: {value!r:.60}.")
    return read_record(row)


def fault(outputs: Floats, labels: Labels) -> str:
    return "" if np.isfinite(outputs).all() else "numbers that are not finite"


def answers(outputs: Floats, labels: Labels) -> tuple[list[str], list[float]]:
    return [f"{number:.6g}" for number in outputs[:, 0].tolist()], [0.0] * len(outputs)


def columns(labels: Labels) -> Sequence[tuple[str, Literal["string", "double"]]]:
    return [("number", "double")]


def table(outputs: Floats, labels: Labels) -> dict[str, Any]:
    return {"number": outputs[:, 0]}


def outputs(table: Mapping[str, Any], labels: Labels) -> Floats:
    return np.asarray(table["number"], np.float64)[:, None]
