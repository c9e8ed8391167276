"""Bootstrap and permutation test of the difference between two models.

The probabilities of two models for the same rows enter; gains on resamples, or intervals, leave. Whole groups are drawn
with replacement, and both models are scored on the same resample (paired). A metric is computed from sums over rows, so
a resample costs one matrix product and reads no row again.
Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 6 and 13.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ratchet.judging.metrics import Floats, Ints, Metric, row_log_loss

AT_ONCE = 4_000_000
"""Draws of a group held in memory at a time: 64 MB."""

MOST_CLASSES = 100
"""With more classes the means over classes get no interval: they need columns of sums for each class in memory."""


def group_indices(groups: Sequence[str | None] | None, rows: int) -> Ints:
    """The group of each row as an index from 0; a row without a group is a group of its own."""
    if groups is None:
        return np.arange(rows, dtype=np.int64)
    names = [(0, f"{at}") if group is None else (1, group) for at, group in enumerate(groups)]
    index = {name: at for at, name in enumerate(dict.fromkeys(names))}
    return np.array([index[name] for name in names], dtype=np.int64)


def paired_gains(
    metric: Metric,
    true: Ints,
    first: Floats,
    second: Floats,
    groups: Ints,
    *,
    positive: int | None,
    resamples: int,
    seed: int,
) -> tuple[Floats, Floats]:
    """The gain of each model on the same resamples, two arrays of shape (resamples,).

    The gain is the metric, negated if lower is better.
    """
    sums = [metric.sums(true, probabilities, groups, positive) for probabilities in (first, second)]
    width = sums[0].shape[1]
    resampled = _resampled_sums(np.concatenate(sums, axis=1), resamples, np.random.default_rng(seed))
    return metric.gain(resampled[:, :width]), metric.gain(resampled[:, width:])


def swap_differences(
    metric: Metric,
    true: Ints,
    first: Floats,
    second: Floats,
    groups: Ints,
    parts: Sequence[NDArray[np.bool_]],
    *,
    positive: int | None,
    swaps: int,
    seed: int,
) -> Floats:
    """The gain of `first` minus the gain of `second` on each part of the rows, under a paired permutation test.

    A permutation swaps the two models' answers to each group with a chance of one half. This is the distribution of the
    difference between two equal models.

    Args:
        parts: Masks over the rows.
        swaps: Number of permutations.

    Returns:
        Shape (parts, 1 + swaps). The first column swaps nothing; the others use the same coins for all parts.
    """
    sums = [
        [metric.sums(true[part], model[part], groups[part], positive) for model in (first, second)] for part in parts
    ]
    differing = [
        np.flatnonzero((first_sums != second_sums).any(axis=1)) for first_sums, second_sums in sums
    ]  # a swap of other groups has no effect
    tossed = np.unique(np.concatenate([np.zeros(0, np.int64), *differing]))
    halves = [
        ((first_sums + second_sums).sum(axis=0) / 2, (first_sums - second_sums)[rows] / 2)
        for (first_sums, second_sums), rows in zip(sums, differing, strict=True)
    ]
    columns = [np.searchsorted(tossed, rows) for rows in differing]
    rng = np.random.default_rng(seed)
    differences = np.zeros((len(parts), 1 + swaps))
    batch = max(1, AT_ONCE // max(1, len(tossed)))
    for done in range(0, 1 + swaps, batch):
        coins = rng.integers(0, 2, (min(batch, 1 + swaps - done), len(tossed)), dtype=np.int8) * 2 - 1
        if done == 0:
            coins[0] = 1
        for number, ((middle, half), column) in enumerate(zip(halves, columns, strict=True)):
            gap = coins[:, column].astype(np.float64) @ half
            differences[number, done : done + len(coins)] = metric.gain(middle + gap) - metric.gain(middle - gap)
    return differences


def intervals(
    true: Ints,
    probabilities: Floats,
    groups: Ints,
    *,
    positive: int | None,
    resamples: int,
    seed: int,
    coverage: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of each figure of one model over bootstrap resamples of the groups.

    The calibration error gets no interval: on a resample it is larger than on the rows themselves, so an interval would
    mislead. With a single group there are no intervals at all.

    Args:
        positive: Index of the class of precision, recall and F1; None for the mean over the classes that occur.
    """
    count = int(groups.max()) + 1
    classes = probabilities.shape[1]
    if count < 2:
        return {}
    predicted = probabilities.argmax(axis=1)
    labels = range(classes) if classes <= MOST_CLASSES else ()
    columns = [np.bincount(groups, minlength=count), np.bincount(groups, predicted == true, count)]
    columns.append(np.bincount(groups, row_log_loss(true, probabilities), count))
    columns += [np.bincount(groups, (predicted == label) & (true == label), count) for label in labels]
    columns += [np.bincount(groups, predicted == label, count) for label in labels]
    columns += [np.bincount(groups, true == label, count) for label in labels]
    sums = np.stack(columns, axis=1).astype(np.float64)
    resampled = _resampled_sums(sums, resamples, np.random.default_rng(seed))
    figures = {"accuracy": resampled[:, 1] / resampled[:, 0], "log_loss": resampled[:, 2] / resampled[:, 0]}
    if labels:
        hits, predictions, occurrences = np.split(resampled[:, 3:], 3, axis=1)
        figures |= _class_figures(hits, predictions, occurrences, positive)
    ends = ((1 - coverage) / 2, (1 + coverage) / 2)
    quantiles = {name: np.quantile(values, ends) for name, values in figures.items()}
    return {name: (float(low), float(high)) for name, (low, high) in quantiles.items()}


def _class_figures(hits: Floats, predictions: Floats, occurrences: Floats, positive: int | None) -> dict[str, Floats]:
    """Precision, recall and F1 on each resample from the classes' sums, each of shape (resamples, classes)."""
    ratios = {
        "precision": (hits, predictions),
        "recall": (hits, occurrences),
        "f1": (2 * hits, predictions + occurrences),
    }
    by_class = {name: np.divide(a, b, out=np.zeros_like(a), where=b > 0) for name, (a, b) in ratios.items()}
    classes = np.maximum(((predictions + occurrences) > 0).sum(axis=1), 1)
    means = {name: values.sum(axis=1) / classes for name, values in by_class.items()}
    figures = means if positive is None else {name: values[:, positive] for name, values in by_class.items()}
    return figures | {"macro_f1": means["f1"]}


def _resampled_sums(sums: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Sums over each bootstrap resample of the groups, shape (resamples, columns of sums)."""
    count = len(sums)
    batch = max(1, AT_ONCE // count)
    parts = []
    for done in range(0, resamples, batch):
        size = min(batch, resamples - done)
        picks = rng.integers(0, count, (size, count)) + np.arange(size)[:, None] * count
        times = np.bincount(picks.ravel(), minlength=size * count).reshape(size, count)
        parts.append(times @ sums)
    return np.concatenate(parts)
