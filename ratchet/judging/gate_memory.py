"""The gate's memory: differences of earlier challengers enter, the lead required of the next challenger leaves.

Model. The true differences of challengers follow a mixture: nine in ten are normal, one in ten is an outlier that may
be far better or far worse. Mean and spread of the normal part are learned from the observed differences (empirical
Bayes on a grid). A challenger is worth its risk if its expected gain outweighs the risk of a slide, a loss of SLIDE in
production; the price of that risk is higher if the holdout measures less precisely. Without history the gate requires
90% confidence. History may make it stricter at once, and bolder only gradually. The unit of all values is a slide: a
metric whose slide is another amount (`Metric.slide`) is measured in a unit in which it is SLIDE.

Selection bias. The champion was selected on the same rows, so part of its lead is luck, and a challenger is measured
against it; the more answers it changes, the more of it (its `pull`). Most of the estimated luck is given back to the
challenger; new rows dilute it.

All functions are pure, and their last axis counts lifetimes, so that benchmarks/bench_gate.py simulates thousands of
lifetimes with this code. Source: Efron 2010, Large-Scale Inference, chapters 1 and 2; decisions/0018.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ratchet.judging.metrics import SLIDE, Floats, Metric

CAREFUL = 1.2815515655446004
"""Standard errors required without history: 90% confidence, one-sided."""
PRICE = 54.0
"""Price of a certain slide, in slides, at a standard error of one slide; it grows with the square of the error."""
ODD, ODD_SPREAD = 0.1, 4.0
"""Share of outliers among challengers, and the standard deviation of their differences around 0."""
EXPECTED, DOUBT = -0.8, 0.8
"""Prior mean and standard deviation of the mean difference: most challengers are a little worse."""
STRICTEST = 2.0
"""Most standard errors that are required, however poor the history. On a small holdout more would exceed the
difference of almost any challenger (decisions/0022). A constant 2 gives slides in less than 1% of lifetimes in every
world."""
PATIENCE = 4.0
"""Number of challengers after which the requirement has moved half of the way to a bolder learned one."""
GIVEN_BACK = 0.65
"""Share of the champion's estimated luck that is given back to a challenger."""
KEPT = 0.985
"""Decay factor per challenger: after 46 challengers the weight of an observation has halved, as worlds change."""
LEAST_ERROR = 0.02
"""Lower bound of a standard error, in slides."""

_MEANS, _SPREADS = (
    axis.reshape(-1, 1) for axis in np.meshgrid(np.linspace(-2.8, 2.8, 15), np.geomspace(0.2, 4.0, 8), indexing="ij")
)
_START = np.log(_SPREADS) / 4 - ((_MEANS - EXPECTED) / DOUBT) ** 2 / 2
"""Log prior of each grid point: a wide spread is slightly more likely than a narrow one."""


@dataclass(frozen=True)
class Measured:
    """A challenger against the champion of its time. All arrays have shape (lifetimes,).

    Attributes:
        difference: Challenger minus champion in the metric's unit; above 0 is better.
        error: Standard error of the difference.
        pull: Decrease of the difference for each unit of the champion's luck on these rows, 0 to 1.
        rows: Rows of the holdout at that time.
    """

    difference: Floats
    error: Floats
    pull: Floats
    rows: Floats

    def times(self, factor: float) -> Measured:
        """The same in another unit."""
        return replace(self, difference=self.difference * factor, error=self.error * factor)


@dataclass(frozen=True)
class PastChallenger:
    """An earlier challenger.

    Attributes:
        version: Its version.
        against: The champion's version.
        measured: The measured difference.
        promoted: Whether it was promoted.
    """

    version: int
    against: int
    measured: Measured
    promoted: bool

    def times(self, factor: float) -> PastChallenger:
        """The same with its measurement in another unit."""
        return replace(self, measured=self.measured.times(factor))


@dataclass(frozen=True)
class Belief:
    """The posterior after some challengers.

    Attributes:
        weight: Log weight of each mean and spread of the grid, shape (grid, lifetimes).
        luck: The champion's luck in slides times rows, which is invariant when the holdout grows; shape (lifetimes,).
        seen: Number of challengers.
    """

    weight: Floats
    luck: Floats
    seen: int = 0


def prior_belief(lifetimes: int = 1) -> Belief:
    """The prior, before the first challenger."""
    return Belief(np.repeat(_START, lifetimes, axis=1), np.zeros(lifetimes))


def unit(metric: Metric, value: float) -> float:
    """The factor by which a metric's differences are multiplied for the gate's memory; 1 for a share.

    Args:
        value: The champion's figure.
    """
    return SLIDE / metric.slide(value)


def learn_history(history: Iterable[PastChallenger], champion: int) -> Belief:
    """The posterior for a challenger of the given champion.

    Args:
        history: Earlier challengers, oldest first.
        champion: Version of the champion.
    """
    belief = prior_belief()
    luck: dict[int, Floats] = {}
    for past in history:
        belief = replace(belief, luck=luck.get(past.against, np.zeros(1)))
        belief = update_belief(belief, past.measured, np.array([past.promoted]))
        if past.promoted:
            luck[past.version] = belief.luck
    return replace(belief, luck=luck.get(champion, np.zeros(1)))


