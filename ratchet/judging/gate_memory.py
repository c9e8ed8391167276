"""What earlier challengers teach the gate: their differences enter, the difference to ask of the next one leaves.

The true differences of challengers are believed to be normal, mostly: about one in ten is of another kind, and may be
far better or far worse. Mean and spread of the normal are learned from the differences seen so far (empirical Bayes, on
a grid). A challenger is worth its risk where what it should gain outweighs the chance that it takes production down by
a slide; the price of that chance is higher where the holdout measures less. While little is known the gate asks what it
asks with no history at all, which is 90% confidence: history may make it stricter at once, and bolder by and by.

The champion was picked on these very rows, so part of its lead is luck, and a challenger meets it: the more it answers
anew, the more (its `pull`). Most of the estimated luck is given back; fresh rows dilute it by themselves.

All functions are pure, and count lifetimes along the last axis, so that benchmarks/bench_gate.py judges this very code
on thousands of lifetimes at once. Source: Efron 2010, Large-Scale Inference, chapters 1 and 2; decisions/0018.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ratchet.judging.metrics import Floats

SLIDE = 0.005
"""The loss that must not happen, in the metric's unit: half a point. All below counts in slides."""
CAREFUL = 1.2815515655446004
"""Standard errors asked with no history: 90% confidence, one-sided."""
PRICE = 54.0
"""What the certainty of a slide is worth, in slides, where the standard error is one slide; grows with its square."""
ODD, ODD_SPREAD = 0.1, 4.0
"""The share of challengers that are of another kind, and the spread of their differences about none."""
EXPECTED, DOUBT = -0.8, 0.8
"""Where the mean is thought to be before anything was seen, and how far off that may be: most are a little worse."""
STRICTEST = 2.0
"""Standard errors that are asked at most, however poor the history: on a small holdout more would be differences that
hardly any challenger has (decisions/0022). A constant 2 slides in less than 1% of lifetimes in every world."""
PATIENCE = 4.0
"""After this many challengers, half of the way to what was learned is gone, where it is the bolder way."""
GIVEN_BACK = 0.65
"""The share of the champion's estimated luck that is given back to a challenger."""
KEPT = 0.985
"""What one challenger later is left of what another showed: after 46 of them half, as worlds change."""
LEAST_ERROR = 0.02

_MEANS, _SPREADS = (
    axis.reshape(-1, 1) for axis in np.meshgrid(np.linspace(-2.8, 2.8, 15), np.geomspace(0.2, 4.0, 8), indexing="ij")
)
_START = np.log(_SPREADS) / 4 - ((_MEANS - EXPECTED) / DOUBT) ** 2 / 2
"""The weights before anything was seen: a wide spread is a little likelier than a narrow one."""


@dataclass(frozen=True)
class Measured:
    """One challenger against the champion of its time, or as many as there are lifetimes.

    difference, error: challenger minus champion in the metric's unit, above 0 better, and its standard error.
    pull: by how much the difference falls for each unit of the champion's luck on these rows, 0 to 1.
    rows: of the holdout at the time.
    """

    difference: Floats
    error: Floats
    pull: Floats
    rows: Floats


@dataclass(frozen=True)
class PastChallenger:
    """An earlier challenger: which version it is, which champion it met, what was measured, and whether it won."""

    version: int
    against: int
    measured: Measured
    promoted: bool


@dataclass(frozen=True)
class Belief:
    """What is believed after some challengers.

    weight: the log-likelihood of each mean and spread, shape (grid, lifetimes).
    luck: of the champion, in slides times rows, so that it stays as it is while the holdout grows.
    seen: how many challengers.
    """

    weight: Floats
    luck: Floats
    seen: int = 0


def unknowing(lifetimes: int = 1) -> Belief:
    """What is believed before the first challenger has met a champion."""
    return Belief(np.repeat(_START, lifetimes, axis=1), np.zeros(lifetimes))


def learned(history: Iterable[PastChallenger], champion: int) -> Belief:
    """What is believed when a challenger meets that champion. history: oldest first."""
    belief = unknowing()
    luck: dict[int, Floats] = {}
    for past in history:
        belief = replace(belief, luck=luck.get(past.against, np.zeros(1)))
        belief = after(belief, past.measured, np.array([past.promoted]))
        if past.promoted:
            luck[past.version] = belief.luck
    return replace(belief, luck=luck.get(champion, np.zeros(1)))


