"""A kind of problem whose inputs are no texts: a JSON object with a `size`, a number as its target, never quite right.

Its faces have what monitoring asks of them. A test of the loop as a whole has a whole kind (tests/tasks).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl

from ratchet.problem.problem import Problem
from ratchet.problem.settings import Settings
from ratchet.tasks import Task
from ratchet.tasks.contract import Ability
from ratchet.tasks.values import Answered, Signal


def of_answers(answered: Answered) -> Sequence[Signal]:
    return (Signal("answer", answered.answers.astype(np.float64)),)


def of_inputs(inputs: Sequence[str]) -> Sequence[Signal]:
    return (Signal("size", np.array([json.loads(row)["size"] for row in inputs], np.float64), ".1f"),)


def truth(targets: Iterable[str], labels: Any) -> Any:
    return np.array([float(target) for target in targets])


def inputs(table: pl.DataFrame, data: Any) -> pl.Series:
    return pl.Series([None if size is None else stored(size) for size in table["size"]], dtype=pl.String)


def stored(size: object) -> str:
    return json.dumps({"size": float(str(size))}, separators=(",", ":"))


def owned(inputs: pl.Series, data: Any) -> pl.DataFrame:
    sizes = [None if row is None else str(json.loads(row)["size"]) for row in inputs]
    return pl.DataFrame({"size": sizes}, schema={"size": pl.String})


def facts() -> Sequence[pl.Expr]:
    return [pl.col("text").str.len_chars().alias("characters")]


@dataclass(frozen=True)
class OtherKind:
    """abilities: what it can, nothing by default but to hear corrections."""

    abilities: tuple[Ability, ...] = ("feedback",)
    unit: str = "input"
    units: str = "inputs"
    columns: Any = field(default_factory=lambda: SimpleNamespace(UNIT="input"))
    signals: Any = field(
        default_factory=lambda: SimpleNamespace(HAS_TEXTS=False, of_answers=of_answers, of_inputs=of_inputs)
    )
    judging: Any = field(
        default_factory=lambda: SimpleNamespace(
            truth=truth, labels=lambda targets: ("number",), loss=lambda one, other: max(0.0, gap(one, other) - 0.5)
        )
    )
    rows: Any = field(
        default_factory=lambda: SimpleNamespace(
            HAS_CLASSES=False, ONE_TARGET=True, REASONS={}, RULES=(), inputs=inputs, owned=owned, facts=facts
        )
    )

    def can(self, ability: Ability) -> bool:
        return ability in self.abilities


def gap(one: str, other: str) -> float:
    return abs(float(one) - float(other))


def other_kind(*abilities: Ability) -> Task:
    """A kind with these abilities."""
    return cast("Task", OtherKind(abilities))


def problem_of(kind: Task, like: Problem) -> Problem:
    """A problem of that kind, with the places, the name and the pin of another."""
    data = SimpleNamespace(inputs=("size",), label="price", group=None, columns=("size", "price"))
    settings = SimpleNamespace(
        problem=like.name, kind=kind, data=data, deploy=like.settings.deploy, optimise=like.settings.optimise
    )
    return Problem(like.here, cast("Settings", settings), like.pin)
