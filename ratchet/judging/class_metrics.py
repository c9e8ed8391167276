"""The metrics of probabilities of classes, and all their figures at once.

Indices of the true classes and probabilities enter, frozen ClassScores leave. The figures agree with scikit-learn's
(tests/judging/test_class_metrics.py) and need only numpy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ratchet.judging.metrics import Floats, Ints, Metric, Truth, group_sums, ratio

BINS = 15
"""Bins of equal width for the calibration error (Guo et al. 2017, On Calibration of Modern Neural
Networks)."""


class Accuracy(Metric):
    """The share of rows that are predicted correctly."""

    name = words = "accuracy"

    def sums(self, truth: Truth, outputs: Floats, groups: Ints) -> Floats:
        return group_sums((outputs.argmax(axis=1) == truth).astype(np.float64), groups)

    def gain(self, sums: Floats) -> Floats:
        return ratio(sums[:, 0], sums[:, 1])

    def is_same(self, first: Floats, second: Floats) -> bool:
        return same_classes(first, second)

    def comparison(self, lead: float, rows: str, values: Sequence[str], champion: str) -> str:
        difference = self.format_difference(abs(lead))
        direction = "more" if lead >= 0 else "fewer"
        return f"The challenger is right on {values[0]} of {rows}, {champion} on {values[1]}: {difference} {direction}"


class LogLoss(Metric):
    """The mean negative natural logarithm of the true class's probability."""

    name, words = "log_loss", "log loss"
    higher = False
    largest = math.inf

    def sums(self, truth: Truth, outputs: Floats, groups: Ints) -> Floats:
        return group_sums(-row_log_loss(truth, outputs), groups)

    def gain(self, sums: Floats) -> Floats:
        return ratio(sums[:, 0], sums[:, 1])

    def value(self, truth: Truth, outputs: Floats) -> float:
        return float(row_log_loss(truth, outputs).mean())

    def format_value(self, value: float) -> str:
        return f"{value:.4f}"

    format_difference = format_value

    def format_signed(self, value: float) -> str:
        return f"{value:+.4f}"


class MacroF1(Metric):
    """The mean F1 of the classes that occur, true or predicted."""

    name, words = "macro_f1", "macro F1"
    each_output = True

    def __init__(self, positive: int | None = None) -> None:
        """With `positive`, the index of a class, the F1 of that class alone."""
        self.positive = positive

    @property
    def family(self) -> str:
        return f"F1 of class {self.positive}"

    def sums(self, truth: Truth, outputs: Floats, groups: Ints) -> Floats:
        predicted = outputs.argmax(axis=1)
        count = int(groups.max()) + 1
        classes = range(outputs.shape[1]) if self.positive is None else (self.positive,)
        hits = [np.bincount(groups, (truth == label) & (predicted == label), count) for label in classes]
        occurrences = [np.bincount(groups, (truth == label) * 1.0 + (predicted == label), count) for label in classes]
        return np.stack([*hits, *occurrences], axis=1)

    def gain(self, sums: Floats) -> Floats:
        hits, occurrences = np.split(sums, 2, axis=1)
        f1s: Floats = 2 * ratio(hits, occurrences).sum(axis=1) / np.maximum((occurrences > 0).sum(axis=1), 1)
        return f1s

    def value(self, truth: Truth, outputs: Floats) -> float:
        counts = confusion(truth, outputs.argmax(axis=1), outputs.shape[1])
        return class_mean(per_class(counts)[2], self.positive, occurring(counts))

    def is_same(self, first: Floats, second: Floats) -> bool:
        return same_classes(first, second)


class F1(MacroF1):
    """The F1 of the positive class where one is named; otherwise macro F1."""

    name, words = "f1", "F1"


class Precision(Metric):
    """The precision of the positive class; without one the mean over the classes that occur."""

    name = words = "precision"
    each_output = True
    part = 1
    """Which of the three sums of a class the hits are divided by."""

    def __init__(self, positive: int | None = None) -> None:
        self.positive = positive

    @property
    def family(self) -> str:
        return "hits, predictions and occurrences of each class"

    def sums(self, truth: Truth, outputs: Floats, groups: Ints) -> Floats:
        predicted = outputs.argmax(axis=1)
        count = int(groups.max()) + 1
        classes = range(outputs.shape[1])
        columns = [np.bincount(groups, (predicted == label) & (truth == label), count) for label in classes]
        columns += [np.bincount(groups, predicted == label, count) for label in classes]
        columns += [np.bincount(groups, truth == label, count) for label in classes]
        return np.stack(columns, axis=1).astype(np.float64)

    def gain(self, sums: Floats) -> Floats:
        parts = np.split(sums, 3, axis=1)
        by_class = ratio(parts[0], parts[self.part])
        if self.positive is not None:
            return by_class[:, self.positive]
        means: Floats = by_class.sum(axis=1) / np.maximum(((parts[1] + parts[2]) > 0).sum(axis=1), 1)
        return means

    def is_same(self, first: Floats, second: Floats) -> bool:
        return same_classes(first, second)


class Recall(Precision):
    """The recall of the positive class; without one the mean over the classes that occur."""

    name = words = "recall"
    part = 2


