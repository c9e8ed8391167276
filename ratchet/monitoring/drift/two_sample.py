"""Two-sample tests of one quantity: a reference and a recent sample enter, a Shift leaves.

Numbers are compared by the Kolmogorov-Smirnov test, classes by a chi-squared test; with rare classes by a permutation
test of the same statistic. Rows of a group are not independent (reviews of one film agree), so a grouped reference
counts for n divided by the design effect (Kish 1965; for tables Rao and Scott 1981). With few groups the design effect
is estimated badly, as a variance is from few rows; Student's t corrects for the wider tail.

A permutation of the rows is one draw from a multivariate hypergeometric distribution over the counts. Its cost depends
on the number of cells and not on the number of rows, and its p-value is exact however few rows a cell has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Names = NDArray[np.str_]

BINS = 10
"""Bars of a histogram: tenths of the reference."""
FAR = 1e-5
"""Tail probability at which a check decides (alpha_spending.py); Student's t corrects for few groups there."""
FEW = 5
"""Least expected rows of a cell for the chi-squared distribution; it fits worse further out (Cochran 1954)."""
MOST_CELLS = 30
"""Most classes of a sparse table: the most frequent ones, and all others merged."""
WORTH_NUMBERS, WORTH_SHARES = 0.1, 0.05
"""Least effects that matter: the largest distance of two distribution functions, and the total variation distance,
which is the share of rows that would have to change class."""

Bar = tuple[str, float, float]
"""Name of a bar, its share of the reference, and its share of the recent rows."""


@dataclass(frozen=True)
class Sample:
    """Numbers of the reference, one a row.

    Attributes:
        values: The numbers.
        groups: Index of each row's group, from 0; None if each row stands alone.
    """

    values: Floats
    groups: Ints | None = None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Shift:
    """The comparison of one quantity.

    Attributes:
        what: Name of the quantity.
        reference: Its reference value in words.
        recent: Its recent value in words.
        p_value: p-value of the test.
        effect: Size of the shift, from 0 to 1.
        worth: Least effect that matters.
        bars: Histogram of both samples.
        drifted: Whether the check calls it a drift (drift.py decides).
    """

    what: str
    reference: str
    recent: str
    p_value: float
    effect: float
    worth: float
    bars: tuple[Bar, ...] = ()
    drifted: bool = False


def numbers(name: str, reference: Sample, recent: Floats, median_format: str = ".3g") -> Shift:
    """Compare the distributions of a number by the Kolmogorov-Smirnov test.

    Args:
        name: Name of the quantity.
        reference: Numbers of the reference.
        recent: Recent numbers.
        median_format: Format of the medians.
    """
    before = np.sort(reference.values)
    now = np.sort(recent)
    pooled = np.concatenate([before, now])
    distance = float(np.abs(_distribution(before, pooled) - _distribution(now, pooled)).max())
    return Shift(
        name,
        f"{np.median(before):{median_format}}",
        f"{np.median(now):{median_format}}",
        _kolmogorov(distance, effective(reference), len(now)),
        distance,
        WORTH_NUMBERS,
        _bars(before, now, median_format),
    )


def classes(quantity: str, reference: Names, groups: Ints | None, recent: Names) -> Shift:
    """Compare the shares of classes by a chi-squared or permutation test.

    Args:
        quantity: Name of the quantity.
        reference: Class of each reference row.
        groups: Index of each reference row's group; None if each row stands alone.
        recent: Class of each recent row.
    """
    names = np.unique(np.concatenate([reference, recent]))
    before, now = (_counts(names, rows) for rows in (reference, recent))
    effect = float(np.abs(before / before.sum() - now / now.sum()).sum() / 2)
    p_value = 1.0
    if len(names) > 1:
        p_value = _chi_squared(before * _effective_share(names, reference, groups), now)
    bars = tuple((str(name), a / before.sum(), b / now.sum()) for name, a, b in zip(names, before, now, strict=True))
    return Shift(quantity, _most_frequent(bars, 1), _most_frequent(bars, 2), p_value, effect, WORTH_SHARES, bars)


def effective(sample: Sample) -> float:
    """The effective sample size: the smallest at the three quartiles of the distribution."""
    if sample.groups is None:
        return float(len(sample))
    cuts = np.quantile(sample.values, (0.25, 0.5, 0.75), method="lower")
    return len(sample) / max(design_effect(sample.values <= cut, sample.groups) for cut in cuts)


def design_effect(flags: NDArray[np.bool_], groups: Ints) -> float:
    """The design effect of a share, widened for the far tail of Student's t; at least 1.

    The design effect is the variance of the share divided by the variance of independent rows.
    """
    count = len(np.unique(groups))
    is_estimable = 3 <= count < len(flags) and flags.mean() not in (0, 1)
    return max(1.0, _variance_ratio(flags, groups) * _tail(count - 1)) if is_estimable else clustering(flags, groups)


def clustering(flags: NDArray[np.bool_], groups: Ints) -> float:
    """The design effect of a share without the tail correction, as an interval needs it; at least 1."""
    count = len(np.unique(groups))
    if flags.mean() in (0, 1) or count == len(flags):
        return 1.0
    if count < 3:
        return float(len(flags))  # effectively one row: the variance between groups is unknown
    return max(1.0, _variance_ratio(flags, groups))


