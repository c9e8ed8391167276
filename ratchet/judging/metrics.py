"""How good are these probabilities? Labels, the truth and probabilities enter, frozen Scores leave. And the metrics
that may decide: each a figure with its direction, its sums over rows, and its words.

The figures agree with scikit-learn's (tests/test_steps.py) and need nothing but numpy.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS = 15
"""Bins of equal width for the calibration error (Guo et al. 2017, On Calibration of Modern Neural
Networks)."""


class Metric:
    """A figure that may decide, computed from sums over rows: so a draw of groups costs one product of matrices.

    name: in params.yaml and in MLflow. words: for a person. higher: whether higher is better. largest: possible value.
    """

    name: str
    words: str
    higher = True
    largest = 1.0

    def sums(self, true: Ints, probabilities: Floats, groups: Ints, positive: int | None) -> Floats:
        """For each group the sums from which the figure follows, shape (groups, sums); sums of groups add up.

        positive: the class whose F1 is meant; None for the mean over the classes.
        """
        raise NotImplementedError

    def gain(self, sums: Floats) -> Floats:
        """The figure of each row of sums, with its sign turned where lower is better: more is always better."""
        raise NotImplementedError

    def is_same(self, one: Floats, other: Floats) -> bool:
        """Whether the metric can see no difference between the probabilities of two models."""
        return np.array_equal(one.argmax(axis=1), other.argmax(axis=1))

    def lead(self, one: float, other: float) -> float:
        """How far one figure is ahead of another: above 0 where it is better."""
        return one - other if self.higher else other - one

    def best(self, scores: Scores) -> float:
        """What to sort by: the figure of these scores, more is better."""
        return self.lead(float(getattr(scores, self.name)), 0.0)

    def place(self, holdout_labels: Sequence[str], positive: str | None) -> int | None:
        """The place of the class that the figure is of; None where it is of all."""
        return None

    def shown(self, value: float) -> str:
        return f"{value:.1%}"

    def amount(self, value: float) -> str:
        """A difference without its sign."""
        return f"{100 * value:.1f} points"

    def signed(self, value: float) -> str:
        """A difference with its sign and without its unit."""
        return f"{100 * value:+.1f}"

    def comparison(self, ahead: float, rows: str, values: Sequence[str], champion: str) -> str:
        """Both figures and the difference, as a person would say it. values: the challenger's and the champion's."""
        amount, better = self.amount(abs(ahead)), "better" if ahead >= 0 else "worse"
        figures = f"is {values[0]}, that of {champion} {values[1]}"
        return f"The challenger's {self.words} on {rows} {figures}: {amount} {better}"


class Accuracy(Metric):
    """The share of rows that are answered right."""

    name = words = "accuracy"

    def sums(self, true: Ints, probabilities: Floats, groups: Ints, positive: int | None) -> Floats:
        return _sums_of((probabilities.argmax(axis=1) == true).astype(np.float64), groups)

    def gain(self, sums: Floats) -> Floats:
        return _ratio(sums[:, 0], sums[:, 1])

    def comparison(self, ahead: float, rows: str, values: Sequence[str], champion: str) -> str:
        amount, more = self.amount(abs(ahead)), "more" if ahead >= 0 else "fewer"
        return f"The challenger is right on {values[0]} of {rows}, {champion} on {values[1]}: {amount} {more}"


class LogLoss(Metric):
    """The mean negative natural logarithm of the true class's probability."""

    name, words = "log_loss", "log loss"
    higher = False
    largest = math.inf

    def sums(self, true: Ints, probabilities: Floats, groups: Ints, positive: int | None) -> Floats:
        return _sums_of(-row_log_loss(true, probabilities), groups)

    def gain(self, sums: Floats) -> Floats:
        return _ratio(sums[:, 0], sums[:, 1])

    def is_same(self, one: Floats, other: Floats) -> bool:
        return np.array_equal(one, other)

    def shown(self, value: float) -> str:
        return f"{value:.4f}"

    amount = shown

    def signed(self, value: float) -> str:
        return f"{value:+.4f}"


class MacroF1(Metric):
    """The mean F1 of the classes that occur, true or predicted."""

    name, words = "macro_f1", "macro F1"

    def sums(self, true: Ints, probabilities: Floats, groups: Ints, positive: int | None) -> Floats:
        likely, count = probabilities.argmax(axis=1), int(groups.max()) + 1
        classes = range(probabilities.shape[1]) if positive is None else (positive,)
        hits = [np.bincount(groups, (true == at) & (likely == at), count) for at in classes]
        calls = [np.bincount(groups, (true == at) * 1.0 + (likely == at), count) for at in classes]
        return np.stack([*hits, *calls], axis=1)

    def gain(self, sums: Floats) -> Floats:
        half = sums.shape[1] // 2
        hits, calls = sums[:, :half], sums[:, half:]
        f1s: Floats = 2 * _ratio(hits, calls).sum(axis=1) / np.maximum((calls > 0).sum(axis=1), 1)
        return f1s


class F1(MacroF1):
    """The F1 of the positive class where there are two and one is named; else the same as macro F1."""

    name, words = "f1", "F1"

    def place(self, holdout_labels: Sequence[str], positive: str | None) -> int | None:
        named = positive in holdout_labels and len(holdout_labels) == 2
        return holdout_labels.index(positive or "") if named else None


METRICS: Mapping[str, Metric] = {metric.name: metric for metric in (Accuracy(), F1(), MacroF1(), LogLoss())}
"""What `evaluate.metric` in params.yaml may name."""


