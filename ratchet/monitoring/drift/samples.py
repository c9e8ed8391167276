"""The samples of a drift check: holdout rows, live rows, and live rows whose right answer is known.

Plain columns with one entry a row. drift.py compares them; accuracy.py estimates and measures the accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ratchet.monitoring.drift.two_sample import Ints, Names
from ratchet.tasks.values import Answered

FEWEST = 50
"""Fewest distinct inputs of a check: below them no test has power."""

Flags = NDArray[np.bool_]

NOTHING = Answered(np.zeros(0), np.zeros(0, np.str_), np.zeros(0))
"""No answer."""


@dataclass(frozen=True)
class Reference:
    """The version's holdout rows and its answers to them.

    Attributes:
        answered: Its answers.
        truth: Right answers; None if unknown.
        groups: Index of each row's group; None if each row stands alone.
        inputs: Inputs of the holdout, which may be of other rows than the answers.
        input_groups: Index of each input's group; None if each input stands alone.
    """

    answered: Answered
    truth: Names | None = None
    groups: Ints | None = None
    inputs: tuple[str, ...] = ()
    input_groups: Ints | None = None


@dataclass(frozen=True)
class LiveSample:
    """Live rows and the version's answers: distinct inputs, newest first.

    Attributes:
        answered: The answers.
        inputs: The inputs that the log kept.
        teach: Mask of the inputs that train the domain classifier (domain_classifier.py); the others are scored. An
            input stays in its half for good.
        first: The first answers since the version went live; none of these rows is in the others.
        learnt: Number of further inputs that the version was trained on. They are left out because the version is more
            confident about them.
    """

    answered: Answered
    inputs: tuple[str, ...] = ()
    teach: Flags = field(default_factory=lambda: np.zeros(0, np.bool_))
    first: Answered = NOTHING
    learnt: int = 0


@dataclass(frozen=True)
class Audited:
    """Live answers whose right answer the random audit gave, newest first.

    Attributes:
        answered: The answers.
        truth: Right answers.
    """

    answered: Answered
    truth: Names


NO_AUDIT = Audited(NOTHING, np.zeros(0, np.str_))
