"""How sure is a difference between two models? Two predictions for the same rows enter, resampled
differences leave.

Whole groups are drawn with replacement, and both models are scored on the same draw (paired). A metric is
computed from sums over rows, so one draw costs a product of matrices and never looks at a row again.
Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 6 and 13.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ratchet.judging.metrics import Floats, Ints, Metric, row_log_loss

AT_ONCE = 4_000_000
"""Draws of a group held at a time: 64 MB."""

MOST_CLASSES = 100
"""With more classes the figures that are means over classes get no interval: a column of sums for each takes memory."""


def group_indices(groups: Sequence[str | None] | None, rows: int) -> Ints:
    """Each row's group as a number from 0; a row without a group is a group of its own."""
    if groups is None:
        return np.arange(rows, dtype=np.int64)
    names = [(0, f"{at}") if group is None else (1, group) for at, group in enumerate(groups)]
    place = {name: at for at, name in enumerate(dict.fromkeys(names))}
    return np.array([place[name] for name in names], dtype=np.int64)


def pairs(
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
    """The gain of either model on each resample, the same draw for both.

    The gain is the metric, its sign turned where lower is better.
    """
    sums = [metric.sums(true, probabilities, groups, positive) for probabilities in (first, second)]
    both, width = np.concatenate(sums, axis=1), sums[0].shape[1]
    drawn = _drawn(both, resamples, np.random.default_rng(seed))
    return metric.gain(drawn[:, :width]), metric.gain(drawn[:, width:])


def swapped(
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
    """The gain of `first` minus that of `second` on each part of the rows, where the answers to each group are given
    to the other model or not by the toss of a coin: how far apart two models are that are equal.

    Returns:
        Shape (parts, 1 + swaps). Nothing is swapped in the first column; the others have the same coins for all parts.
    """
    held = [[metric.sums(true[part], one[part], groups[part], positive) for one in (first, second)] for part in parts]
    told = [np.flatnonzero((one != two).any(axis=1)) for one, two in held]  # of other groups a swap changes nothing
    tossed = np.unique(np.concatenate([np.zeros(0, np.int64), *told]))
    halves = [((one + two).sum(axis=0) / 2, (one - two)[at] / 2) for (one, two), at in zip(held, told, strict=True)]
    places = [np.searchsorted(tossed, at) for at in told]
    rng, found = np.random.default_rng(seed), np.zeros((len(parts), 1 + swaps))
    batch = max(1, AT_ONCE // max(1, len(tossed)))
    for done in range(0, 1 + swaps, batch):
        coins = rng.integers(0, 2, (min(batch, 1 + swaps - done), len(tossed)), dtype=np.int8) * 2 - 1
        if done == 0:
            coins[0] = 1
        for number, ((middle, half), place) in enumerate(zip(halves, places, strict=True)):
            gap = coins[:, place].astype(np.float64) @ half
            found[number, done : done + len(coins)] = metric.gain(middle + gap) - metric.gain(middle - gap)
    return found


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
    """Where each figure of one model lies on resamples of the groups, by the percentile method.

    positive: the class that precision, recall and F1 are of; none means the mean over the classes that occur.
    The calibration error has none: on a resample it is larger than on the rows themselves, so an interval misleads.
    Nor has anything where there is but one group.
    """
    count, classes = int(groups.max()) + 1, probabilities.shape[1]
    if count < 2:
        return {}
    likely = probabilities.argmax(axis=1)
    kept = range(classes) if classes <= MOST_CLASSES else ()
    columns = [np.bincount(groups, minlength=count), np.bincount(groups, likely == true, count)]
    columns.append(np.bincount(groups, row_log_loss(true, probabilities), count))
    columns += [np.bincount(groups, (likely == at) & (true == at), count) for at in kept]
    columns += [np.bincount(groups, likely == at, count) for at in kept]
    columns += [np.bincount(groups, true == at, count) for at in kept]
    drawn = _drawn(np.stack(columns, axis=1).astype(np.float64), resamples, np.random.default_rng(seed))
    figures = {"accuracy": drawn[:, 1] / drawn[:, 0], "log_loss": drawn[:, 2] / drawn[:, 0]}
    if kept:
        hits, called, there = np.split(drawn[:, 3:], 3, axis=1)
        figures |= _by_class(hits, called, there, positive)
    ends = ((1 - coverage) / 2, (1 + coverage) / 2)
    found = {name: np.quantile(values, ends) for name, values in figures.items()}
    return {name: (float(low), float(high)) for name, (low, high) in found.items()}


def _by_class(hits: Floats, called: Floats, there: Floats, positive: int | None) -> dict[str, Floats]:
    """Precision, recall and F1 on each resample from the classes' sums, each of shape (resamples, classes)."""
    ratios = {"precision": (hits, called), "recall": (hits, there), "f1": (2 * hits, called + there)}
    every = {name: np.divide(a, b, out=np.zeros_like(a), where=b > 0) for name, (a, b) in ratios.items()}
    occurs = np.maximum(((called + there) > 0).sum(axis=1), 1)
    means = {name: values.sum(axis=1) / occurs for name, values in every.items()}
    chosen = means if positive is None else {name: values[:, positive] for name, values in every.items()}
    return chosen | {"macro_f1": means["f1"]}


def _drawn(sums: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Sums over each resample of the groups, shape (resamples, columns of sums)."""
    count = len(sums)
    batch = max(1, AT_ONCE // count)
    parts = []
    for done in range(0, resamples, batch):
        size = min(batch, resamples - done)
        picks = rng.integers(0, count, (size, count)) + np.arange(size)[:, None] * count
        times = np.bincount(picks.ravel(), minlength=size * count).reshape(size, count)
        parts.append(times @ sums)
    return np.concatenate(parts)
