"""What a metric is: a figure of a model's outputs, with its direction, its sums over rows, and its words.

The truth and outputs enter, figures leave. This module knows no figure itself: those of classes are in
ratchet/judging/class_metrics.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Truth = Ints | Floats
"""The targets of n rows as numbers, shape (n,)."""
SLIDE = 0.005
"""The loss that matters, of a share: half a point."""


class Scores(Protocol):
    """All figures of one model on one set of rows: attributes by their names in MLflow."""

    @property
    def rows(self) -> int:
        """Number of rows."""
        ...

    def as_metrics(self, prefix: str) -> dict[str, float]:
        """The figures by their MLflow names, e.g. `holdout_accuracy`, with `rows_holdout`."""
        ...


class Metric:
    """A figure that may decide. It is computed from sums over rows, so a resample of groups is one matrix product.

    Attributes:
        name: Name in params.yaml and in MLflow.
        words: Name for a person.
        higher: Whether higher is better.
        largest: Largest possible value.
        slide_words: The loss that a slice is let pass, in words.
        each_output: Whether there are sums for each output, so that many outputs need much memory.
    """

    name: str
    words: str
    higher = True
    largest = 1.0
    slide_words = "half a point"
    each_output = False

    @property
    def family(self) -> str:
        """Metrics of one family have the same sums, which are then computed once."""
        return self.name

    @property
    def is_share(self) -> bool:
        """Whether the figure is a share, whose differences are points: only such a figure is corrected."""
        return self.higher and self.largest == 1.0

    def slide(self, value: float) -> float:
        """The loss that matters, in the metric's unit, above 0; for a figure without a scale, a share of its value.

        Args:
            value: The champion's figure.
        """
        return SLIDE

    def sums(self, truth: Truth, outputs: Floats, groups: Ints) -> Floats:
        """The additive sums of each group from which the figure follows, shape (groups, sums).

        Args:
            truth: Shape (rows,).
            outputs: Shape (rows, k).
            groups: Index of each row's group.
        """
        raise NotImplementedError

    def gain(self, sums: Floats) -> Floats:
        """The figure of each row of sums, negated if lower is better, so that more is always better."""
        raise NotImplementedError

    def value(self, truth: Truth, outputs: Floats) -> float:
        """The figure of at least one row."""
        sums = self.sums(truth, outputs, np.zeros(len(truth), np.int64))
        return float(self.signed(self.gain(sums))[0])

    def signed(self, gains: Floats) -> Floats:
        """The figures of gains: undoes the negation."""
        return gains if self.higher else -gains

    def is_same(self, first: Floats, second: Floats) -> bool:
        """Whether the metric sees no difference between the outputs of two models."""
        return np.array_equal(first, second)

    def lead(self, value: float, other: float) -> float:
        """How far a value is ahead of another; above 0 means better."""
        return value - other if self.higher else other - value

    def best(self, scores: Scores) -> float:
        """Sort key of these scores; more is better."""
        return self.lead(float(getattr(scores, self.name)), 0.0)

    def format_value(self, value: float) -> str:
        return f"{value:.1%}"

    def format_difference(self, value: float) -> str:
        """A difference without its sign."""
        return f"{100 * value:.1f} points"

    def format_signed(self, value: float) -> str:
        """A difference with its sign and without its unit."""
        return f"{100 * value:+.1f}"

    def comparison(self, lead: float, rows: str, values: Sequence[str], champion: str) -> str:
        """Both figures and their difference as a sentence.

        Args:
            lead: How far the challenger is ahead.
            rows: The rows in words.
            values: The formatted figures of the challenger and of the champion.
            champion: The champion's name.
        """
        difference = self.format_difference(abs(lead))
        direction = "better" if lead >= 0 else "worse"
        figures = f"is {values[0]}, that of {champion} {values[1]}"
        return f"The challenger's {self.words} on {rows} {figures}: {difference} {direction}"


def group_sums(gains: Floats, groups: Ints) -> Floats:
    """The sum of the rows' gains and the number of rows of each group, shape (groups, 2)."""
    count = int(groups.max()) + 1
    return np.stack([np.bincount(groups, gains, count), np.bincount(groups, minlength=count)], axis=1)


def ratio(numerator: Floats, denominator: Floats | Ints) -> Floats:
    """The quotient; 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def digest(labels: Sequence[str], outputs: Floats) -> str:
    """SHA-256, in hexadecimal, of the names of the outputs and of the exact float64 outputs, row by row."""
    exact = np.ascontiguousarray(outputs, dtype="<f8")
    return hashlib.sha256(json.dumps([list(labels), exact.shape]).encode() + exact.tobytes()).hexdigest()
