"""The spans of a text's words in the text as it was given.

A text enters; the span of each word leaves, in code points of that very text. Words are those of ngrams.py, which reads
texts in Unicode form C; there a letter and its accents may be one character, and a rare character two. Characters that
compose are therefore mapped back as a whole, and words that share a character share a span.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.text.ngrams import read

COMPOSING = "\u0300"
"""The first character that can compose with the one before it."""

Places = NDArray[np.intp]


@dataclass(frozen=True)
class Spans:
    """Spans text[starts[i] : ends[i]], in order and not overlapping; word w of ngrams.py lies in span of[w]."""

    starts: Places
    ends: Places
    of: Places

    def __len__(self) -> int:
        return len(self.starts)


def spans(text: str) -> Spans:
    """The spans of the words of a text."""
    words = read([text]).words[0]
    first, last = words.starts - 1, words.ends - 2  # in form C, which begins after one gap
    if not len(first):
        return Spans(*(np.zeros(0, np.intp) for _ in range(3)))
    starts, ends = _origins(text)
    starts, ends = starts[first], ends[last]
    is_first = np.append(True, starts[1:] >= ends[:-1])
    is_last = np.append(is_first[1:], True)
    return Spans(starts[is_first], ends[is_last], np.cumsum(is_first) - 1)


def _origins(text: str) -> tuple[Places, Places]:
    """For each character of the text's form C, the start and end in the text of the characters that it comes from."""
    if unicodedata.is_normalized("NFC", text):
        at = np.arange(len(text) + 1)
        return at[:-1], at[1:]
    edges = _edges(text)
    sizes = [len(unicodedata.normalize("NFC", text[a:b])) for a, b in pairwise(edges)]
    return np.repeat(edges[:-1], sizes), np.repeat(edges[1:], sizes)


def _edges(text: str) -> list[int]:
    """Places that cut the text into parts whose form C does not depend on the other parts."""
    edges = [0]
    for at in range(1, len(text)):
        if text[at] < COMPOSING or _is_apart(text, edges[-1], at):
            edges.append(at)
    return [*edges, len(text)]


def _is_apart(text: str, start: int, at: int) -> bool:
    """Whether nothing moves or composes over the edge between the part that begins at `start` and the character `at`.

    This holds when the character, decomposed, begins with combining class 0 and does not compose with the part; later
    characters cannot change that. Source: Unicode Standard Annex 15.
    """
    if unicodedata.combining(unicodedata.normalize("NFD", text[at])[0]):
        return False  # before anything is copied: a part may be one letter under 100,000 accents
    part = unicodedata.normalize("NFC", text[start:at])
    character = unicodedata.normalize("NFC", text[at])
    return unicodedata.normalize("NFC", text[start : at + 1]) == part + character
