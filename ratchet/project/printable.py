"""Texts of other people as a terminal can show them: on one line, without control characters."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with a space for each character that a terminal cannot show."""
    return "".join(character if character.isprintable() else " " for character in text)


def cut(text: str, length: int) -> str:
    """The beginning of a text on one line, printable; an ellipsis stands for the rest."""
    line = printable(" ".join(text[: 4 * length].split()))
    return line if len(line) <= length and len(text) <= 4 * length else line[: length - 1] + "…"
