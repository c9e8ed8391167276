"""The samples of a drift check: holdout rows, live rows, and live rows whose true label is known.

Plain columns with one entry a row. drift.py compares them; accuracy.py estimates and measures the accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ratchet.monitoring.drift.two_sample import Floats, Ints, Names

FEWEST = 50
"""Fewest distinct texts of a check: below them no test has power."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Reference:
    """The version's holdout rows and its answers to them.

    Attributes:
        characters: Length of each text.
        labels: Predicted labels.
        scores: Probability of each predicted label.
        truth: True labels; None if unknown.
        groups: Index of each row's group; None if each row stands alone.
        texts: Texts of the holdout, which may be of other rows than the answers.
        text_groups: Index of each text's group; None if each text stands alone.
    """

    characters: Floats
    labels: Names
    scores: Floats
    truth: Names | None = None
    groups: Ints | None = None
    texts: tuple[str, ...] = ()
    text_groups: Ints | None = None

    @cached_property
    def right(self) -> Floats | None:
        return None if self.truth is None else (self.labels == self.truth).astype(np.float64)


@dataclass(frozen=True)
class LiveSample:
    """Live rows and the version's answers: distinct texts, newest first.

    Attributes:
        characters: Length of each text.
        labels: Predicted labels.
        scores: Probability of each predicted label.
        texts: The texts that the log kept.
        teach: Mask of the texts that train the domain classifier (domain_classifier.py); the others are scored. A text
            stays in its half for good.
        first: Predicted labels of the first texts since the version went live; none of these rows is in the others.
        learnt: Number of further texts that the version was trained on. They are left out because the version is more
            confident about them.
    """

    characters: Floats
    labels: Names
    scores: Floats
    texts: tuple[str, ...] = ()
    teach: Flags = field(default_factory=lambda: np.zeros(0, np.bool_))
    first: Names = field(default_factory=lambda: np.zeros(0, np.str_))
    learnt: int = 0


@dataclass(frozen=True)
class Audited:
    """Live answers that the random audit labelled, newest first.

    Attributes:
        labels: Predicted labels.
        scores: Probability of each predicted label.
        truth: Labels of the audit.
    """

    labels: Names
    scores: Floats
    truth: Names

    @cached_property
    def right(self) -> Floats:
        return np.asarray(self.labels == self.truth, np.float64)


NO_AUDIT = Audited(np.zeros(0, np.str_), np.zeros(0), np.zeros(0, np.str_))
