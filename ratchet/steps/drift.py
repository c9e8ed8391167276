"""Has what the model meets moved away from what it was judged on? Two sets of answers enter, a Drift leaves.

Each of length, label and confidence is tested against the holdout's (two-sample Kolmogorov-Smirnov; chi-squared for
labels), and Holm's correction keeps the chance of any false alarm in one look at 1 in 100.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

ALPHA = 0.01
FEWEST = 50
"""Predictions below which nothing is said: no test has power there."""

Answers = Mapping[str, Sequence[object]]
"""Columns `characters`, `label` and `score` of the same length, one entry a prediction."""


@dataclass(frozen=True)
class Shift:
    """One thing that was compared. reference, recent: medians, or the most frequent label with its share."""

    what: str
    reference: str
    recent: str
    p_value: float
    drifted: bool


@dataclass(frozen=True)
class Drift:
    """The verdict over all that was compared. shifts: empty where there was too little to compare."""

    drifted: bool
    verdict: str
    shifts: tuple[Shift, ...]

    @property
    def moved(self) -> str:
        """What drifted, in words; empty where nothing did."""
        return " and ".join(shift.what for shift in self.shifts if shift.drifted)


def compare(reference: Answers, recent: Answers) -> Drift:
    """Hold the recent answers against those on the holdout."""
    rows = len(recent["label"])
    if rows < FEWEST:
        return Drift(False, f"Too early to tell: {rows} predictions were logged, {FEWEST} are needed.", ())
    p_values = [
        _numbers(reference, recent, "characters"),
        _labels(reference, recent),
        _numbers(reference, recent, "score"),
    ]
    names = ("text length", "predicted label", "confidence")
    drifted = holm(p_values)
    shown = [(_median(a, "characters"), _most(a), _median(a, "score")) for a in (reference, recent)]
    shifts = tuple(Shift(*row) for row in zip(names, *shown, p_values, drifted, strict=True))
    moved = [shift.what for shift in shifts if shift.drifted]
    if moved:
        return Drift(True, f"Drifted: {' and '.join(moved)} moved over the last {rows:,} predictions.", shifts)
    return Drift(False, f"Steady: the last {rows:,} predictions look like the holdout.", shifts)


def holm(p_values: Sequence[float], alpha: float = ALPHA) -> list[bool]:
    """Which of the tests hold with a family-wise error of alpha (Holm 1979)."""
    order = np.argsort(p_values)
    held = [False] * len(p_values)
    for rank, at in enumerate(order):
        if p_values[at] > alpha / (len(p_values) - rank):
            break
        held[at] = True
    return held


def _numbers(reference: Answers, recent: Answers, column: str) -> float:
    from scipy.stats import ks_2samp

    return float(ks_2samp(np.asarray(reference[column], float), np.asarray(recent[column], float)).pvalue)


def _labels(reference: Answers, recent: Answers) -> float:
    from scipy.stats import chi2_contingency

    known = sorted({*map(str, reference["label"]), *map(str, recent["label"])})
    if len(known) < 2:
        return 1.0
    table = [[list(map(str, answers["label"])).count(label) for label in known] for answers in (reference, recent)]
    return float(chi2_contingency(np.asarray(table)).pvalue)


def _median(answers: Answers, column: str) -> str:
    return f"{np.median(np.asarray(answers[column], float)):.3g}"


def _most(answers: Answers) -> str:
    labels, counts = np.unique(np.asarray(answers["label"], dtype=str), return_counts=True)
    return f"{labels[counts.argmax()]} {counts.max() / counts.sum():.0%}"