def _variance_ratio(flags: NDArray[np.bool_], groups: Ints) -> float:
    share = flags.mean()
    count = len(np.unique(groups))
    sums = np.bincount(groups, flags - share)
    return float((sums**2).sum() / (len(flags) * share * (1 - share))) * count / (count - 1)


def _tail(freedom: int) -> float:
    """The squared ratio of the quantiles of Student's t and the normal distribution at FAR."""
    from scipy.special import ndtri, stdtrit

    return float((stdtrit(freedom, FAR / 2) / ndtri(FAR / 2)) ** 2)


def _effective_share(names: Names, reference: Names, groups: Ints | None) -> float:
    """The effective sample size of the reference as a share of its rows: the smallest over the classes."""
    if groups is None:
        return 1.0
    return 1 / max(design_effect(reference == name, groups) for name in names)


def _chi_squared(reference: Floats, recent: Floats) -> float:
    """The p-value of two rows of counts; by permutations if a cell has too few rows for the distribution."""
    from scipy.special import chdtrc

    if _is_sparse(reference, recent):
        reference, recent = _merge_rare(reference, recent)
    if _is_sparse(reference, recent):
        return permutation_p_value(np.round(reference).astype(np.int64), recent.astype(np.int64), _pearson)
    return float(chdtrc(len(reference) - 1, _pearson(reference[None], recent[None])[0]))


def _pearson(reference: Floats | Ints, recent: Floats | Ints) -> Floats:
    """Pearson's statistic of two rows of counts, each of shape (cases, cells)."""
    pool = reference + recent
    share = recent.sum(axis=1, keepdims=True) / pool.sum(axis=1, keepdims=True)
    return np.asarray(((recent - pool * share) ** 2 / (np.maximum(pool, 1e-9) * share * (1 - share))).sum(axis=1))


def _is_sparse(reference: Floats, recent: Floats) -> bool:
    """Whether a cell has too few expected rows for the chi-squared distribution."""
    pool = reference + recent
    return bool((pool * min(reference.sum(), recent.sum()) / pool.sum()).min() < FEW)


def _merge_rare(reference: Floats, recent: Floats) -> tuple[Floats, Floats]:
    """Merge the cells that are rarest in both samples together, so that at most MOST_CELLS are left."""
    if len(reference) <= MOST_CELLS:
        return reference, recent
    order = np.argsort(-(reference + recent), kind="stable")
    cell = np.minimum(np.argsort(order), MOST_CELLS - 1)
    first, second = (np.bincount(cell, counts).astype(np.float64) for counts in (reference, recent))
    return first, second


def _kolmogorov(distance: float, first: float, second: float) -> float:
    from scipy.special import kolmogorov

    return float(kolmogorov(distance * np.sqrt(first * second / (first + second))))


def _distribution(ordered: Floats, at: Floats) -> Floats:
    """The empirical distribution function of sorted numbers."""
    return np.searchsorted(ordered, at, side="right") / len(ordered)


def _counts(names: Names, rows: Names) -> Floats:
    return np.bincount(np.searchsorted(names, rows), minlength=len(names)).astype(np.float64)


def _bars(reference: Floats, recent: Floats, median_format: str) -> tuple[Bar, ...]:
    """The histogram of both samples in tenths of the reference; fewer bars if many values are equal."""
    cuts = np.unique(np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
    counts = [np.bincount(np.searchsorted(cuts, values), minlength=len(cuts) + 1) for values in (reference, recent)]
    names = [f"to {cut:{median_format}}" for cut in cuts] + ["more"]
    return tuple((name, a / len(reference), b / len(recent)) for name, a, b in zip(names, *counts, strict=True))


def _most_frequent(bars: tuple[Bar, ...], side: int) -> str:
    """The most frequent class with its share."""
    name, *shares = max(bars, key=lambda bar: bar[side])
    return f"{name} {shares[side - 1]:.0%}"


Statistic = Callable[[Ints, Ints], Floats]
"""Statistic of the counts of both samples, each of shape (cases, cells): one number a case, larger if further apart."""

PERMUTATIONS = (256, 4_096, 32_768, 131_072)
"""Permutations after which the test may stop (sequential Monte Carlo test: Besag and Clifford 1991)."""
ENOUGH = 10
"""Exceedances after which the test stops."""
AT_ONCE = 4_000_000
"""Counts held in memory at a time: 32 MB."""
SAME = 1e-9
"""Relative rounding error within which two statistics are equal."""


def permutation_p_value(reference: Ints, recent: Ints, statistic: Statistic) -> float:
    """The p-value of a permutation test: the share of permutations with at least the observed statistic; never 0.

    Args:
        reference: Counts of shape (cells,).
        recent: Counts of shape (cells,).
        statistic: Statistic to compare.
    """
    pool = reference + recent
    rows = int(recent.sum())
    if rows == 0 or not reference.sum():
        return 1.0
    observed = statistic(reference[None], recent[None])[0]
    rng = np.random.default_rng(0)
    made = exceedances = 0
    for limit in PERMUTATIONS:
        while made < limit:
            size = min(limit - made, max(1, AT_ONCE // len(pool)))
            counts = rng.multivariate_hypergeometric(pool, rows, size, method="marginals")
            exceedances += int((statistic(pool - counts, counts) >= observed * (1 - SAME)).sum())
            made += size
        if exceedances >= ENOUGH:
            break
    return (1 + exceedances) / (1 + made)
