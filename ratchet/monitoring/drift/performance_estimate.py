"""Accuracy now: scores enter for an estimate without labels, labelled answers for a measurement; a Rate leaves.

`estimated` needs no labels. Scores are calibrated on the holdout (Platt 1999), so that a model that states 80% is right
four times in five; then the mean calibrated score estimates the accuracy on any rows (confidence-based performance
estimation). This detects texts that became harder. It does not detect concept drift: if the same text now has another
label, only labels show it (`measured`, `always`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratchet.monitoring.drift.two_sample import Floats, Ints, clustering

Z = 1.959964
"""Standard errors of a 95% interval."""
FOLDS = 5
FEWEST = 50
"""Fewest rows of an estimate or measurement: with fewer an accuracy is uncertain by more than 10 points."""
ROUNDS = 50
"""Most steps of Newton's method; five or six are usual."""
PER_BIN = 50
"""Fewest rows of a bin of the calibration error."""


@dataclass(frozen=True)
class Rate:
    """A share with its 95% interval, and the number of rows behind it."""

    value: float
    low: float
    high: float
    rows: int

    def __str__(self) -> str:
        return f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}]"


@dataclass(frozen=True)
class Calibration:
    """Platt scaling: the chance that a score is right is 1 / (1 + exp(-(intercept + slope * logit))).

    Attributes:
        intercept: Intercept.
        slope: Slope.
        spread: Covariance matrix of intercept and slope, shape (2, 2).
    """

    intercept: float
    slope: float
    spread: Floats

    def chance(self, scores: Floats) -> Floats:
        return _sigmoid(_features(scores) @ np.array([self.intercept, self.slope]))


@dataclass(frozen=True)
class Honesty:
    """Calibration on labelled rows.

    Attributes:
        sure: Mean score.
        right: Share of right answers.
        error: Mean gap of the two over bins of equal size (calibration error).
        rows: Number of rows.
    """

    sure: float
    right: float
    error: float
    rows: int


def calibrate(scores: Floats, right: Floats, groups: Ints | None = None) -> Calibration:
    """Fit Platt scaling by maximum likelihood.

    Platt's smoothed targets keep the fit finite for a model that is always right. The covariance is the cluster-robust
    sandwich estimator (Huber; Liang and Zeger), since rows of a group are dependent.

    Args:
        scores: Probability of each predicted label.
        right: 1 for each right answer, else 0.
        groups: Index of each row's group; None if each row stands alone.
    """
    count = float(right.sum())
    target = np.where(right > 0, (count + 1) / (count + 2), 1 / (len(right) - count + 2))
    features = _features(scores)
    weights = np.array([0.0, 1.0])
    for _ in range(ROUNDS):
        chance = _sigmoid(features @ weights)
        gradient = features.T @ (target - chance)
        step = np.linalg.solve(_curvature(features, chance), gradient)
        loss = _loss(features, target, weights)
        while _loss(features, target, weights + step) > loss and np.abs(step).max() > 1e-9:
            step = step / 2  # Newton's step overshoots if nearly all scores are close to 1
        weights = weights + step
        if np.abs(step).max() < 1e-6:
            break
    chance = _sigmoid(features @ weights)
    inverse = np.linalg.inv(_curvature(features, chance))
    score = features * (right - chance)[:, None]
    sums = score if groups is None else np.stack([np.bincount(groups, column) for column in score.T], axis=1)
    clusters = len(right) if groups is None else len(np.unique(groups))
    spread = inverse @ (sums.T @ sums) @ inverse * clusters / max(1, clusters - 1)
    return Calibration(float(weights[0]), float(weights[1]), spread)


def estimated(calibration: Calibration, scores: Floats) -> Rate:
    """The estimated accuracy on rows without labels.

    The interval includes the sampling error of these rows and the error of the calibration.
    """
    chance = calibration.chance(scores)
    gradient = (chance * (1 - chance)) @ _features(scores) / len(scores)
    variance = gradient @ calibration.spread @ gradient + (chance * (1 - chance)).sum() / len(scores) ** 2
    value = float(chance.mean())
    half_width = Z * float(np.sqrt(variance))
    return Rate(value, max(0.0, value - half_width), min(1.0, value + half_width), len(scores))


