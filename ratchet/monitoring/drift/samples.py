"""What a drift is judged by: rows that a version was judged on, rows that it has met since, rows whose truth is known.

Plain columns, one entry a row. Nothing here computes; drift.py compares, accuracy.py estimates and measures.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ratchet.monitoring.drift.two_sample import Floats, Ints, Names

FEWEST = 50
"""Distinct texts below which nothing is said: no test has power there."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Reference:
    """What a version met and answered when it was judged, one entry a row; None where that is not known.

    truth: the right labels. groups: numbers of the rows' groups, None where each row stands alone.
    texts, text_groups: of the holdout, which may have other rows than the answers.
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
    """What it has met and answered since: distinct texts, newest first. texts: of those that were kept.

    teach: which of the texts teach the classifier of domain.py; the rest is scored. A text keeps its half for good.
    first: the answers to the first texts since the version is live, none of them among the others here.
    learnt: how many more there were that it was trained on, of which it is surer than of any others.
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
    """Answers of which a random audit has said what would have been right, newest first."""

    labels: Names
    scores: Floats
    truth: Names

    @cached_property
    def right(self) -> Floats:
        return np.asarray(self.labels == self.truth, np.float64)


NOBODY = Audited(np.zeros(0, np.str_), np.zeros(0), np.zeros(0, np.str_))
