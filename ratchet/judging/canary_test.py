"""A challenger against the champion on live traffic: outcomes enter as they come, a verdict leaves, at any time.

Each outcome is a labelled text on which one of the two was right and the other wrong. Were they equally good, each
would win half of these. The evidence against that is an e-process: the likelihood of the wins under every chance below
one half (or above it), averaged, over that under one half. By Ville's inequality it exceeds 1 / ALPHA at any time with
a chance of ALPHA at most while the hypothesis holds, so one may look after every row and stop as one likes.
Source: Ramdas et al. 2023, Game-theoretic statistics and safe anytime-valid inference; Robbins 1970 for the mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Literal

import numpy as np

ALPHA = 0.05
"""The chance that an equal challenger is ever sent back; and, apart from it, that one is ever preferred."""
PRIOR = (4, 2)
"""Beta, cut off at one half: what the average weighs most are chances around three in four. Any weights are valid."""

Word = Literal["better", "worse", "open"]


@dataclass(frozen=True)
class Verdict:
    """What the trial says by now. labelled: rows, or in split traffic pairs of rows. wins, losses: of the challenger.

    worse, better: the evidence, as odds against the two being equal or the other way round; 1 / ALPHA is enough.
    """

    word: Word
    labelled: int
    wins: int
    losses: int
    worse: float
    better: float

    def __str__(self) -> str:
        said = {"better": "the challenger is better", "worse": "the challenger is worse", "open": "no verdict yet"}
        found, asked = max(self.worse, self.better), 1 / ALPHA
        return (
            f"On {self.labelled:,} audited live texts the challenger alone was right on {self.wins:,}, the champion "
            f"alone on {self.losses:,}: {said[self.word]} (evidence {found:.3g}, {asked:g} is asked)"
        )


def judge(labelled: int, wins: int, losses: int) -> Verdict:
    """The verdict on so many wins and losses of the challenger."""
    worse, better = evidence(losses, wins), evidence(wins, losses)
    word: Word = "worse" if worse >= 1 / ALPHA else "better" if better >= 1 / ALPHA else "open"
    return Verdict(word, labelled, wins, losses, worse, better)


def evidence(more: int, fewer: int) -> float:
    """E-value against `more` having a chance of at most one half: the mixture over all chances above one half."""
    a, b = PRIOR
    left = log_above(more + a, fewer + b) - log_above(a, b)
    return exp(min(700.0, (more + fewer) * log(2) + left))


def log_above(a: float, b: float) -> float:
    """Logarithm of the integral of x^(a-1) (1-x)^(b-1) from one half to one."""
    from scipy.special import betainc, betaln

    share = float(betainc(b, a, 0.5))
    return float(betaln(a, b)) + log(share) if share > 0 else -700.0


def paired(champion: Sequence[bool], challenger: Sequence[bool]) -> Verdict:
    """In the shadow both answer every text. Args: whether each was right, text by text."""
    mine, its = np.asarray(challenger, bool), np.asarray(champion, bool)
    return judge(len(mine), int((mine & ~its).sum()), int((its & ~mine).sum()))


def split(champion: Sequence[bool], challenger: Sequence[bool]) -> Verdict:
    """In split traffic each answers its own texts: the n-th of one is held against the n-th of the other, as they came.

    It costs rows: two for each pair, and models that are right on three texts in four disagree on three pairs in eight
    by chance alone, where in the shadow they disagree on the few texts that tell them apart.
    """
    pairs = min(len(champion), len(challenger))
    return paired(champion[:pairs], challenger[:pairs])
