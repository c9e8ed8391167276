"""Sequential test of a challenger against the champion on live traffic (canary or shadow).

The outcomes so far enter, a verdict leaves; it is valid at any time. An outcome is a labelled text on which exactly one
of the two models was right. If both were equally good, each would win half of them. The evidence against that is an
e-process: the likelihood of the wins averaged over all chances below one half (or above it), divided by the likelihood
under one half. By Ville's inequality it ever exceeds 1 / ALPHA with a chance of at most ALPHA under the null
hypothesis, so a caller may test after every row and stop at will.
Source: Ramdas et al. 2023, Game-theoretic statistics and safe anytime-valid inference; Robbins 1970 for the mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Literal

import numpy as np

ALPHA = 0.05
"""Chance that an equal challenger is ever rejected; likewise, separately, that it is ever preferred."""
PRIOR = (4, 2)
"""Beta prior, truncated at one half: it weighs chances around three in four most. Any prior is valid."""

Word = Literal["better", "worse", "open"]


@dataclass(frozen=True)
class Verdict:
    """State of the test.

    Attributes:
        word: Outcome for the challenger.
        labelled: Labelled rows, or pairs of rows if traffic is split.
        wins: Texts on which only the challenger was right.
        losses: Texts on which only the champion was right.
        worse: E-value against the challenger being equal or better; 1 / ALPHA suffices.
        better: E-value against the challenger being equal or worse; 1 / ALPHA suffices.
    """

    word: Word
    labelled: int
    wins: int
    losses: int
    worse: float
    better: float

    def __str__(self) -> str:
        outcomes = {"better": "the challenger is better", "worse": "the challenger is worse", "open": "no verdict yet"}
        e_value = max(self.worse, self.better)
        return (
            f"On {self.labelled:,} audited live texts the challenger alone was right on {self.wins:,}, the champion "
            f"alone on {self.losses:,}: {outcomes[self.word]} (evidence {e_value:.3g}, {1 / ALPHA:g} is required)"
        )


def judge(labelled: int, wins: int, losses: int) -> Verdict:
    """The verdict from the challenger's wins and losses among the labelled rows."""
    worse, better = evidence(losses, wins), evidence(wins, losses)
    word: Word = "worse" if worse >= 1 / ALPHA else "better" if better >= 1 / ALPHA else "open"
    return Verdict(word, labelled, wins, losses, worse, better)


def evidence(more: int, fewer: int) -> float:
    """E-value against the hypothesis that `more` has a chance of at most one half.

    The alternative is the mixture over all chances above one half, weighted by PRIOR.
    """
    a, b = PRIOR
    log_likelihood = log_above(more + a, fewer + b) - log_above(a, b)
    return exp(min(700.0, (more + fewer) * log(2) + log_likelihood))


def log_above(a: float, b: float) -> float:
    """Logarithm of the integral of x^(a-1) (1-x)^(b-1) from one half to one."""
    from scipy.special import betainc, betaln

    share = float(betainc(b, a, 0.5))
    return float(betaln(a, b)) + log(share) if share > 0 else -700.0


def paired(champion: Sequence[bool], challenger: Sequence[bool]) -> Verdict:
    """The verdict in shadow mode, where both models answer every text.

    Args:
        champion: Whether the champion was right on each text.
        challenger: Whether the challenger was right on the same texts.
    """
    champion_right = np.asarray(champion, bool)
    challenger_right = np.asarray(challenger, bool)
    wins = int((challenger_right & ~champion_right).sum())
    losses = int((champion_right & ~challenger_right).sum())
    return judge(len(challenger_right), wins, losses)


def split(champion: Sequence[bool], challenger: Sequence[bool]) -> Verdict:
    """The verdict in split traffic, where each model answers texts of its own.

    The n-th text of one model is paired with the n-th of the other, in order of arrival. This needs more rows than
    shadow mode: two for each pair, and models that are right on three texts in four disagree on three pairs in eight by
    chance, while in shadow mode they disagree only on the few texts that distinguish them.
    """
    pairs = min(len(champion), len(challenger))
    return paired(champion[:pairs], challenger[:pairs])
