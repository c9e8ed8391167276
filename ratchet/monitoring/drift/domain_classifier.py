"""Classifier two-sample test of texts: words of the holdout and of live texts enter, a Shift leaves.

A naive Bayes classifier over words and word pairs that occur in one text of a hundred learns on one half of each side
to distinguish holdout texts from live texts. The other halves are scored; the AUC is 0.5 if nothing has moved
(Lopez-Paz and Oquab 2017). The classifier is fixed before the other halves are scored, so the permutation test permutes
the scores and needs no second training.
"""

from __future__ import annotations

import numpy as np

from ratchet.monitoring.drift.text_statistics import Words
from ratchet.monitoring.drift.two_sample import Floats, Ints, Sample, Shift, effective, permutation_p_value

WORTH = 0.05
"""Least distance of the AUC from 0.5 that matters."""
COMMON = 0.01
"""Least share of texts that contain a word: names of single films or products are left out."""
BINS = 16
"""Bins of scores, so that a permutation is one draw of this many counts."""


def domain(reference: tuple[Words, Words], groups: Ints | None, recent: tuple[Words, Words]) -> Shift:
    """The shift of the words.

    Args:
        reference: Training half and scored half of the holdout's texts.
        groups: Groups of the scored half of the holdout.
        recent: Training half and scored half of the live texts.
    """
    weights, columns = fit(reference[0], recent[0])
    reference_scores = reference[1].presence(columns) @ weights
    recent_scores = recent[1].presence(columns) @ weights
    return shift_of_scores(Sample(reference_scores, groups), recent_scores)


def fit(reference: Words, recent: Words) -> tuple[Floats, np.ndarray]:
    """The log odds ratio (nats) of each common word for `recent` against `reference`, and the words' hashes."""
    both = Words(
        reference.size + recent.size,
        np.concatenate([reference.owner, recent.owner + reference.size]),
        np.concatenate([reference.hashes, recent.hashes]),
    )
    columns = both.common(max(3, int(COMMON * both.size)))
    shares = [
        (np.asarray(part.presence(columns).sum(axis=0)).ravel() + 1) / (part.size + 2) for part in (reference, recent)
    ]
    log_odds = [np.log(share) - np.log1p(-share) for share in shares]
    return log_odds[1] - log_odds[0], columns


def shift_of_scores(reference: Sample, recent: Floats) -> Shift:
    """The AUC of the scores and its p-value by permutations."""
    both = np.concatenate([reference.values, recent])
    cuts = np.unique(np.quantile(both, np.linspace(0, 1, BINS + 1)[1:-1]))
    counts = [
        np.bincount(np.searchsorted(cuts, values), minlength=len(cuts) + 1) for values in (reference.values, recent)
    ]
    auc = float(areas(counts[0][None], counts[1][None])[0])
    effective_counts = np.round(counts[0] * (effective(reference) / len(reference))).astype(np.int64)
    p_value = permutation_p_value(effective_counts, counts[1], areas)
    return Shift("words", "AUC 0.5 if unmoved", f"AUC {auc:.3f}", p_value, max(0.0, auc - 0.5), WORTH)


def areas(reference: Ints, recent: Ints) -> Floats:
    """The area under the ROC curve of binned scores.

    Args:
        reference: Counts of shape (cases, bins).
        recent: Counts of shape (cases, bins).
    """
    below = np.cumsum(reference, axis=1) - reference / 2
    return np.asarray((recent * below).sum(axis=1) / np.maximum(1, reference.sum(axis=1) * recent.sum(axis=1)))
