"""What every model must get right: the lines of data/must.csv and a model's answers enter; what is wrong with the
lines, and which of them the model breaks, leaves.

A line says which label a text must get, or which other text must get the same answer. Texts are told apart in their
normal form, and not by the compared form as elsewhere: that a change of case changes no answer is a thing to ask for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from ratchet.steps.facts import compared
from ratchet.steps.normalise import normalise

COLUMNS = ("text", "label", "same_as")
SHOWN = 60
"""Characters of a text that a sentence shows."""
LISTED = 20
"""Labels that a sentence lists."""


@dataclass(frozen=True)
class Must:
    """A line of the list. label, same_as: one of the two is there. line: where it stands in the file."""

    text: str
    label: str | None
    same_as: str | None
    line: int


@dataclass(frozen=True)
class Broken:
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
class Answered:
    """How a model answered the list. asked: lines of it."""

    asked: int
    broken: tuple[Broken, ...]

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


def answered(musts: Sequence[Must], answers: Mapping[str, str]) -> Answered:
    """Which lines are broken. answers: the label that the model gives each of `texts`."""
    broken = []
    for must in musts:
        wanted = must.label if must.same_as is None else answers[must.same_as]
        if answers[must.text] != wanted:
            broken.append(Broken(must.line, must.text, answers[must.text], str(wanted), must.same_as))
    return Answered(len(musts), tuple(broken))


def fault(musts: Sequence[Must], labels: Sequence[str]) -> tuple[int, str] | None:
    """The first line that says nothing that a model could keep, and what is wrong with it; None where none does.

    labels: the classes of the table.
    """
    return first_odd(musts, labels) or first_clash(musts)


def first_odd(musts: Sequence[Must], labels: Sequence[str]) -> tuple[int, str] | None:
    """The first line that is wrong by itself."""
    for must in musts:
        if not normal(must.text):
            return must.line, "a blank text"
        if must.label is not None and must.same_as is not None:
            return must.line, "a label and a text under same_as, where there must be one of the two"
        if must.label is None and must.same_as is None:
            return must.line, "neither a label nor a text under same_as"
        if must.label is not None and must.label not in labels:
            more = f" and {len(labels) - LISTED} more" if len(labels) > LISTED else ""
            return must.line, f"the label {must.label!r}; the table has {', '.join(labels[:LISTED])}{more}"
        if must.same_as is not None and not normal(must.same_as):
            return must.line, "a blank text under same_as"
        if must.same_as is not None and normal(must.same_as) == normal(must.text):
            return must.line, "a text that must get the same answer as itself"
    return None


def first_clash(musts: Sequence[Must]) -> tuple[int, str] | None:
    """The first line that an earlier one says already, or that cannot hold beside the earlier ones.

    Texts that must get the same answer are one set, which may have one label.
    """
    said: dict[tuple[str, str, str], int] = {}
    parent: dict[str, str] = {}
    label: dict[str, tuple[str, int]] = {}

    def set_of(text: str) -> str:
        while parent.setdefault(text, text) != text:
            text = parent[text]
        return text

    for must in musts:
        text = normal(must.text)
        other = normal(must.same_as or "")
        one = (min(text, other), max(text, other), "") if must.label is None else (text, "", must.label)
        if one in said:
            return must.line, f"the same as line {said[one]}"
        said[one] = must.line
        found = set_of(text)
        if must.label is None:
            merged = set_of(other)
            known = [label[each] for each in (found, merged) if each in label]
            parent[merged] = found
            label |= {found: known[0]} if known else {}
            if len({name for name, _ in known}) > 1:
                lines = " and ".join(f"{name} by line {line}" for name, line in known)
                return must.line, f"two texts that must get the same answer, and must get {lines}"
        elif found in label and label[found][0] != must.label:
            name, line = label[found]
            return must.line, f"the label {must.label!r} for a text that must get {name!r} by line {line}"
        else:
            label.setdefault(found, (must.label, must.line))
    return None


def normal(text: str) -> str:
    return normalise([text])[0]


def as_frame(musts: Sequence[Must]) -> pl.DataFrame:
    """The list as data/ holds it."""
    rows = [(must.text, must.label, must.same_as) for must in musts]
    return pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")


def without(musts: Sequence[Must], gone: pl.Series) -> tuple[Must, ...]:
    """The lines that hold none of the texts that were withdrawn. gone: in compared form."""
    kept = []
    for must in musts:
        held = compared(pl.Series([text for text in (must.text, must.same_as) if text is not None]))
        if not held.is_in(gone.implode()).any():
            kept.append(must)
    return tuple(kept)
