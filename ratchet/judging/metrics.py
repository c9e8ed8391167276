"""Scores of a model's probabilities, and the metrics that may decide.

Labels, true labels and probabilities enter, frozen Scores leave. A Metric is a figure with its direction, its sums over
rows, and its words. The figures agree with scikit-learn's (tests/judging/test_metrics.py) and need only numpy.
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
    """A figure that may decide. It is computed from sums over rows, so a resample of groups is one matrix product.

    Attributes:
        name: Name in params.yaml and in MLflow.
        words: Name for a person.
        higher: Whether higher is better.
        largest: Largest possible value.
    """

    name: str
    words: str
    higher = True
    largest = 1.0

    def sums(self, true: Ints, probabilities: Floats, groups: Ints, positive: int | None) -> Floats:
        """The additive sums of each group from which the figure follows, shape (groups, sums).

        Args:
            true: Index of each row's true class.
            probabilities: Shape (rows, classes).
            groups: Index of each row's group.
            positive: Index of the class whose F1 is meant; None for the mean over the classes.
        """
        raise NotImplementedError

    def gain(self, sums: Floats) -> Floats:
        """The figure of each row of sums, negated if lower is better, so that more is always better."""
        raise NotImplementedError

    def is_same(self, first: Floats, second: Floats) -> bool:
        """Whether the metric sees no difference between the probabilities of two models."""
        return np.array_equal(first.argmax(axis=1), second.argmax(axis=1))

    def lead(self, value: float, other: float) -> float:
        """How far a value is ahead of another; above 0 means better."""
        return value - other if self.higher else other - value

    def best(self, scores: Scores) -> float:
        """Sort key of these scores; more is better."""
        return self.lead(float(getattr(scores, self.name)), 0.0)

    def positive_index(self, holdout_labels: Sequence[str], positive: str | None) -> int | None:
        """Index of the class that the figure describes; None if it describes all."""
        return None

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


class Accuracy(Metric):
    """The share of rows that are predicted correctly."""

    name = words = "accuracy"

    def sums(self, true: Ints, probabilities: Floats, groups: Ints, positive: int | None) -> Floats:
        return _group_sums((probabilities.argmax(axis=1) == true).astype(np.float64), groups)

    def gain(self, sums: Floats) -> Floats:
        return _ratio(sums[:, 0], sums[:, 1])

    def comparison(self, lead: float, rows: str, values: Sequence[str], champion: str) -> str:
        difference = self.format_difference(abs(lead))
        direction = "more" if lead >= 0 else "fewer"
        return f"The challenger is right on {values[0]} of {rows}, {champion} on {values[1]}: {difference} {direction}"


class LogLoss(Metric):
    """The mean negative natural logarithm of the true class's probability."""

    name, words = "log_loss", "log loss"
    higher = False
    largest = math.inf

    def sums(self, true: Ints, probabilities: Floats, groups: Ints, positive: int | None) -> Floats:
        return _group_sums(-row_log_loss(true, probabilities), groups)

    def gain(self, sums: Floats) -> Floats:
        return _ratio(sums[:, 0], sums[:, 1])

    def is_same(self, first: Floats, second: Floats) -> bool:
        return np.array_equal(first, second)

    def format_value(self, value: float) -> str:
        return f"{value:.4f}"

    format_difference = format_value

    def format_signed(self, value: float) -> str:
        return f"{value:+.4f}"


class MacroF1(Metric):
    """The mean F1 of the classes that occur, true or predicted."""

    name, words = "macro_f1", "macro F1"

    def sums(self, true: Ints, probabilities: Floats, groups: Ints, positive: int | None) -> Floats:
        predicted = probabilities.argmax(axis=1)
        count = int(groups.max()) + 1
        classes = range(probabilities.shape[1]) if positive is None else (positive,)
        hits = [np.bincount(groups, (true == label) & (predicted == label), count) for label in classes]
        occurrences = [np.bincount(groups, (true == label) * 1.0 + (predicted == label), count) for label in classes]
        return np.stack([*hits, *occurrences], axis=1)

    def gain(self, sums: Floats) -> Floats:
        half = sums.shape[1] // 2
        hits = sums[:, :half]
        occurrences = sums[:, half:]
        f1s: Floats = 2 * _ratio(hits, occurrences).sum(axis=1) / np.maximum((occurrences > 0).sum(axis=1), 1)
        return f1s


class F1(MacroF1):
    """The F1 of the positive class if there are two classes and one is named; otherwise macro F1."""

    name, words = "f1", "F1"

    def positive_index(self, holdout_labels: Sequence[str], positive: str | None) -> int | None:
        is_named = positive in holdout_labels and len(holdout_labels) == 2
        return holdout_labels.index(positive or "") if is_named else None


METRICS: Mapping[str, Metric] = {metric.name: metric for metric in (Accuracy(), F1(), MacroF1(), LogLoss())}
"""The metrics that `evaluate.metric` in params.yaml may name."""


