"""How good are these probabilities? Labels, the truth and probabilities enter, frozen Scores leave.

The figures agree with scikit-learn's (tests/test_steps.py) and need nothing but numpy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BINS = 15
"""Bins of equal width for the calibration error (Guo et al. 2017, On Calibration of Modern Neural
Networks)."""


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


def _ratio(above: Floats, below: Floats | Ints) -> Floats:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def digest(labels: Sequence[str], probabilities: Floats) -> str:
    """SHA-256, in hexadecimal, of the labels and of every probability exactly as it is: float64, row by row."""
    exact = np.ascontiguousarray(probabilities, dtype="<f8")
    return hashlib.sha256(json.dumps([list(labels), exact.shape]).encode() + exact.tobytes()).hexdigest()
