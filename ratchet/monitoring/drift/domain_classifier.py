"""Can a classifier tell texts that are met now from those that the model was judged on? If so, they moved.

One half of either side teaches it which words give a text away (naive Bayes over words and pairs that one text in a
hundred has); the other half is scored, and its AUC is 0.5 where nothing has moved (a classifier two-sample test:
Lopez-Paz and Oquab 2017). What scores a text is fixed before the halves that are compared are looked at, so what the
AUC is by chance shows by dealing out the same scores anew: the permutation test needs no second training.
"""

from __future__ import annotations

import numpy as np

from ratchet.monitoring.drift.text_statistics import Words
from ratchet.monitoring.drift.two_sample import Floats, Ints, Sample, Shift, dealt, effective

WORTH = 0.05
"""How far from 0.5 the AUC must lie to be worth anybody's time."""
COMMON = 0.01
"""The share of texts that a word must be in to count: names of one film or product then tell nothing."""
BINS = 16
"""Scores are dealt out by their bin, which makes a permutation a draw of this many counts."""


def domain(held: tuple[Words, Words], groups: Ints | None, met: tuple[Words, Words]) -> Shift:
    """The shift of the words. held, met: of the reference and now, each the half that teaches and the one that is
    scored. groups: of the scored half of the reference."""
    weights, columns = teach(held[0], met[0])
    scores = [half[1].presence(columns) @ weights for half in (held, met)]
    return judge(Sample(scores[0], groups), scores[1])


def teach(held: Words, met: Words) -> tuple[Floats, np.ndarray]:
    """What each common word says for `met` and against `held`, in nats; and the words."""
    both = Words(
        held.size + met.size,
        np.concatenate([held.owner, met.owner + held.size]),
        np.concatenate([held.hashes, met.hashes]),
    )
    columns = both.common(max(3, int(COMMON * both.size)))
    shares = [(np.asarray(half.presence(columns).sum(axis=0)).ravel() + 1) / (half.size + 2) for half in (held, met)]
    odds = [np.log(share) - np.log1p(-share) for share in shares]
    return odds[1] - odds[0], columns


def judge(held: Sample, met: Floats) -> Shift:
    """How well the scores tell the two apart, and how often chance does as well."""
    both = np.concatenate([held.values, met])
    cuts = np.unique(np.quantile(both, np.linspace(0, 1, BINS + 1)[1:-1]))
    counts = [np.bincount(np.searchsorted(cuts, values), minlength=len(cuts) + 1) for values in (held.values, met)]
    found = float(areas(counts[0][None], counts[1][None])[0])
    p_value = dealt(np.round(counts[0] * (effective(held) / len(held))).astype(np.int64), counts[1], areas)
    return Shift("words", "AUC 0.5 if unmoved", f"AUC {found:.3f}", p_value, max(0.0, found - 0.5), WORTH)


def areas(held: Ints, met: Ints) -> Floats:
    """The area under the ROC curve by bins, of counts of shape (cases, bins)."""
    below = np.cumsum(held, axis=1) - held / 2
    return np.asarray((met * below).sum(axis=1) / np.maximum(1, held.sum(axis=1) * met.sum(axis=1)))