def held_back(scores: Floats, right: Floats, groups: Ints | None = None) -> tuple[float, ...]:
    """The error of the estimate on each fold of the holdout, with a calibration fitted on the other folds.

    The error is the estimate minus the true accuracy; no group is in two folds.
    """
    group_of_row = np.arange(len(scores)) if groups is None else np.unique(groups, return_inverse=True)[1]
    folds = np.random.default_rng(0).permutation(group_of_row.max() + 1)[group_of_row] % FOLDS
    errors = []
    for fold in range(min(FOLDS, int(group_of_row.max()) + 1)):
        fitted = folds != fold
        held_out = folds == fold
        if min(fitted.sum(), held_out.sum()) >= 2:
            calibration = calibrate(scores[fitted], right[fitted])
            errors.append(float(calibration.chance(scores[held_out]).mean() - right[held_out].mean()))
    return tuple(errors)


def measured(right: Floats, groups: Ints | None = None) -> Rate:
    """The accuracy on labelled rows with Wilson's interval (1927) at the effective sample size.

    Args:
        right: 1 for each right answer, else 0.
        groups: Index of each row's group, from 0; None if each row stands alone.
    """
    value = float(right.mean())
    rows = len(right) if groups is None else len(right) / clustering(right > 0, groups)
    centre = (value + Z**2 / (2 * rows)) / (1 + Z**2 / rows)
    half_width = Z / (1 + Z**2 / rows) * np.sqrt(value * (1 - value) / rows + Z**2 / (4 * rows**2))
    return Rate(value, max(0.0, float(centre - half_width)), min(1.0, float(centre + half_width)), len(right))


def always(right: Floats, alpha: float = 0.05) -> Rate:
    """The accuracy on labelled rows with an anytime-valid interval, which may be checked after every row.

    The interval contains the shares against which a bet on all other shares would not have won 1 / alpha times its
    stake (Ville 1939; mixture of Robbins 1970 with a uniform prior).

    Args:
        right: 1 for each right answer, else 0.
        alpha: Chance that the interval ever misses the true accuracy.
    """
    from scipy.special import betaln, xlog1py, xlogy

    rows = len(right)
    hits = float(right.sum())
    shares = np.linspace(0, 1, 10_001)
    log_wealth = betaln(hits + 1, rows - hits + 1) - xlogy(hits, shares) - xlog1py(rows - hits, -shares)
    kept = shares[log_wealth < np.log(1 / alpha)]
    return Rate(hits / rows, float(kept[0]), float(kept[-1]), rows)


def honesty(scores: Floats, right: Floats) -> Honesty:
    """Calibration on labelled rows, in at most ten bins by score with 50 rows or more each."""
    bins = np.array_split(np.argsort(scores, kind="stable"), max(1, min(10, len(scores) // PER_BIN)))
    error = sum(len(part) * abs(scores[part].mean() - right[part].mean()) for part in bins) / len(scores)
    return Honesty(float(scores.mean()), float(right.mean()), float(error), len(scores))


def _features(scores: Floats) -> Floats:
    """A constant and the logit of each score, shape (rows, 2)."""
    clipped = np.clip(scores, 1e-4, 1 - 1e-4)  # scores are kept with four places
    return np.stack([np.ones(len(clipped)), np.log(clipped) - np.log1p(-clipped)], axis=1)


def _curvature(features: Floats, chance: Floats) -> Floats:
    """The Hessian of the negative log likelihood, regularised for equal scores."""
    return (features * (chance * (1 - chance))[:, None]).T @ features + 1e-6 * np.eye(2)


def _loss(features: Floats, target: Floats, weights: Floats) -> float:
    logits = features @ weights
    return float((np.logaddexp(0, logits) - target * logits).sum())


def _sigmoid(values: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(values, -40, 40)))