METRICS: Mapping[str, Metric] = {metric.name: metric for metric in (Accuracy(), F1(), MacroF1(), LogLoss())}
"""The metrics that `evaluate.metric` in params.yaml may name."""


def intervals(positive: int | None) -> tuple[Metric, ...]:
    """The figures that get an interval.

    The calibration error gets none: on a resample it is larger than on the rows themselves, so an interval would
    mislead.
    """
    return (Accuracy(), LogLoss(), Precision(positive), Recall(positive), F1(positive), MacroF1())


@dataclass(frozen=True)
class ClassScores:
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


def score(truth: Truth, probabilities: Floats, classes: int, positive: int | None = None) -> ClassScores:
    """Score probabilities of shape (rows, classes) against the indices of the true classes.

    Args:
        positive: Index of the class of precision, recall and F1; None for the mean over the classes that occur.

    Raises:
        ValueError: There is no row, the shape does not fit, or a probability is not a number.
    """
    refuse_unfit(truth, probabilities, classes)
    counts = confusion(truth, probabilities.argmax(axis=1), classes)
    occurs = occurring(counts)
    figures = per_class(counts)
    precision, recall, f1 = (class_mean(figure, positive, occurs) for figure in figures)
    return ClassScores(
        rows=len(truth),
        accuracy=float(np.trace(counts) / len(truth)),
        precision=precision,
        recall=recall,
        f1=f1,
        macro_f1=class_mean(figures[2], None, occurs),
        log_loss=float(row_log_loss(truth, probabilities).mean()),
        ece=_ece(calibration(truth, probabilities)),
    )


def refuse_unfit(truth: Truth, probabilities: Floats, classes: int) -> None:
    """Raise unless there is a row of numbers for each true class.

    Raises:
        ValueError: There is no row, the shape does not fit, or a probability is not a number.
    """
    if not len(truth) or probabilities.shape != (len(truth), classes):
        raise ValueError(
            "Probabilities must have a row for each true label, at least one, and a column for each class. "
            f"Received: shape {probabilities.shape} for {len(truth)} true labels and {classes} classes. "
            "Predict the same rows again."
        )
    if not np.isfinite(probabilities).all():
        raise ValueError(
            f"Probabilities must be numbers. Received: {int((~np.isfinite(probabilities)).sum()):,} that are "
            "not. The training diverged: lower its learning rate."
        )


def confusion(truth: Truth, predicted: Ints, classes: int) -> Ints:
    """Count rows by true class (first axis) and predicted class (second)."""
    true = np.asarray(truth, np.int64)
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


def occurring(counts: Ints) -> NDArray[np.bool_]:
    """Whether each class occurs in a confusion matrix, true or predicted."""
    occurs: NDArray[np.bool_] = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    return occurs


def per_class(counts: Ints | Floats) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1 of each class; 0 where the denominator is 0. Leading axes are kept."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(np.float64)
    predicted = counts.sum(axis=-2)
    actual = counts.sum(axis=-1)
    return ratio(hits, predicted), ratio(hits, actual), ratio(2 * hits, predicted + actual)


def class_mean(figures: Floats, positive: int | None, occurs: NDArray[np.bool_]) -> float:
    """The positive class's figure, or the mean over the classes that occur (true or predicted), as in scikit-learn."""
    return float(figures[positive] if positive is not None else figures[occurs].mean())


def row_log_loss(truth: Truth, probabilities: Floats) -> Floats:
    """Log loss of each row; a probability of 0 is clipped to the epsilon of float64, as in scikit-learn."""
    normalised = probabilities / probabilities.sum(axis=1, keepdims=True)
    of_truth = normalised[np.arange(len(truth)), np.asarray(truth, np.int64)]
    losses: Floats = -np.log(np.clip(of_truth, np.finfo(np.float64).eps, 1.0))
    return losses


def calibration(truth: Truth, probabilities: Floats, bins: int = BINS) -> tuple[CalibrationBin, ...]:
    """The calibration table: accuracy by confidence. Empty bins are left out."""
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == truth
    bin_of_row = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    rows = np.bincount(bin_of_row, minlength=bins)
    confidences = np.bincount(bin_of_row, weights=confidence, minlength=bins)
    hits = np.bincount(bin_of_row, weights=is_right, minlength=bins)
    return tuple(
        CalibrationBin(at / bins, (at + 1) / bins, int(rows[at]), confidences[at] / rows[at], hits[at] / rows[at])
        for at in np.flatnonzero(rows)
    )


def same_classes(first: Floats, second: Floats) -> bool:
    """Whether the likeliest classes of two models are the same."""
    return np.array_equal(first.argmax(axis=1), second.argmax(axis=1))


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


def positive_index(labels: Sequence[str], positive: str | None) -> int | None:
    """Index of the positive class if there are two classes and it is one of them; otherwise None."""
    return labels.index(positive) if positive in labels and len(labels) == 2 else None


def _ece(bins: tuple[CalibrationBin, ...]) -> float:
    rows = sum(part.rows for part in bins)
    return float(sum(part.rows / rows * abs(part.accuracy - part.confidence) for part in bins))
