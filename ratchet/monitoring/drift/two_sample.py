"""Has one thing moved? What was met when the model was judged and what is met now enter, a Shift leaves.

Numbers are compared by the two-sample Kolmogorov-Smirnov test, classes by chi-squared, where some are rare by its
permutations. Rows of one group are not independent (reviews of one film agree), so a grouped reference counts for fewer
rows than it has: for n divided by the design effect (Kish 1965; for tables Rao and Scott 1981). Of few groups that
effect is known badly, as of few rows a variance is, and Student's t says by how much the far tail is wider.

A permutation deals the rows of both sides out anew, which is one draw of counts from a multivariate hypergeometric
distribution. So it costs as much as there are cells, however many rows there are. Its p-value is exact, however few
rows a cell has.
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
"""Bars of a picture: tenths of the reference."""
FAR = 1e-5
"""Where in the tail a look decides (spending.py); there few groups are judged by Student's t."""
FEW = 5
"""Rows to be expected in a cell below which chi-squared says little, the less the further out (Cochran 1954)."""
MOST_CELLS = 30
"""Where classes are many and some rare: the most frequent, and all others as one."""
WORTH_NUMBERS, WORTH_SHARES = 0.1, 0.05
"""The least that a move must be to be worth anybody's time: the distance of two distributions, at its largest; the
share of rows that would have to change class."""

Bar = tuple[str, float, float]
"""A name, and the share of the reference and of the recent rows that it holds."""


@dataclass(frozen=True)
class Sample:
    """Numbers of the reference, one a row. groups: whose rows belong together, numbered from 0; None: each alone."""

    values: Floats
    groups: Ints | None = None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Shift:
    """One thing that was compared.

    reference, recent: in words. effect: by how much it moved, from 0 to 1. worth: the effect below which nobody is
    bothered. drifted: whether the look calls it (drift.py decides).
    """

    what: str
    reference: str
    recent: str
    p_value: float
    effect: float
    worth: float
    bars: tuple[Bar, ...] = ()
    drifted: bool = False


def numbers(what: str, reference: Sample, recent: Floats, shown: str = ".3g") -> Shift:
    """Whether a number has another distribution now. shown: the format of its medians."""
    held, met = np.sort(reference.values), np.sort(recent)
    every = np.concatenate([held, met])
    gap = _below(held, every) - _below(met, every)
    distance = float(np.abs(gap).max())
    return Shift(
        what,
        f"{np.median(held):{shown}}",
        f"{np.median(met):{shown}}",
        _kolmogorov(distance, effective(reference), len(met)),
        distance,
        WORTH_NUMBERS,
        _bars(held, met, shown),
    )


def classes(what: str, reference: Names, groups: Ints | None, recent: Names) -> Shift:
    """Whether classes occur as often as they did."""
    known = np.unique(np.concatenate([reference, recent]))
    held, met = (_counts(known, names) for names in (reference, recent))
    effect = float(np.abs(held / held.sum() - met / met.sum()).sum() / 2)
    p_value = 1.0
    if len(known) > 1:
        p_value = _chi_squared(held * _worth_of_classes(known, reference, groups), met)
    bars = tuple((str(name), a / held.sum(), b / met.sum()) for name, a, b in zip(known, held, met, strict=True))
    return Shift(what, _most(bars, 1), _most(bars, 2), p_value, effect, WORTH_SHARES, bars)


def effective(sample: Sample) -> float:
    """How many independent rows a sample is worth: at three places of its distribution, at the worst."""
    if sample.groups is None:
        return float(len(sample))
    cuts = np.quantile(sample.values, (0.25, 0.5, 0.75), method="lower")
    return len(sample) / max(design_effect(sample.values <= cut, sample.groups) for cut in cuts)


def design_effect(flags: NDArray[np.bool_], groups: Ints) -> float:
    """How many times as much a share varies as it would if every row stood alone, far out in the tail; at least 1."""
    count = len(np.unique(groups))
    known = 3 <= count < len(flags) and flags.mean() not in (0, 1)
    return max(1.0, _spread(flags, groups) * _tail(count - 1)) if known else clustering(flags, groups)


def clustering(flags: NDArray[np.bool_], groups: Ints) -> float:
    """The same as far as it is known, which suits an interval; at least 1."""
    count = len(np.unique(groups))
    if flags.mean() in (0, 1) or count == len(flags):
        return 1.0
    if count < 3:
        return float(len(flags))  # one row's worth: nothing is known of how groups differ
    return max(1.0, _spread(flags, groups))


def _spread(flags: NDArray[np.bool_], groups: Ints) -> float:
    share, count = flags.mean(), len(np.unique(groups))
    sums = np.bincount(groups, flags - share)
    return float((sums**2).sum() / (len(flags) * share * (1 - share))) * count / (count - 1)


