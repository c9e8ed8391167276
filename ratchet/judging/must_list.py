"""What every model must get right: the lines of data/must.csv and a model's answers enter; what is wrong with the
lines, and which of them the model breaks, leaves.

A line says which label a text must get, or which other text must get the same answer. Texts are told apart in their
normal form, and not by the compared form as elsewhere: that a change of case changes no answer is a thing to ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SHOWN = 60
"""Characters of a text that a sentence shows."""


@dataclass(frozen=True)
class Must:
    """A line of the list. label, same_as: one of the two is there. line: where it stands in the file."""

    text: str
    label: str | None
    same_as: str | None
    line: int


@dataclass(frozen=True)
class BrokenMust:
    """A line that a model broke. must: the label that the text must get, or the answer to the other text."""

    line: int
    text: str
    got: str
    must: str
    same_as: str | None = None

    def __str__(self) -> str:
        """`"a fine film" must get good and got bad`."""
        if self.same_as is None:
            return f"{quoted(self.text)} must get {self.must} and got {self.got}"
        return f"{quoted(self.text)} got {self.got}, {quoted(self.same_as)} got {self.must}, and both must get the same"


@dataclass(frozen=True)
class MustResult:
    """How a model answered the list. asked: lines of it."""

    asked: int
    broken: tuple[BrokenMust, ...]

    def __str__(self) -> str:
        """Without an end, so that a sentence may go on."""
        lines = f"{self.asked:,} line{'s' * (self.asked > 1)} of data/must.csv"
        if not self.broken:
            return f"The challenger keeps {'all ' if self.asked > 1 else 'the '}{lines}"
        more = f"; and {len(self.broken) - 1:,} more" if len(self.broken) > 1 else ""
        return f"The challenger breaks {len(self.broken):,} of {lines}: {self.broken[0]}{more}"


def quoted(text: str) -> str:
    """A text as a sentence shows it."""
    words = " ".join(text.split())
    return f'"{words if len(words) <= SHOWN else words[: SHOWN - 1] + "…"}"'


def texts(musts: Sequence[Must]) -> list[str]:
    """All texts that a model is asked about, each once."""
    return list(dict.fromkeys(text for must in musts for text in (must.text, must.same_as) if text is not None))


def answered(musts: Sequence[Must], answers: Mapping[str, str]) -> MustResult:
    """Which lines are broken. answers: the label that the model gives each of `texts`."""
    broken = []
    for must in musts:
        wanted = must.label if must.same_as is None else answers[must.same_as]
        if answers[must.text] != wanted:
            broken.append(BrokenMust(must.line, must.text, answers[must.text], str(wanted), must.same_as))
    return MustResult(len(musts), tuple(broken))
