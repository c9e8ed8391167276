"""A text as the page shows it: cut at the words that moved the answer, each with how it did."""

from __future__ import annotations

from dataclasses import dataclass

from models.text.explanation import Explanation

FLOOR = 0.002
"""Nats; a word that moves the log-odds by less is left as it is. Each of many words moves them by little."""
STEPS = (0.75, 0.45, 0.2)
"""Shares of the strongest word's weight from which a word is marked strong, plainly, faintly."""
STRONGEST = 5
"""Words that are named, for and against."""


@dataclass(frozen=True)
class Piece:
    """A part of the text. style: classes of page.css, empty for what moved nothing."""

    text: str
    style: str = ""


def pieces(text: str, explanation: Explanation) -> list[Piece]:
    """The whole text, in order; joined, the pieces give it back."""
    most = max((abs(word.weight) for word in explanation.words), default=0.0)
    found, at = [], 0
    for word in explanation.words:
        style = marked(word.weight, most)
        if style:
            if word.start > at:
                found.append(Piece(text[at : word.start]))
            found.append(Piece(text[word.start : word.end], style))
            at = word.end
    return [*found, Piece(text[at:])] if at < len(text) else found


def marked(weight: float, most: float) -> str:
    """The classes of a word; empty where it moved little. most: the strongest word's weight."""
    if abs(weight) < FLOOR:
        return ""
    strength = next((3 - place for place, share in enumerate(STEPS) if abs(weight) >= share * most), 0)
    return f"w {'for' if weight > 0 else 'against'} s{strength}" if strength else ""


def strongest(text: str, explanation: Explanation, sign: int) -> list[str]:
    """The words that moved it most, each once, strongest first. sign: 1 for the answer, -1 against it."""
    most = max((abs(word.weight) for word in explanation.words), default=0.0)
    moved = [word for word in explanation.words if word.weight * sign > 0 and marked(word.weight, most)]
    moved.sort(key=lambda word: -abs(word.weight))
    named = {text[word.start : word.end].casefold(): text[word.start : word.end] for word in reversed(moved)}
    return list(reversed(named.values()))[:STRONGEST]
