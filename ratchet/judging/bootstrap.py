"""Bootstrap and permutation test of the difference between two models.

The outputs of two models for the same rows enter; gains on resamples, or intervals, leave. Whole groups are drawn
with replacement, and both models are scored on the same resample (paired). A metric is computed from sums over rows, so
a resample costs one matrix product and reads no row again.
Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapters 6 and 13.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ratchet.judging.metrics import Floats, Ints, Metric, Truth

AT_ONCE = 4_000_000
"""Draws of a group held in memory at a time: 64 MB."""

MOST_OUTPUTS = 100
"""With more outputs a metric that needs columns of sums for each of them gets no interval: they need memory."""


def group_indices(groups: Sequence[str | None] | None, rows: int) -> Ints:
    """The group of each row as an index from 0; a row without a group is a group of its own."""
    if groups is None:
        return np.arange(rows, dtype=np.int64)
    names = [(0, f"{at}") if group is None else (1, group) for at, group in enumerate(groups)]
    index = {name: at for at, name in enumerate(dict.fromkeys(names))}
    return np.array([index[name] for name in names], dtype=np.int64)


def paired_gains(
    metric: Metric,
    truth: Truth,
    first: Floats,
    second: Floats,
    groups: Ints,
    *,
    resamples: int,
    seed: int,
) -> tuple[Floats, Floats]:
    """The gain of each model on the same resamples, two arrays of shape (resamples,).

    The gain is the metric, negated if lower is better.
    """
    sums = [metric.sums(truth, outputs, groups) for outputs in (first, second)]
    width = sums[0].shape[1]
    resampled = _resampled_sums(np.concatenate(sums, axis=1), resamples, np.random.default_rng(seed))
    return metric.gain(resampled[:, :width]), metric.gain(resampled[:, width:])


def swap_differences(
    metric: Metric,
    truth: Truth,
    first: Floats,
    second: Floats,
    groups: Ints,
    parts: Sequence[NDArray[np.bool_]],
    *,
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
    sums = [[metric.sums(truth[part], model[part], groups[part]) for model in (first, second)] for part in parts]
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
    metrics: Sequence[Metric],
    truth: Truth,
    outputs: Floats,
    groups: Ints,
    *,
    resamples: int,
    seed: int,
    coverage: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of figures of one model over bootstrap resamples of the groups, by the metrics' names.

    With a single group there are no intervals at all.
    """
    if int(groups.max()) == 0:
        return {}
    measured = [metric for metric in metrics if outputs.shape[1] <= MOST_OUTPUTS or not metric.each_output]
    families = {metric.family: metric for metric in measured}
    tables = [metric.sums(truth, outputs, groups) for metric in families.values()]
    resampled = _resampled_sums(np.concatenate(tables, axis=1), resamples, np.random.default_rng(seed))
    ends = np.cumsum([table.shape[1] for table in tables])[:-1]
    sums = dict(zip(families, np.split(resampled, ends, axis=1), strict=True))
    shares = ((1 - coverage) / 2, (1 + coverage) / 2)
    figures = {metric.name: metric.signed(metric.gain(sums[metric.family])) for metric in measured}
    quantiles = {name: np.quantile(values, shares) for name, values in figures.items()}
    return {name: (float(low), float(high)) for name, (low, high) in quantiles.items()}


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
