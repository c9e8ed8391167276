"""How numbers are held against the true ones: by the mean squared error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ratchet.judging.metrics import Floats, Metric, Truth
from ratchet.tasks.values import Figure, Labels


class SquaredError(Metric):
    name, words = "squared_error", "squared error"
    higher = False
    largest = math.inf
    slide_words = "a hundredth of the error"

    def slide(self, value: float) -> float:
        return max(0.01 * value, 1e-12)

    def sums(self, truth: Truth, outputs: Floats, groups: Any) -> Floats:
        count = int(groups.max()) + 1
        errors = (outputs[:, 0] - truth) ** 2
        return np.stack([np.bincount(groups, errors, count), np.bincount(groups, minlength=count)], axis=1)

    def gain(self, sums: Floats) -> Floats:
        return -sums[:, 0] / sums[:, 1]

    def format_value(self, value: float) -> str:
        return f"{value:.4g}"

    format_difference = format_value

    def format_signed(self, value: float) -> str:
        return f"{value:+.4g}"


@dataclass(frozen=True)
class NumberScores:
    rows: int
    squared_error: float
    absolute_error: float

    def as_metrics(self, prefix: str) -> dict[str, float]:
        figures = {f"{prefix}_{name}": getattr(self, name) for name in FIGURES}
        return figures | {f"rows_{prefix}": float(self.rows)}


METRICS: Mapping[str, Metric] = {"squared_error": SquaredError()}
FIGURES = {"squared_error": "squared error (lower is better)", "absolute_error": "absolute error (lower is better)"}
COMPARED: tuple[str, ...] = ()
BASELINE = "always giving the mean"


def labels(targets: Iterable[str]) -> Labels:
    return ("number",)


def listed(labels: Labels) -> str:
    return "a number"


def truth(targets: Sequence[str], labels: Labels) -> Truth:
    return np.array([float(target) for target in targets], np.float64)


def metric(name: str, labels: Labels, data: Any) -> Metric:
    return METRICS[name]


def intervals(labels: Labels, data: Any) -> Sequence[Metric]:
    return tuple(METRICS.values())


def score(truth: Truth, outputs: Floats, labels: Labels, data: Any) -> NumberScores:
    if not len(truth) or outputs.shape != (len(truth), 1) or not np.isfinite(outputs).all():
        raise ValueError(f"Each row must have one finite number. Received: shape {outputs.shape}.")
    errors = outputs[:, 0] - truth
    return NumberScores(len(truth), float((errors**2).mean()), float(np.abs(errors).mean()))


def baseline(counts: Mapping[str, int], labels: Labels) -> Floats:
    numbers = np.array([float(target) for target in counts], np.float64)
    return np.array([np.average(numbers, weights=np.array([*counts.values()]))])


def slices(inputs: Any) -> dict[str, Any]:
    return {}


def findings(truth: Truth, outputs: Floats, labels: Labels, champion: Floats | None) -> Sequence[Figure]:
    worst = float(np.abs(outputs[:, 0] - truth).max())
    return [Figure("worst-error", "Mistakes", f"Its worst answer is off by {worst:.3g}.")]


def limits(truth: Truth, labels: Labels) -> Sequence[str]:
    return ["Every row gets a number, even one far from all rows that it learned from."]


def loss(answer: str, target: str) -> float:
    return (float(answer) - float(target)) ** 2
