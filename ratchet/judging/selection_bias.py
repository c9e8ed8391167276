"""Correction of the champion's figure for selection bias (the winner's curse).

The figure on the holdout and the gate's history enter; a CorrectedFigure with its 95% interval leaves.

A champion was selected on the same rows on which it is shown, so its figure there is too high, and more so the more
challengers those rows have judged. Each challenger's true difference is assumed normal; mean and spread are learned
from all challengers (empirical Bayes on a grid, as in gate_memory.py, with a vaguer and more sceptical prior, since
here the harm is a figure that is too high). The excess of a winner's measured difference over its true one is luck,
which stays with the winner. A loser is informative as well: the luckier the champion, the worse every challenger looks
(`_pull`). So the luck is the state of a Kalman filter at each point of the grid.

The corrected figure never exceeds the measured one, and its interval is never narrower; the interval widens by the
uncertainty of the estimated luck. Without a comparison both stay as measured. The unit is points of the metric, so only
shares are corrected (`Metric.is_share`). Simulations checked accuracy only (benchmarks/bench_coverage.py); F1 uses the
same sums.

All functions are pure, and their last axis counts lifetimes. Source: Efron 2011, Tweedie's Formula and Selection Bias;
decisions/0026.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ratchet.judging.gate_memory import LEAST_ERROR, ODD_SPREAD, SLIDE, Measured, PastChallenger
from ratchet.judging.metrics import Floats

NORMAL = 1.959963984540054
"""Standard errors of a 95% interval."""
ODD = 0.03
"""Share of outliers among challengers, far better or far worse."""
EXPECTED, WIDE = -0.4, 1.5
"""Prior mean and standard deviation of the mean difference, in slides."""
DOUBT = 0.4
"""Standard error of the estimated luck, as a share of it."""

_MEANS, _SPREADS = (
    axis.reshape(-1, 1) for axis in np.meshgrid(np.linspace(-2.8, 2.8, 15), np.geomspace(0.1, 4.0, 9), indexing="ij")
)
_START = -np.log(_SPREADS) - ((_MEANS - EXPECTED) / WIDE) ** 2 / 2


@dataclass(frozen=True)
class Luck:
    """The posterior of a model's luck on the holdout, in slides.

    Attributes:
        mean: Mean at each grid point, shape (grid, lifetimes).
        variance: Variance at each grid point, shape (grid, lifetimes).
        rows: Rows of the holdout, shape (lifetimes,).
    """

    mean: Floats
    variance: Floats
    rows: Floats

    def on(self, rows: Floats, row_variance: Floats) -> Luck:
        """The luck on a holdout that has grown: new rows dilute it.

        Args:
            rows: Rows of the holdout now.
            row_variance: Variance of one row.
        """
        new_rows = np.maximum(rows - self.rows, 0.0)
        variance = (self.variance * self.rows**2 + new_rows * row_variance) / rows**2
        return Luck(self.mean * self.rows / rows, variance, np.asarray(rows))


@dataclass(frozen=True)
class CorrectedFigure:
    """A corrected figure.

    Attributes:
        value: The measured figure minus the estimated luck.
        low: Lower end of the 95% interval.
        high: Upper end of the 95% interval.
        met: Number of comparisons on the holdout that were used.
    """

    value: float
    low: float
    high: float
    met: int


def unknowing(lifetimes: int = 1) -> Floats:
    """The log prior of each grid point, shape (grid, lifetimes)."""
    weight: Floats = np.repeat(_START, lifetimes, axis=1)
    return weight


def of_none(rows: Floats, row_variance: Floats) -> Luck:
    """The prior luck of a model without a comparison: symmetric around 0.

    Args:
        rows: Rows of the holdout.
        row_variance: Variance of one row, in squared slides.
    """
    shape = (len(_MEANS), len(rows))
    return Luck(np.zeros(shape), np.broadcast_to(row_variance / rows, shape), rows)


def after(weight: Floats, champion: Luck, measured: Measured, row_variance: Floats) -> tuple[Floats, Luck, Luck]:
    """Update by a challenger.

    Args:
        weight: Log weight of each grid point.
        champion: The champion's luck.
        measured: The challenger's measured difference.
        row_variance: Variance of one row, in squared slides.

    Returns:
        The updated weights, the champion's luck and the challenger's luck.
    """
    champion = champion.on(measured.rows, row_variance)
    difference = measured.difference / SLIDE
    error = np.maximum(measured.error / SLIDE, LEAST_ERROR)
    pull = _pull(error, row_variance / measured.rows)
    noise = np.maximum(error**2 - pull**2 * row_variance / measured.rows, error**2 / 4)
    usual = _kalman_update(champion, difference, pull, noise, _MEANS, _SPREADS**2)
    odd_variance = np.full_like(_MEANS, ODD_SPREAD**2)
    odd = _kalman_update(champion, difference, pull, noise, np.zeros_like(_MEANS), odd_variance)
    log_likelihood = np.logaddexp(usual[0] + np.log(1 - ODD), odd[0] + np.log(ODD))
    usual_chance = np.exp(usual[0] + np.log(1 - ODD) - log_likelihood)
    champion_luck = _collapse(usual_chance, usual[1], odd[1], champion.rows)
    challenger_luck = _collapse(usual_chance, usual[2], odd[2], champion.rows)
    return weight + log_likelihood, champion_luck, challenger_luck


def shown(weight: Floats, luck: Luck, error: Floats) -> tuple[Floats, Floats]:
    """The bias of the measured figure, at least 0, and the standard error of the corrected one; in the metric's unit.

    Args:
        weight: Log weight of each grid point.
        luck: The model's luck.
        error: Standard error of the measured figure.
    """
    share = np.exp(weight - weight.max(axis=0))
    share /= share.sum(axis=0)
    mean = (share * luck.mean).sum(axis=0)
    variance = (share * (luck.variance + luck.mean**2)).sum(axis=0) - mean**2
    bias = np.maximum(mean, 0.0) * SLIDE
    return bias, np.sqrt(np.maximum(variance * SLIDE**2, error**2) + (DOUBT * bias) ** 2)


def corrected(
    value: float, interval: tuple[float, float], rows: int, history: Iterable[PastChallenger], version: int
) -> CorrectedFigure:
    """Correct a version's figure.

    Args:
        value: Figure as measured on the holdout.
        interval: Its 95% interval.
        rows: Rows of the holdout.
        history: All comparisons on the holdout, oldest first, including the version's own.
        version: The version.
    """
    error = (interval[1] - interval[0]) / 2 / NORMAL
    as_measured = CorrectedFigure(value, min(interval[0], value), max(interval[1], value), 0)
    if error <= 0:
        return as_measured
    row_variance = np.array([(error / SLIDE) ** 2 * rows])
    weight = unknowing()
    lucks = dict[int, Luck]()
    comparisons = 0
    for past in history:
        champion = lucks.get(past.against, of_none(past.measured.rows, row_variance))
        weight, lucks[past.against], lucks[past.version] = after(weight, champion, past.measured, row_variance)
        comparisons += 1
    if version not in lucks:
        return as_measured
    luck = lucks[version].on(np.array([float(rows)]), row_variance)
    bias, deviation = (float(estimate[0]) for estimate in shown(weight, luck, np.array([error])))
    best = value - bias
    widening = deviation / error
    low = best - (value - as_measured.low) * widening
    high = best + (as_measured.high - value) * widening
    return CorrectedFigure(max(best, 0.0), max(low, 0.0), min(max(high, best, 0.0), 1.0), comparisons)


def _pull(error: Floats, variance: Floats) -> Floats:
    """The decrease of a difference for each unit of the champion's luck, if both models' figures vary alike.

    The pull of the bootstrap is not used: it rises with the difference itself, which would count as luck.
    """
    pull: Floats = np.minimum(error**2 / (2 * variance), 1.0)
    return pull


def _kalman_update(
    champion: Luck, difference: Floats, pull: Floats, noise: Floats, mean: Floats, variance: Floats
) -> tuple[Floats, tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Update by a difference = true difference - pull * champion's luck + noise, with normal true differences.

    Args:
        champion: The champion's luck.
        difference: Measured difference, in slides.
        pull: Pull of the difference.
        noise: Variance of the noise.
        mean: Mean of true differences.
        variance: Variance of true differences.

    Returns:
        The log-likelihood of the difference; mean and variance of the champion's luck; the same of the challenger's.
    """
    total = variance + pull**2 * champion.variance + noise
    innovation = difference - mean + pull * champion.mean
    log_likelihood = -np.log(total) / 2 - innovation**2 / total / 2
    gain = mean + variance * innovation / total
    gain_variance = variance - variance**2 / total
    luck = champion.mean - pull * champion.variance * innovation / total
    luck_variance = champion.variance - (pull * champion.variance) ** 2 / total
    challenger_variance = luck_variance + gain_variance - 2 * variance * pull * champion.variance / total
    challenger_luck = luck + difference - gain
    return (
        log_likelihood,
        (luck, luck_variance),
        (challenger_luck, np.maximum(challenger_variance, LEAST_ERROR**2)),
    )


def _collapse(chance: Floats, first: tuple[Floats, Floats], second: tuple[Floats, Floats], rows: Floats) -> Luck:
    """Replace a mixture of two normals, each given by mean and variance, by one normal with the same moments.

    Args:
        chance: Weight of the first normal.
    """
    mean = chance * first[0] + (1 - chance) * second[0]
    variance = chance * (first[1] + first[0] ** 2) + (1 - chance) * (second[1] + second[0] ** 2) - mean**2
    return Luck(mean, np.maximum(variance, LEAST_ERROR**2), rows)