def _tail(freedom: int) -> float:
    """How much further Student's t lies out than the normal at FAR, squared."""
    from scipy.special import ndtri, stdtrit

    return float((stdtrit(freedom, FAR / 2) / ndtri(FAR / 2)) ** 2)


def _worth_of_classes(known: Names, reference: Names, groups: Ints | None) -> float:
    if groups is None:
        return 1.0
    return 1 / max(design_effect(reference == name, groups) for name in known)


def _chi_squared(held: Floats, met: Floats) -> float:
    """The p-value of two rows of counts; where a cell has too few rows for the distribution, by permutations."""
    from scipy.special import chdtrc

    if _is_sparse(held, met):
        held, met = _merged(held, met)
    if _is_sparse(held, met):
        return dealt(np.round(held).astype(np.int64), met.astype(np.int64), _apart)
    return float(chdtrc(len(held) - 1, _apart(held[None], met[None])[0]))


def _apart(held: Floats | Ints, met: Floats | Ints) -> Floats:
    """Pearson's statistic of two rows of counts, each of shape (cases, cells)."""
    pool = held + met
    share = met.sum(axis=1, keepdims=True) / pool.sum(axis=1, keepdims=True)
    return np.asarray(((met - pool * share) ** 2 / (np.maximum(pool, 1e-9) * share * (1 - share))).sum(axis=1))


def _is_sparse(held: Floats, met: Floats) -> bool:
    """Whether so few rows are to be expected in a cell that chi-squared says little."""
    pool = held + met
    return bool((pool * min(held.sum(), met.sum()) / pool.sum()).min() < FEW)


def _merged(held: Floats, met: Floats) -> tuple[Floats, Floats]:
    """The same with the rarest cells as one, where there are many: whichever side has them."""
    if len(held) <= MOST_CELLS:
        return held, met
    order = np.argsort(-(held + met), kind="stable")
    place = np.minimum(np.argsort(order), MOST_CELLS - 1)
    first, second = (np.bincount(place, counts).astype(np.float64) for counts in (held, met))
    return first, second


def _kolmogorov(distance: float, first: float, second: float) -> float:
    from scipy.special import kolmogorov

    return float(kolmogorov(distance * np.sqrt(first * second / (first + second))))


def _below(ordered: Floats, at: Floats) -> Floats:
    return np.searchsorted(ordered, at, side="right") / len(ordered)


def _counts(known: Names, names: Names) -> Floats:
    return np.bincount(np.searchsorted(known, names), minlength=len(known)).astype(np.float64)


def _bars(held: Floats, met: Floats, shown: str) -> tuple[Bar, ...]:
    """Tenths of the reference (fewer where many values are equal), and what of the recent rows falls into each."""
    cuts = np.unique(np.quantile(held, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
    places = [np.bincount(np.searchsorted(cuts, values), minlength=len(cuts) + 1) for values in (held, met)]
    names = [f"to {cut:{shown}}" for cut in cuts] + ["more"]
    return tuple((name, a / len(held), b / len(met)) for name, a, b in zip(names, *places, strict=True))


def _most(bars: tuple[Bar, ...], side: int) -> str:
    """The most frequent class with its share."""
    most = max(bars, key=lambda bar: bar[side])
    return f"{most[0]} {most[side]:.0%}"


Measure = Callable[[Ints, Ints], Floats]
"""Of the counts of both sides, each of shape (cases, cells), one number a case: the larger, the further apart."""

DEALS = (256, 4_096, 32_768, 131_072)
"""Permutations that are made, more only while the outcome is in doubt (Besag and Clifford 1991)."""
ENOUGH = 10
"""Permutations at least as far out as the truth after which nobody needs more of them."""
AT_ONCE = 4_000_000
"""Counts that are held at a time: 32 MB."""
SAME = 1e-9
"""By how much of itself a number may fall short of another that it equals but for rounding."""


def dealt(held: Ints, met: Ints, measure: Measure) -> float:
    """The share of permutations that measure at least as much as the truth: a p-value, never 0."""
    pool, rows = held + met, int(met.sum())
    if rows == 0 or not held.sum():
        return 1.0
    truth, chance = measure(held[None], met[None])[0], np.random.default_rng(0)
    made = beaten = 0
    for upto in DEALS:
        while made < upto:
            size = min(upto - made, max(1, AT_ONCE // len(pool)))
            deals = chance.multivariate_hypergeometric(pool, rows, size, method="marginals")
            beaten += int((measure(pool - deals, deals) >= truth * (1 - SAME)).sum())
            made += size
        if beaten >= ENOUGH:
            break
    return (1 + beaten) / (1 + made)