@dataclass(frozen=True)
class Scores:
    """The figures of one model on one set of rows.

    precision, recall, f1: of the positive class where there are two classes and one is named, else the mean
    over classes.
    log_loss: mean negative natural logarithm of the true class's probability; lower is better.
    ece: expected calibration error, the mean gap between confidence and accuracy; 0 is honest.
    """

    rows: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    macro_f1: float
    log_loss: float
    ece: float

    def as_metrics(self, prefix: str) -> dict[str, float]:
        """The figures by the names that MLflow shows, e.g. `holdout_accuracy`, with `rows_holdout`."""
        figures = ("accuracy", "precision", "recall", "f1", "macro_f1", "log_loss", "ece")
        return {f"{prefix}_{name}": getattr(self, name) for name in figures} | {f"rows_{prefix}": float(self.rows)}


@dataclass(frozen=True)
class CalibrationBin:
    """The rows whose confidence is within (low, high]: how sure the model was, and how often it was right."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


def score(labels: Sequence[str], truth: Sequence[str], probabilities: Floats, positive: str | None = None) -> Scores:
    """The scores of probabilities of shape (rows, labels) against the true labels.

    Raises:
        ValueError: there is no row, the shape does not fit, a probability is no number, or a true label is
        unknown.
    """
    true, likely = _indices(labels, truth, probabilities), probabilities.argmax(axis=1)
    counts = confusion(true, likely, len(labels))
    precisions, recalls, f1s = per_class(counts)
    chosen = labels.index(positive) if positive in labels and len(labels) == 2 else None
    seen = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    precision, recall, f1 = (_one(figures, chosen, seen) for figures in (precisions, recalls, f1s))
    return Scores(
        rows=len(true),
        accuracy=float(np.trace(counts) / len(true)),
        precision=precision,
        recall=recall,
        f1=f1,
        macro_f1=float(f1s[seen].mean()),
        log_loss=float(row_log_loss(true, probabilities).mean()),
        ece=_ece(calibration(true, probabilities)),
    )


def confusion(true: Ints, likely: Ints, classes: int) -> Ints:
    """Rows counted by true class (first axis) and predicted class (second)."""
    return np.bincount(true * classes + likely, minlength=classes**2).reshape(classes, classes)


def per_class(counts: Ints | Floats) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of each class; 0 where there is nothing to divide by. Leading axes are
    kept."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    predicted, actual = counts.sum(axis=-2), counts.sum(axis=-1)
    return _ratio(hits, predicted), _ratio(hits, actual), _ratio(2 * hits, predicted + actual)


def row_log_loss(true: Ints, probabilities: Floats) -> Floats:
    """Each row's log loss; a probability of 0 counts as the smallest step of a float64, as in
    scikit-learn."""
    rows = probabilities / probabilities.sum(axis=1, keepdims=True)
    given = rows[np.arange(len(true)), true]
    losses: Floats = -np.log(np.clip(given, np.finfo(np.float64).eps, 1.0))
    return losses


def calibration(true: Ints, probabilities: Floats, bins: int = BINS) -> tuple[CalibrationBin, ...]:
    """How often the model was right, by how sure it was; empty bins are left out."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == true
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    rows = np.bincount(place, minlength=bins)
    sure, good = (np.bincount(place, weights=values, minlength=bins) for values in (confidence, right))
    return tuple(
        CalibrationBin(at / bins, (at + 1) / bins, int(rows[at]), sure[at] / rows[at], good[at] / rows[at])
        for at in np.flatnonzero(rows)
    )


def indices(labels: Sequence[str], truth: Sequence[str]) -> Ints:
    """Each true label as its place in `labels`.

    Raises:
        ValueError: a true label is not among them.
    """
    place = {label: at for at, label in enumerate(labels)}
    unknown = sorted(set(truth) - set(place))
    if unknown:
        raise ValueError(
            f"Every true label must be one the model knows: {', '.join(labels)}. "
            f"Received also: {', '.join(unknown)}. Build the model on data that has every class."
        )
    return np.array([place[label] for label in truth], dtype=np.int64)


def _indices(labels: Sequence[str], truth: Sequence[str], probabilities: Floats) -> Ints:
    if not len(truth) or probabilities.shape != (len(truth), len(labels)):
        raise ValueError(
            "Probabilities must have a row for each true label, at least one, and a column for each class. "
            f"Received: shape {probabilities.shape} for {len(truth)} true labels and {len(labels)} classes. "
            "Predict the same rows again."
        )
    if not np.isfinite(probabilities).all():
        raise ValueError(
            f"Probabilities must be numbers. Received: {int((~np.isfinite(probabilities)).sum()):,} that are "
            "not. The training diverged: lower its learning rate."
        )
    return indices(labels, truth)


def _one(figures: Floats, chosen: int | None, seen: NDArray[np.bool_]) -> float:
    """The positive class's figure, or the mean over the classes that occur (true or predicted), as
    scikit-learn has it."""
    return float(figures[chosen] if chosen is not None else figures[seen].mean())


def _ece(table: tuple[CalibrationBin, ...]) -> float:
    rows = sum(part.rows for part in table)
    return float(sum(part.rows / rows * abs(part.accuracy - part.confidence) for part in table))


def _sums_of(gains: Floats, groups: Ints) -> Floats:
    """For each group the sum of its rows' gains, and how many rows it has."""
    count = int(groups.max()) + 1
    return np.stack([np.bincount(groups, gains, count), np.bincount(groups, minlength=count)], axis=1)


def _ratio(above: Floats, below: Floats | Ints) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def digest(labels: Sequence[str], probabilities: Floats) -> str:
    """SHA-256, in hexadecimal, of the labels and of every probability exactly as it is: float64, row by row."""
    exact = np.ascontiguousarray(probabilities, dtype="<f8")
    return hashlib.sha256(json.dumps([list(labels), exact.shape]).encode() + exact.tobytes()).hexdigest()