def after(belief: Belief, measured: Measured, promoted: np.ndarray) -> Belief:
    """The belief once that challenger was decided on."""
    error = _error(measured)
    corrected = measured.difference / SLIDE + _given(belief, measured)
    weight = _START + KEPT * (belief.weight - _START) + np.log(_density(corrected, error, _MEANS, _SPREADS**2))
    knowing = replace(belief, weight=weight, seen=belief.seen + 1)
    share, means, _ = _expected(corrected, error, *_normal(knowing))
    gain = share * means[0] + (1 - share) * means[1]
    lucky = (measured.difference / SLIDE - gain) * measured.rows
    return replace(knowing, luck=belief.luck + np.where(promoted, lucky, 0.0))


def asked(belief: Belief, measured: Measured) -> Floats:
    """The difference that a challenger must exceed, in the metric's unit, never below 0; heeds no difference itself."""
    if belief.seen == 0:
        return CAREFUL * measured.error
    error = _error(measured)
    worth = _worth(error, *_normal(belief))
    patience = np.where(worth > CAREFUL, 0.0, PATIENCE)
    known = belief.seen / (belief.seen + patience)
    errors = np.minimum(known * worth + (1 - known) * CAREFUL, STRICTEST)
    return np.maximum(errors * error - _given(belief, measured), 0.0) * SLIDE


def _error(measured: Measured) -> Floats:
    return np.maximum(measured.error / SLIDE, LEAST_ERROR)


def _given(belief: Belief, measured: Measured) -> Floats:
    """What a challenger is given back of the champion's luck, in slides."""
    return GIVEN_BACK * measured.pull * belief.luck / measured.rows


def _normal(belief: Belief) -> tuple[Floats, Floats]:
    """Mean and variance of the next challenger's true difference, if it is of the usual kind."""
    share = np.exp(belief.weight - belief.weight.max(axis=0))
    share /= share.sum(axis=0)
    mean = (share * _MEANS).sum(axis=0)
    return mean, (share * (_SPREADS**2 + _MEANS**2)).sum(axis=0) - mean**2


def _worth(error: Floats, mean: Floats, variance: Floats) -> Floats:
    """The standard errors from which on a challenger is worth its risk, by halving."""
    from scipy.special import ndtr

    low, high = np.full_like(error, -2.0), np.full_like(error, 6.0)
    for _ in range(14):
        middle = (low + high) / 2
        share, means, variances = _expected(middle * error, error, mean, variance)
        usual, odd = (ndtr((-1 - at) / np.sqrt(spread)) for at, spread in zip(means, variances, strict=True))
        gain = share * means[0] + (1 - share) * means[1]
        enough = gain > PRICE * error**2 * (share * usual + (1 - share) * odd)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high


def _density(difference: Floats, error: Floats, mean: Floats, variance: Floats) -> Floats:
    """How likely that difference is, up to a constant."""
    usual, odd = _parts(difference, error, mean, variance)
    both: Floats = usual + odd
    return both


def _parts(difference: Floats, error: Floats, mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """The density of a usual challenger and that of an odd one, each with its share; never quite 0."""
    around, wide = np.sqrt(variance + error**2), np.sqrt(ODD_SPREAD**2 + error**2)
    usual = (1 - ODD) / around * np.exp(-(((difference - mean) / around) ** 2) / 2)
    odd = ODD / wide * np.exp(-((difference / wide) ** 2) / 2)
    return usual, np.maximum(odd, np.finfo(float).tiny)


def _expected(
    difference: Floats, error: Floats, mean: Floats, variance: Floats
) -> tuple[Floats, tuple[Floats, Floats], tuple[Floats, Floats]]:
    """The chance that the challenger is a usual one; the mean and the variance of its true difference for either."""
    usual, odd = _parts(difference, error, mean, variance)
    trust, wide = variance / (variance + error**2), ODD_SPREAD**2 / (ODD_SPREAD**2 + error**2)
    means = (trust * difference + (1 - trust) * mean, wide * difference)
    return usual / (usual + odd), means, (trust * error**2, wide * error**2)
