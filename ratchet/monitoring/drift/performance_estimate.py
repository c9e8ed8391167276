"""How often is the model right now, before anybody has said so? And how often is it, where somebody has?

`estimated` needs no labels: a model that says 80% is right four times in five once its scores are calibrated on the
holdout (Platt 1999), so the mean of calibrated scores estimates its accuracy on any rows (confidence-based performance
estimation). It sees texts that became harder. It does not see a world that changed its mind: where the same text now
has another label, only labels show it, which is what `measured` takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratchet.monitoring.drift.two_sample import Floats, Ints, clustering

Z = 1.959964
"""Standard errors of a 95% interval."""
FOLDS = 5
FEWEST = 50
"""Rows below which nothing is estimated or measured: an accuracy would be uncertain by more than 10 points."""
ROUNDS = 50
"""Of Newton's method at most; five or six are usual."""
PER_BIN = 50
"""Rows of a bin of the calibration error."""


@dataclass(frozen=True)
class Rate:
    """A share, its 95% interval, and the rows it stands on."""

    value: float
    low: float
    high: float
    rows: int

    def __str__(self) -> str:
        return f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}]"


@dataclass(frozen=True)
class Calibration:
    """A score's chance to be right: 1 / (1 + exp(-(intercept + slope * logit))). spread: covariance of the two."""

    intercept: float
    slope: float
    spread: Floats

    def chance(self, scores: Floats) -> Floats:
        return _sigmoid(_features(scores) @ np.array([self.intercept, self.slope]))


@dataclass(frozen=True)
class Honesty:
    """How sure the model is, and how often it was right. error: the mean gap of the two over bins of equal size."""

    sure: float
    right: float
    error: float
    rows: int


def calibrate(scores: Floats, right: Floats, groups: Ints | None = None) -> Calibration:
    """Fit by maximum likelihood, to Platt's softened targets, so that a model that is always right is no trouble.

    The covariance is that of clustered rows (the sandwich of Huber and Liang and Zeger), for rows of a group agree.
    """
    count = float(right.sum())
    target = np.where(right > 0, (count + 1) / (count + 2), 1 / (len(right) - count + 2))
    features, found = _features(scores), np.array([0.0, 1.0])
    for _ in range(ROUNDS):
        chance = _sigmoid(features @ found)
        slope = features.T @ (target - chance)
        step = np.linalg.solve(_curvature(features, chance), slope)
        while _loss(features, target, found + step) > _loss(features, target, found) and np.abs(step).max() > 1e-9:
            step = step / 2  # Newton's step overshoots where nearly all scores are close to 1
        found = found + step
        if np.abs(step).max() < 1e-6:
            break
    chance = _sigmoid(features @ found)
    inverse = np.linalg.inv(_curvature(features, chance))
    score = features * (right - chance)[:, None]
    sums = score if groups is None else np.stack([np.bincount(groups, column) for column in score.T], axis=1)
    clusters = len(right) if groups is None else len(np.unique(groups))
    spread = inverse @ (sums.T @ sums) @ inverse * clusters / max(1, clusters - 1)
    return Calibration(float(found[0]), float(found[1]), spread)


def estimated(known: Calibration, scores: Floats) -> Rate:
    """The accuracy on rows without labels; its interval holds the luck of these rows and that of the calibration."""
    chance = known.chance(scores)
    slope = (chance * (1 - chance)) @ _features(scores) / len(scores)
    variance = slope @ known.spread @ slope + (chance * (1 - chance)).sum() / len(scores) ** 2
    value, far = float(chance.mean()), Z * float(np.sqrt(variance))
    return Rate(value, max(0.0, value - far), min(1.0, value + far), len(scores))


def held_back(scores: Floats, right: Floats, groups: Ints | None = None) -> tuple[float, ...]:
    """The estimate less the truth, on each of five parts of the holdout that the calibration had not seen."""
    belongs = np.arange(len(scores)) if groups is None else np.unique(groups, return_inverse=True)[1]
    parts = np.random.default_rng(0).permutation(belongs.max() + 1)[belongs] % FOLDS
    gaps = []
    for part in range(min(FOLDS, int(belongs.max()) + 1)):
        seen, kept = parts != part, parts == part
        if min(seen.sum(), kept.sum()) >= 2:
            gaps.append(float(calibrate(scores[seen], right[seen]).chance(scores[kept]).mean() - right[kept].mean()))
    return tuple(gaps)


def measured(right: Floats, groups: Ints | None = None) -> Rate:
    """The accuracy on rows with labels, with Wilson's interval (1927) on as many rows as they are worth.

    groups: whose rows belong together, numbered from 0; None: each row stands alone.
    """
    value = float(right.mean())
    rows = len(right) if groups is None else len(right) / clustering(right > 0, groups)
    middle = (value + Z**2 / (2 * rows)) / (1 + Z**2 / rows)
    far = Z / (1 + Z**2 / rows) * np.sqrt(value * (1 - value) / rows + Z**2 / (4 * rows**2))
    return Rate(value, max(0.0, float(middle - far)), min(1.0, float(middle + far)), len(right))


def always(right: Floats, alpha: float = 0.05) -> Rate:
    """The accuracy on rows with labels, in an interval that holds after every row at once, so one may look each hour.

    Those shares against which a bet on all others would not have won 1 / alpha times its stake (Ville 1939; the mixture
    is Robbins' of 1970 with a uniform prior).
    """
    from scipy.special import betaln, xlog1py, xlogy

    rows, hits = len(right), float(right.sum())
    shares = np.linspace(0, 1, 10_001)
    won = betaln(hits + 1, rows - hits + 1) - xlogy(hits, shares) - xlog1py(rows - hits, -shares)
    kept = shares[won < np.log(1 / alpha)]
    return Rate(hits / rows, float(kept[0]), float(kept[-1]), rows)


def honesty(scores: Floats, right: Floats) -> Honesty:
    """Calibration on rows with labels: in bins of 50 rows or more, ten at most, the least sure first."""
    bins = np.array_split(np.argsort(scores, kind="stable"), max(1, min(10, len(scores) // PER_BIN)))
    error = sum(len(part) * abs(scores[part].mean() - right[part].mean()) for part in bins) / len(scores)
    return Honesty(float(scores.mean()), float(right.mean()), float(error), len(scores))


def _features(scores: Floats) -> Floats:
    sure = np.clip(scores, 1e-4, 1 - 1e-4)  # scores are kept with four places
    return np.stack([np.ones(len(sure)), np.log(sure) - np.log1p(-sure)], axis=1)


def _curvature(features: Floats, chance: Floats) -> Floats:
    """The Hessian of the negative log likelihood, kept from being flat where all scores are equal."""
    return (features * (chance * (1 - chance))[:, None]).T @ features + 1e-6 * np.eye(2)


def _loss(features: Floats, target: Floats, found: Floats) -> float:
    logits = features @ found
    return float((np.logaddexp(0, logits) - target * logits).sum())


def _sigmoid(values: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(values, -40, 40)))
