"""Behavioural tests of a model: the lines of data/must.csv and a model's answers enter, the broken lines leave.

A line states which label a text must get, or which other text must get the same answer. Texts are distinguished in
their normal form and not, as elsewhere, in their compared form, so that a line can demand that case does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SHOWN = 60
"""Most characters of a text that a sentence shows."""


@dataclass(frozen=True)
class Must:
    """A line of data/must.csv. Exactly one of `label` and `same_as` is set.

    Attributes:
        text: Text to predict.
        label: Label that the text must get.
        same_as: Other text that must get the same answer.
        line: Line number in the file.
    """

    text: str
    label: str | None
    same_as: str | None
    line: int


@dataclass(frozen=True)
class BrokenMust:
    """A line that a model broke.

    Attributes:
        line: Line number in the file.
        text: Text that was predicted.
        got: Label that the model gave.
        must: Label that the text must get, or the answer to the other text.
        same_as: The other text, if the line names one.
    """

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
    """A model's result on data/must.csv.

    Attributes:
        asked: Number of lines.
        broken: Lines that the model broke.
    """

    asked: int
    broken: tuple[BrokenMust, ...]

    def __str__(self) -> str:
        """A sentence without its full stop, so that a caller can continue it."""
        lines = f"{self.asked:,} line{'s' * (self.asked > 1)} of data/must.csv"
        if not self.broken:
            return f"The challenger keeps {'all ' if self.asked > 1 else 'the '}{lines}"
        more = f"; and {len(self.broken) - 1:,} more" if len(self.broken) > 1 else ""
        return f"The challenger breaks {len(self.broken):,} of {lines}: {self.broken[0]}{more}"


def quoted(text: str) -> str:
    """The text in quotation marks, shortened for a sentence."""
    words = " ".join(text.split())
    return f'"{words if len(words) <= SHOWN else words[: SHOWN - 1] + "…"}"'


def texts(musts: Sequence[Must]) -> list[str]:
    """All texts of the lines, each once."""
    return list(dict.fromkeys(text for must in musts for text in (must.text, must.same_as) if text is not None))


def check_musts(musts: Sequence[Must], answers: Mapping[str, str]) -> MustResult:
    """Find the broken lines.

    Args:
        musts: Lines of data/must.csv.
        answers: The model's label for each of `texts(musts)`.
    """
    broken = []
    for must in musts:
        expected = must.label if must.same_as is None else answers[must.same_as]
        if answers[must.text] != expected:
            broken.append(BrokenMust(must.line, must.text, answers[must.text], str(expected), must.same_as))
    return MustResult(len(musts), tuple(broken))