@dataclass(frozen=True)
class Scores:
    """The figures of one model on one set of rows.

    `precision`, `recall` and `f1` are of the positive class if there are two classes and one is named, otherwise the
    mean over the classes.

    Attributes:
        rows: Number of rows.
        macro_f1: Mean F1 of the classes that occur.
        log_loss: Mean negative natural logarithm of the true class's probability; lower is better.
        ece: Expected calibration error, the mean gap between confidence and accuracy; 0 is perfectly calibrated.
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
        """The figures by their MLflow names, e.g. `holdout_accuracy`, with `rows_holdout`."""
        figures = ("accuracy", "precision", "recall", "f1", "macro_f1", "log_loss", "ece")
        return {f"{prefix}_{name}": getattr(self, name) for name in figures} | {f"rows_{prefix}": float(self.rows)}


@dataclass(frozen=True)
class CalibrationBin:
    """Mean confidence and accuracy of the rows whose confidence is within (low, high]."""

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


def score(labels: Sequence[str], truth: Sequence[str], probabilities: Floats, positive: str | None = None) -> Scores:
    """Score probabilities of shape (rows, labels) against the true labels.

    Raises:
        ValueError: There is no row, the shape does not fit, a probability is not a number, or a true label is unknown.
    """
    true = _checked_indices(labels, truth, probabilities)
    counts = confusion(true, probabilities.argmax(axis=1), len(labels))
    precisions, recalls, f1s = per_class(counts)
    positive_index = labels.index(positive) if positive in labels and len(labels) == 2 else None
    occurs = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    precision, recall, f1 = (_class_mean(figures, positive_index, occurs) for figures in (precisions, recalls, f1s))
    return Scores(
        rows=len(true),
        accuracy=float(np.trace(counts) / len(true)),
        precision=precision,
        recall=recall,
        f1=f1,
        macro_f1=float(f1s[occurs].mean()),
        log_loss=float(row_log_loss(true, probabilities).mean()),
        ece=_ece(calibration(true, probabilities)),
    )


def confusion(true: Ints, predicted: Ints, classes: int) -> Ints:
    """Count rows by true class (first axis) and predicted class (second)."""
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


def per_class(counts: Ints | Floats) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of each class; 0 where the denominator is 0. Leading axes are kept."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    predicted = counts.sum(axis=-2)
    actual = counts.sum(axis=-1)
    return _ratio(hits, predicted), _ratio(hits, actual), _ratio(2 * hits, predicted + actual)


def row_log_loss(true: Ints, probabilities: Floats) -> Floats:
    """Log loss of each row; a probability of 0 is clipped to the epsilon of float64, as in scikit-learn."""
    normalised = probabilities / probabilities.sum(axis=1, keepdims=True)
    of_truth = normalised[np.arange(len(true)), true]
    losses: Floats = -np.log(np.clip(of_truth, np.finfo(np.float64).eps, 1.0))
    return losses


def calibration(true: Ints, probabilities: Floats, bins: int = BINS) -> tuple[CalibrationBin, ...]:
    """The calibration table: accuracy by confidence. Empty bins are left out."""
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == true
    bin_of_row = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    rows = np.bincount(bin_of_row, minlength=bins)
    confidences = np.bincount(bin_of_row, weights=confidence, minlength=bins)
    hits = np.bincount(bin_of_row, weights=is_right, minlength=bins)
    return tuple(
        CalibrationBin(at / bins, (at + 1) / bins, int(rows[at]), confidences[at] / rows[at], hits[at] / rows[at])
        for at in np.flatnonzero(rows)
    )


def indices(labels: Sequence[str], truth: Sequence[str]) -> Ints:
    """The index in `labels` of each true label.

    Raises:
        ValueError: A true label is not in `labels`.
    """
    index = {label: at for at, label in enumerate(labels)}
    unknown = sorted(set(truth) - set(index))
    if unknown:
        raise ValueError(
            f"Every true label must be one the model knows: {', '.join(labels)}. "
            f"Received also: {', '.join(unknown)}. Build the model on data that has every class."
        )
    return np.array([index[label] for label in truth], dtype=np.int64)


def _checked_indices(labels: Sequence[str], truth: Sequence[str], probabilities: Floats) -> Ints:
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


def _class_mean(figures: Floats, positive_index: int | None, occurs: NDArray[np.bool_]) -> float:
    """The positive class's figure, or the mean over the classes that occur (true or predicted), as in scikit-learn."""
    return float(figures[positive_index] if positive_index is not None else figures[occurs].mean())


def _ece(bins: tuple[CalibrationBin, ...]) -> float:
    rows = sum(part.rows for part in bins)
    return float(sum(part.rows / rows * abs(part.accuracy - part.confidence) for part in bins))


def _group_sums(gains: Floats, groups: Ints) -> Floats:
    """The sum of the rows' gains and the number of rows of each group, shape (groups, 2)."""
    count = int(groups.max()) + 1
    return np.stack([np.bincount(groups, gains, count), np.bincount(groups, minlength=count)], axis=1)


def _ratio(numerator: Floats, denominator: Floats | Ints) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def digest(labels: Sequence[str], probabilities: Floats) -> str:
    """SHA-256, in hexadecimal, of the labels and of the exact float64 probabilities, row by row."""
    exact = np.ascontiguousarray(probabilities, dtype="<f8")
    return hashlib.sha256(json.dumps([list(labels), exact.shape]).encode() + exact.tobytes()).hexdigest()