def update_belief(belief: Belief, measured: Measured, promoted: np.ndarray) -> Belief:
    """The posterior after a decision on a challenger.

    Args:
        promoted: Whether the challenger was promoted, shape (lifetimes,).
    """
    error = _error_in_slides(measured)
    corrected = measured.difference / SLIDE + _luck_given_back(belief, measured)
    weight = _START + KEPT * (belief.weight - _START) + np.log(_density(corrected, error, _MEANS, _SPREADS**2))
    updated = replace(belief, weight=weight, seen=belief.seen + 1)
    usual_chance, means, _ = _posterior(corrected, error, *_predictive(updated))
    gain = usual_chance * means[0] + (1 - usual_chance) * means[1]
    luck = (measured.difference / SLIDE - gain) * measured.rows
    return replace(updated, luck=belief.luck + np.where(promoted, luck, 0.0))


def required_lead(belief: Belief, measured: Measured) -> Floats:
    """The lead that a challenger must exceed, in the metric's unit and at least 0.

    It depends on the error, pull and rows of `measured`, but not on its difference.
    """
    if belief.seen == 0:
        return CAREFUL * measured.error
    error = _error_in_slides(measured)
    learned_errors = _break_even_errors(error, *_predictive(belief))
    patience = np.where(learned_errors > CAREFUL, 0.0, PATIENCE)
    trust = belief.seen / (belief.seen + patience)
    errors = np.minimum(trust * learned_errors + (1 - trust) * CAREFUL, STRICTEST)
    return np.maximum(errors * error - _luck_given_back(belief, measured), 0.0) * SLIDE


def _error_in_slides(measured: Measured) -> Floats:
    return np.maximum(measured.error / SLIDE, LEAST_ERROR)


def _luck_given_back(belief: Belief, measured: Measured) -> Floats:
    """The part of the champion's luck that is given back to a challenger, in slides."""
    return GIVEN_BACK * measured.pull * belief.luck / measured.rows


def _predictive(belief: Belief) -> tuple[Floats, Floats]:
    """Mean and variance of the next challenger's true difference, if it is no outlier."""
    share = np.exp(belief.weight - belief.weight.max(axis=0))
    share /= share.sum(axis=0)
    mean = (share * _MEANS).sum(axis=0)
    return mean, (share * (_SPREADS**2 + _MEANS**2)).sum(axis=0) - mean**2


def _break_even_errors(error: Floats, mean: Floats, variance: Floats) -> Floats:
    """The number of standard errors above which the expected gain outweighs the risk, by bisection."""
    from scipy.special import ndtr

    low = np.full_like(error, -2.0)
    high = np.full_like(error, 6.0)
    for _ in range(14):
        middle = (low + high) / 2
        usual_chance, means, variances = _posterior(middle * error, error, mean, variance)
        usual_risk, odd_risk = (ndtr((-1 - at) / np.sqrt(spread)) for at, spread in zip(means, variances, strict=True))
        gain = usual_chance * means[0] + (1 - usual_chance) * means[1]
        risk = usual_chance * usual_risk + (1 - usual_chance) * odd_risk
        is_worth_it = gain > PRICE * error**2 * risk
        low = np.where(is_worth_it, low, middle)
        high = np.where(is_worth_it, middle, high)
    return high


def _density(difference: Floats, error: Floats, mean: Floats, variance: Floats) -> Floats:
    """The density of a difference under the mixture, up to a constant."""
    usual, odd = _component_densities(difference, error, mean, variance)
    density: Floats = usual + odd
    return density


def _component_densities(difference: Floats, error: Floats, mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """The densities of the normal part and of the outliers, weighted by their shares; the latter is never 0."""
    usual_spread = np.sqrt(variance + error**2)
    odd_spread = np.sqrt(ODD_SPREAD**2 + error**2)
    usual = (1 - ODD) / usual_spread * np.exp(-(((difference - mean) / usual_spread) ** 2) / 2)
    odd = ODD / odd_spread * np.exp(-((difference / odd_spread) ** 2) / 2)
    return usual, np.maximum(odd, np.finfo(float).tiny)


def _posterior(
    difference: Floats, error: Floats, mean: Floats, variance: Floats
) -> tuple[Floats, tuple[Floats, Floats], tuple[Floats, Floats]]:
    """The posterior of a challenger's true difference given its measured difference.

    Returns:
        The chance that it is no outlier; the means, and the variances, of the true difference as a usual challenger and
        as an outlier.
    """
    usual, odd = _component_densities(difference, error, mean, variance)
    usual_shrinkage = variance / (variance + error**2)
    odd_shrinkage = ODD_SPREAD**2 / (ODD_SPREAD**2 + error**2)
    means = (usual_shrinkage * difference + (1 - usual_shrinkage) * mean, odd_shrinkage * difference)
    return usual / (usual + odd), means, (usual_shrinkage * error**2, odd_shrinkage * error**2)
