"""How good is the champion, less its luck? Its figure on the holdout and the gate's history enter, a figure with a 95%
interval leaves that may be shown.

A champion won on the very rows that it is shown on, so its figure there is too high, the more so the more challengers
those rows have judged. Each challenger's true difference is believed to be normal, mean and spread learned from all
that were seen (empirical Bayes on a grid, as in prior.py, with a vaguer and more sceptical start, as here an error is a
figure that is too high). What a winner showed over its true difference is luck and stays with it. One that lost tells
of the champion's luck as well: the luckier the champion, the worse whoever comes looks (`_pull`). So the luck is a
Kalman filter's state at each point of the grid.

Never is more shown than was measured, nor a narrower interval; the interval widens by what the estimate of luck may be
wrong. With no comparison all stays as measured. Points of the metric are meant, so log loss has no such figure. Checked
by simulation for accuracy alone (benchmarks/bench_coverage.py); F1 goes by the same sums.

All functions are pure, and count lifetimes along the last axis. Source: Efron 2011, Tweedie's Formula and Selection
Bias; decisions/0026.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ratchet.judging.gate_memory import LEAST_ERROR, ODD_SPREAD, SLIDE, Measured, PastChallenger
from ratchet.judging.metrics import Floats

METRICS = ("accuracy", "f1", "macro_f1")
"""Those that are corrected: shares, in points."""
NORMAL = 1.959963984540054
ODD = 0.03
"""The share of challengers that are of another kind, far better or far worse."""
EXPECTED, WIDE = -0.4, 1.5
"""Where the mean is thought to be before anything was seen, and how far off that may be, in slides."""
DOUBT = 0.4
"""How far off the estimate of the luck may be, as a share of it."""

_MEANS, _SPREADS = (
    axis.reshape(-1, 1) for axis in np.meshgrid(np.linspace(-2.8, 2.8, 15), np.geomspace(0.1, 4.0, 9), indexing="ij")
)
_START = -np.log(_SPREADS) - ((_MEANS - EXPECTED) / WIDE) ** 2 / 2


@dataclass(frozen=True)
class Luck:
    """A model's luck on the holdout, in slides: mean and variance at each point of the grid, shape (grid, lifetimes).

    rows: of the holdout that it is meant for.
    """

    mean: Floats
    variance: Floats
    rows: Floats

    def on(self, rows: Floats, each: Floats) -> Luck:
        """The same on a holdout that has grown: fresh rows dilute it. each: the variance of one row."""
        fresh = np.maximum(rows - self.rows, 0.0)
        return Luck(
            self.mean * self.rows / rows, (self.variance * self.rows**2 + fresh * each) / rows**2, np.asarray(rows)
        )


@dataclass(frozen=True)
class Figure:
    """What may be shown: the figure less its luck, and where the true one lies in 95 of 100 cases.

    met: how many comparisons on the holdout were heeded.
    """

    value: float
    low: float
    high: float
    met: int


def unknowing(lifetimes: int = 1) -> Floats:
    """The weight of each point of the grid before the first challenger."""
    weight: Floats = np.repeat(_START, lifetimes, axis=1)
    return weight


def of_none(rows: Floats, each: Floats) -> Luck:
    """The luck of a model that nothing has been held against: as likely good as bad."""
    shape = (len(_MEANS), len(rows))
    return Luck(np.zeros(shape), np.broadcast_to(each / rows, shape), rows)


def after(weight: Floats, champion: Luck, measured: Measured, each: Floats) -> tuple[Floats, Luck, Luck]:
    """What a challenger teaches: the weights, the champion's luck and the challenger's own."""
    champion = champion.on(measured.rows, each)
    shown, error = measured.difference / SLIDE, np.maximum(measured.error / SLIDE, LEAST_ERROR)
    pull = _pull(error, each / measured.rows)
    own = np.maximum(error**2 - pull**2 * each / measured.rows, error**2 / 4)
    usual = _seen(champion, shown, pull, own, _MEANS, _SPREADS**2)
    odd = _seen(champion, shown, pull, own, np.zeros_like(_MEANS), np.full_like(_MEANS, ODD_SPREAD**2))
    likely = np.logaddexp(usual[0] + np.log(1 - ODD), odd[0] + np.log(ODD))
    share = np.exp(usual[0] + np.log(1 - ODD) - likely)
    stays = _mixed(share, usual[1], odd[1], champion.rows)
    return weight + likely, stays, _mixed(share, usual[2], odd[2], champion.rows)


def shown(weight: Floats, luck: Luck, error: Floats) -> tuple[Floats, Floats]:
    """By how much the measured figure is too high, and the standard error of what is left; in the metric's unit.

    error: the standard error of the measured figure.
    """
    share = np.exp(weight - weight.max(axis=0))
    share /= share.sum(axis=0)
    mean = (share * luck.mean).sum(axis=0)
    variance = (share * (luck.variance + luck.mean**2)).sum(axis=0) - mean**2
    high = np.maximum(mean, 0.0) * SLIDE
    return high, np.sqrt(np.maximum(variance * SLIDE**2, error**2) + (DOUBT * high) ** 2)


def corrected(
    value: float, interval: tuple[float, float], rows: int, history: Iterable[PastChallenger], version: int
) -> Figure:
    """A version's figure less its luck.

    value, interval: as measured on the holdout of that many rows, the interval for 95%. history: all comparisons on it,
    oldest first, the version's own among them.
    """
    error = (interval[1] - interval[0]) / 2 / NORMAL
    as_measured = Figure(value, min(interval[0], value), max(interval[1], value), 0)
    if error <= 0:
        return as_measured
    now, each = np.array([float(rows)]), np.array([(error / SLIDE) ** 2 * rows])
    weight, known, met = unknowing(), dict[int, Luck](), 0
    for past in history:
        champion = known.get(past.against, of_none(past.measured.rows, each))
        weight, known[past.against], known[past.version] = after(weight, champion, past.measured, each)
        met += 1
    if version not in known:
        return as_measured
    high, deviation = (float(found[0]) for found in shown(weight, known[version].on(now, each), np.array([error])))
    best, wider = value - high, deviation / error
    low, top = best - (value - as_measured.low) * wider, best + (as_measured.high - value) * wider
    return Figure(max(best, 0.0), max(low, 0.0), min(max(top, best, 0.0), 1.0), met)


def _pull(error: Floats, variance: Floats) -> Floats:
    """By how much a difference falls for each unit of the champion's luck, where both models' figures vary alike.

    The pull that the bootstrap finds goes up with the difference itself, which would pass for luck.
    """
    pull: Floats = np.minimum(error**2 / (2 * variance), 1.0)
    return pull


def _seen(
    champion: Luck, difference: Floats, pull: Floats, own: Floats, mean: Floats, variance: Floats
) -> tuple[Floats, tuple[Floats, Floats], tuple[Floats, Floats]]:
    """The log-likelihood of a difference, and mean and variance of the champion's and of the challenger's luck, where
    true differences are normal. difference = true - pull * luck + noise of variance `own`."""
    total = variance + pull**2 * champion.variance + own
    surprise = difference - mean + pull * champion.mean
    likely = -np.log(total) / 2 - surprise**2 / total / 2
    gain, spread = mean + variance * surprise / total, variance - variance**2 / total
    luck = champion.mean - pull * champion.variance * surprise / total
    left = champion.variance - (pull * champion.variance) ** 2 / total
    together = left + spread - 2 * variance * pull * champion.variance / total
    return likely, (luck, left), (luck + difference - gain, np.maximum(together, LEAST_ERROR**2))


def _mixed(share: Floats, one: tuple[Floats, Floats], other: tuple[Floats, Floats], rows: Floats) -> Luck:
    """One normal in the place of two."""
    mean = share * one[0] + (1 - share) * other[0]
    variance = share * (one[1] + one[0] ** 2) + (1 - share) * (other[1] + other[0] ** 2) - mean**2
    return Luck(mean, np.maximum(variance, LEAST_ERROR**2), rows)
