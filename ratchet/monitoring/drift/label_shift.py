"""How often does each class occur now, as far as a model that errs can tell? Its answers enter, shares leave.

If a class reads as it did and only its share has moved (label shift), the answers are the true shares seen through the
confusion matrix of the holdout. Undoing that by least squares can give shares below 0; the EM of Saerens, Latinne and
Decaestecker (2002), run on the answers, finds the most likely shares that are none of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ratchet.judging.metrics import confusion
from ratchet.monitoring.drift.two_sample import Floats, Ints

RESAMPLES = 200
ROUNDS = 200
MOST_CLASSES = 50
"""With more, the matrix has more cells than a holdout has rows to fill them."""


@dataclass(frozen=True)
class Prior:
    """One class: its share of the holdout, and of what is met now, with a 95% interval."""

    label: str
    reference: float
    recent: float
    low: float
    high: float


def priors(
    labels: Sequence[str], true: Ints, predicted: Ints, recent: Ints, groups: Ints | None = None
) -> tuple[Prior, ...]:
    """The shares of the classes now, the one that moved most first; none where there are too many classes.

    Args:
        labels: the classes. true, predicted: of the holdout rows, as places in labels. recent: the answers now.
        groups: which holdout rows belong together, numbered from 0; None: each stands alone.
    """
    count = len(labels)
    if not 2 <= count <= MOST_CLASSES or not len(recent) or not len(true):
        return ()
    seen = confusion(true, predicted, count).astype(np.float64)
    answers = np.bincount(recent, minlength=count).astype(np.float64)
    before = seen.sum(axis=1) / seen.sum()
    now = likely(seen[None], answers[None])[0]
    alone = np.arange(len(true)) if groups is None else np.unique(groups, return_inverse=True)[1]
    low, high = np.quantile(_drawn(true * count + predicted, alone, answers), (0.025, 0.975), axis=0)
    found = [
        Prior(*row) for row in zip(labels, before.tolist(), now.tolist(), low.tolist(), high.tolist(), strict=True)
    ]
    return tuple(sorted(found, key=lambda prior: -abs(prior.recent - prior.reference)))


def likely(seen: Floats, answers: Floats) -> Floats:
    """The most likely shares, of shape (cases, classes).

    Args:
        seen: confusion matrices of shape (cases, true, predicted). answers: counts of shape (cases, classes).
    """
    count = seen.shape[1]
    chance = (seen + 1 / count) / (seen.sum(axis=2, keepdims=True) + 1)  # no answer is impossible
    shares = np.full((len(answers), count), 1 / count)
    for _ in range(ROUNDS):
        joint = shares[:, :, None] * chance
        shares = np.einsum("ctp,cp->ct", joint / joint.sum(axis=1, keepdims=True), answers)
        shares /= shares.sum(axis=1, keepdims=True)
    return shares


def _drawn(cells: Ints, groups: Ints, answers: Floats) -> Floats:
    """The shares on resamples of both the holdout, whole groups of it, and the answers.

    Args:
        cells: of each holdout row the place in the flat confusion matrix. groups: its group, all numbers in use.
    """
    chance, count, many = np.random.default_rng(0), len(answers), int(groups.max()) + 1
    times = chance.multinomial(many, np.full(many, 1 / many), RESAMPLES)
    holdouts = np.stack([np.bincount(cells, drawn[groups], count**2) for drawn in times])
    recents = chance.multinomial(int(answers.sum()), answers / answers.sum(), RESAMPLES)
    return likely(holdouts.reshape(RESAMPLES, count, count).astype(np.float64), recents.astype(np.float64))
