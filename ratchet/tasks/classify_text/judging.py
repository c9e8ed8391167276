"""How probabilities of classes are held against the true labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ratchet.judging import class_metrics
from ratchet.judging.class_metrics import F1, METRICS, CalibrationBin, ClassScores
from ratchet.judging.metrics import Floats, Ints, Metric, Truth
from ratchet.judging.pictures import Grid, Lines, Point
from ratchet.tasks.classify_text.columns import Columns
from ratchet.tasks.values import Figure, Labels

if TYPE_CHECKING:
    import polars as pl

    from ratchet.judging.slices import Masks

__all__ = ["METRICS"]

FIGURES = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "macro_f1": "macro F1",
    "log_loss": "log loss (lower is better)",
    "ece": "calibration error (lower is better)",
}
COMPARED = ("macro_f1", "log_loss")
BASELINE = "always giving the most frequent class"

HAN = r"\p{Script=Han}"
LATIN = r"\p{Script=Latin}"
SURE = 0.9
"""Confidence from which an answer counts as sure."""
NEAR = 0.02
"""Difference of confidence and accuracy up to which they agree."""
FEW = 30
"""Holdout rows of a class below which its figures say little, as for a slice (ratchet/judging/slices.py)."""


def labels(targets: Iterable[str]) -> Labels:
    """The classes, sorted."""
    return tuple(sorted(set(targets)))


def listed(labels: Sequence[str], most: int = 8) -> str:
    """The names of the first few classes, and the number of the others."""
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(f"`{label}`" for label in labels[:most]) + more


def truth(targets: Sequence[str], labels: Labels) -> Ints:
    """The index of each true label.

    Raises:
        ValueError: a true label is not in `labels`.
    """
    return class_metrics.indices(labels, targets)


def metric(name: str, labels: Labels, data: Columns) -> Metric:
    """A metric; F1 is that of the positive class if there are two classes and one is named."""
    return F1(class_metrics.positive_index(labels, data.positive)) if name == F1.name else METRICS[name]


def intervals(labels: Labels, data: Columns) -> Sequence[Metric]:
    """All figures but the calibration error."""
    return class_metrics.intervals(class_metrics.positive_index(labels, data.positive))


def score(truth: Truth, outputs: Floats, labels: Labels, data: Columns) -> ClassScores:
    """All figures of probabilities.

    Raises:
        ValueError: there is no row, the shape does not fit, or a probability is not a number.
    """
    return class_metrics.score(truth, outputs, len(labels), class_metrics.positive_index(labels, data.positive))


def baseline(counts: Mapping[str, int], labels: Labels) -> Floats:
    """The share of each class among the training rows."""
    rows = np.array([counts.get(label, 0) for label in labels], np.float64)
    shares: Floats = rows / rows.sum()
    return shares


def slices(inputs: pl.Series) -> Masks:
    """Short and long texts, and scripts; the names contain the cut-offs."""
    return lengths(inputs) | scripts(inputs)


def lengths(texts: pl.Series) -> Masks:
    """Thirds by number of characters; fewer parts if many texts are equally long."""
    characters = texts.str.len_chars().to_numpy().astype(np.int64)
    if not len(characters):
        return {}
    low, high = (int(cut) for cut in np.quantile(characters, (1 / 3, 2 / 3), method="lower"))
    return {
        f"up to {low:,} characters": characters <= low,
        f"{low + 1:,} to {high:,} characters": (characters > low) & (characters <= high),
        f"over {high:,} characters": characters > high,
    }


def scripts(texts: pl.Series) -> Masks:
    """Chinese characters or Latin letters; empty if all texts agree in having Chinese characters or none."""
    han, latin = texts.str.contains(HAN).to_numpy(), texts.str.contains(LATIN).to_numpy()
    if han.all() or not han.any():
        return {}
    return {
        "in Chinese characters": han & ~latin,
        "in Latin letters": latin & ~han,
        "in both scripts": han & latin,
    }


def findings(truth: Truth, outputs: Floats, labels: Labels, champion: Floats | None) -> Sequence[Figure]:
    """The most frequent mistakes with the confusion matrix, and the calibration beside the champion's."""
    counts = class_metrics.confusion(truth, outputs.argmax(axis=1), len(labels))
    bins = class_metrics.calibration(truth, outputs)
    champions = () if champion is None else class_metrics.calibration(truth, champion)
    matrix = Grid(counts, labels, "Holdout rows", "true", "predicted")
    return (
        Figure("confusion-matrix", "Mistakes", mistakes(counts, labels), matrix),
        Figure("calibration", "Calibration", calibrated(counts, bins), curves(bins, champions)),
    )


def mistakes(counts: Ints, labels: Sequence[str]) -> str:
    """The three most frequent mistakes, with their shares of the true class."""
    wrong = np.where(np.eye(len(labels), dtype=bool), 0, counts)
    order = np.argsort(wrong, axis=None)[::-1][:3]
    pairs = [tuple(map(int, np.unravel_index(index, wrong.shape))) for index in order if wrong.flat[index]]
    shares = [(f"{wrong[true, taken] / counts[true].sum():.0%}", true, taken) for true, taken in pairs]
    told = [f"{share} of `{labels[true]}` taken for `{labels[taken]}`" for share, true, taken in shares]
    return f"Errs most often: {', '.join(told)}." if told else "Errs on no row of the holdout."


def calibrated(counts: Ints, bins: Sequence[CalibrationBin]) -> str:
    """A sentence that compares mean confidence with accuracy."""
    rows = sum(part.rows for part in bins)
    confidence = sum(part.rows * part.confidence for part in bins) / rows
    accuracy = float(np.trace(counts) / rows)
    verdict = "surer than it should be" if confidence - accuracy > NEAR else "less sure than it could be"
    verdict = "about as sure as it should be" if abs(confidence - accuracy) <= NEAR else verdict
    sure_bins = [part for part in bins if part.low >= SURE - 1e-9]
    answers = sum(part.rows for part in sure_bins)
    right = sum(part.rows * part.accuracy for part in sure_bins) / max(1, answers)
    top = f" Of its {answers:,} answers above {sure_bins[0].low:.0%}, {right:.1%} are right." if answers else ""
    return f"On average {confidence:.1%} sure and {accuracy:.1%} right: {verdict}.{top}"


def curves(bins: Sequence[CalibrationBin], champion: Sequence[CalibrationBin]) -> Lines:
    """Accuracy by confidence; on the diagonal a model is exactly as sure as it should be."""
    points = {
        name: [(part.confidence, part.accuracy) for part in curve]
        for name, curve in (("champion", champion), ("challenger", bins))
        if curve
    }
    low = min((part.low for part in bins), default=0.0)
    lowest = min([low, *(part.accuracy for part in [*bins, *champion])]) - 0.02
    limits: tuple[Point, Point] = ((low, 1.0), (lowest, 1.02))
    return Lines(points, "honest", (0.0, 1.0), "Calibration on the holdout", "confidence", "accuracy", limits)


def limits(truth: Truth, labels: Labels) -> Sequence[str]:
    """The rare classes, and that a text of no class gets one too."""
    rows = np.bincount(np.asarray(truth, np.int64), minlength=len(labels))
    rare = [label for label, count in zip(labels, rows, strict=True) if count < FEW]
    measured = [f"Fewer than {FEW} holdout rows, so hardly measured: {listed(rare)}."] if rare else []
    return [*measured, "Every text gets one of the classes, even a text that fits none."]


def loss(answer: str, target: str) -> float:
    """1 for a wrong class."""
    return float(answer != target)
