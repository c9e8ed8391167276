"""A made-up kind of problem without texts, classes or confidence, for the service: the price of a house."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from random import Random
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct

from ratchet.tasks import Task, bodies

COLUMNS = ("rooms", "size")
HOUSES = ('{"rooms":3.0,"size":70.0}', '{"rooms":5.0,"size":120.0}')


class Question(Struct, forbid_unknown_fields=True):
    """Houses whose price is asked."""

    houses: Annotated[list[dict[str, float]], Meta(min_length=1)]
    key: str | None = None


class Prediction(Struct):
    """The price of one house."""

    id: str
    price: float


class Correction(Struct, forbid_unknown_fields=True):
    """The right price of a house."""

    id: bodies.Id
    label: float | str


def read_record(record: Mapping[str, Any]) -> str:
    columns(list(record))
    try:
        return json.dumps({name: record[name] + 0.0 for name in COLUMNS}, separators=(",", ":"))
    except TypeError:
        raise ValueError("Rooms and size must be numbers.") from None


def read_value(value: Any) -> str:
    try:
        record = json.loads(value)
    except (TypeError, ValueError):
        record = None
    if not isinstance(record, dict):
        raise ValueError("A house must be JSON with its columns.")
    return read_record(record)


def table(outputs: np.ndarray, labels: tuple[str, ...]) -> dict[str, Any]:
    return {"number": outputs[:, 0]}


def columns(names: Sequence[Any]) -> Sequence[str]:
    if not set(COLUMNS) <= set(names):
        raise ValueError(f"A house must have {' and '.join(COLUMNS)}.")
    return COLUMNS


def read_question(question: Question) -> list[str]:
    return list(map(read_record, question.houses))


def read_label(value: Any, labels: tuple[str, ...]) -> str:
    try:
        return f"{float(value):g}"
    except ValueError:
        raise ValueError(f"A price must be a number. Received: {value}.") from None


def made_up(inputs: Sequence[str], chance: Random) -> str:
    return chance.choice(inputs)


ANSWERS = SimpleNamespace(ONE_COLUMN=False, read_record=read_record, read_value=read_value, table=table)
WIRE = SimpleNamespace(
    SUMMARY="Predict prices",
    TABLE="`number`",
    EXAMPLES=HOUSES,
    Question=Question,
    Prediction=Prediction,
    Correction=Correction,
    Invocation=bodies.Invocation,
    Lines=bodies.Lines,
    question=lambda inputs: {"houses": list(map(json.loads, inputs))},
    read_question=read_question,
    record=json.loads,
    columns=columns,
    prediction=lambda name, answer, confidence, row, labels: Prediction(name, row[0]),
    choices=lambda labels: (),
    read_label=read_label,
    example=lambda name, labels: (Prediction(name, 350.0), "360"),
    correction=lambda name, target: {"id": name, "label": float(target)},
    made_up=made_up,
)


class Prices(Task):
    """The kind of problem, with the two faces that the service asks."""

    @property
    def columns(self) -> Any:
        return SimpleNamespace(UNIT="house")

    @property
    def answers(self) -> Any:
        return ANSWERS

    @property
    def wire(self) -> Any:
        return WIRE


PRICES = Prices("price", "price", "A price for each house.", frozenset(["feedback"]))
MUTE = Prices("mute", "price", "A price for each house, which nobody corrects.", frozenset())
