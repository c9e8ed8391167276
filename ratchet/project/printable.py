"""Words for a sentence: texts of other people as a terminal can show them, and nouns with their article."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with a space for each character that a terminal cannot show."""
    return "".join(character if character.isprintable() else " " for character in text)


def cut(text: str, length: int) -> str:
    """The beginning of a text on one line, printable; an ellipsis stands for the rest."""
    line = printable(" ".join(text[: 4 * length].split()))
    return line if len(line) <= length and len(text) <= 4 * length else line[: length - 1] + "…"


def with_article(noun: str) -> str:
    """A noun with its indefinite article."""
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"
