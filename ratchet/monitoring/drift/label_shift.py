"""Label shift: a model's live answers and its holdout confusion matrix enter, the shares of the classes now leave.

If the texts of a class are as before and only its share has moved (label shift), the answers are distributed as the
true shares multiplied by the confusion matrix of the holdout. Inverting that by least squares can give shares below 0.
The EM algorithm of Saerens, Latinne and Decaestecker (2002), run on the answers, finds the maximum likelihood shares
within bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ratchet.judging.class_metrics import confusion
from ratchet.monitoring.drift.two_sample import Floats, Ints

RESAMPLES = 200
ROUNDS = 200
MOST_CLASSES = 50
"""With more classes the confusion matrix has more cells than a holdout can fill."""


@dataclass(frozen=True)
class Prior:
    """The share of a class in the holdout (`reference`) and now (`recent`), with a 95% interval of the latter."""

    label: str
    reference: float
    recent: float
    low: float
    high: float


def shares_now(
    labels: Sequence[str], true: Ints, predicted: Ints, recent: Ints, groups: Ints | None = None
) -> tuple[Prior, ...]:
    """The shares of the classes now, the largest change first; empty with more than MOST_CLASSES classes.

    Args:
        labels: Classes.
        true: True class of each holdout row, an index into `labels`.
        predicted: Predicted class of each holdout row.
        recent: Predicted class of each live row.
        groups: Index of each holdout row's group, from 0; None if each row stands alone.
    """
    count = len(labels)
    if not 2 <= count <= MOST_CLASSES or not len(recent) or not len(true):
        return ()
    matrix = confusion(true, predicted, count).astype(np.float64)
    answers = np.bincount(recent, minlength=count).astype(np.float64)
    before = matrix.sum(axis=1) / matrix.sum()
    now = most_likely_shares(matrix[None], answers[None])[0]
    group_of_row = np.arange(len(true)) if groups is None else np.unique(groups, return_inverse=True)[1]
    resampled = _resampled_shares(true * count + predicted, group_of_row, answers)
    low, high = np.quantile(resampled, (0.025, 0.975), axis=0)
    columns = (labels, before.tolist(), now.tolist(), low.tolist(), high.tolist())
    priors = [Prior(*row) for row in zip(*columns, strict=True)]
    return tuple(sorted(priors, key=lambda prior: -abs(prior.recent - prior.reference)))


def most_likely_shares(matrices: Floats, answers: Floats) -> Floats:
    """The maximum likelihood shares by EM, shape (cases, classes).

    Args:
        matrices: Confusion matrices of shape (cases, true, predicted).
        answers: Counts of predictions, shape (cases, classes).
    """
    count = matrices.shape[1]
    likelihood = (matrices + 1 / count) / (matrices.sum(axis=2, keepdims=True) + 1)  # smoothed: no answer is impossible
    shares = np.full((len(answers), count), 1 / count)
    for _ in range(ROUNDS):
        joint = shares[:, :, None] * likelihood
        shares = np.einsum("ctp,cp->ct", joint / joint.sum(axis=1, keepdims=True), answers)
        shares /= shares.sum(axis=1, keepdims=True)
    return shares


def _resampled_shares(cells: Ints, groups: Ints, answers: Floats) -> Floats:
    """The shares on bootstrap resamples of the holdout's groups and of the answers, shape (RESAMPLES, classes).

    Args:
        cells: Index of each holdout row in the flat confusion matrix.
        groups: Index of each holdout row's group; all indices are in use.
        answers: Counts of predictions, shape (classes,).
    """
    rng = np.random.default_rng(0)
    count = len(answers)
    group_count = int(groups.max()) + 1
    weights = rng.multinomial(group_count, np.full(group_count, 1 / group_count), RESAMPLES)
    matrices = np.stack([np.bincount(cells, weight[groups], count**2) for weight in weights])
    recents = rng.multinomial(int(answers.sum()), answers / answers.sum(), RESAMPLES)
    return most_likely_shares(matrices.reshape(RESAMPLES, count, count).astype(np.float64), recents.astype(np.float64))
