"""Where the words of a text lie in the text as it was given.

A text enters; the span of each word leaves, in code points of that very text. Words are those of ngrams.py, which finds
them in Unicode form C; there a letter and its accents may be one character, and a rare character two. What composes is
therefore mapped back as a whole, and words that share a character share a span.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.text.ngrams import read

COMPOSING = "\u0300"
"""The first character that can compose with what stands before it."""

Places = NDArray[np.intp]


@dataclass(frozen=True)
class Spans:
    """Spans in order, which do not overlap: text[starts[i] : ends[i]]; word w, as ngrams.py counts, lies in of[w]."""

    starts: Places
    ends: Places
    of: Places

    def __len__(self) -> int:
        return len(self.starts)


def spans(text: str) -> Spans:
    """Where each word lies."""
    words = read([text]).words[0]
    first, last = words.starts - 1, words.ends - 2  # in form C, which begins after one gap
    if not len(first):
        return Spans(*(np.zeros(0, np.intp) for _ in range(3)))
    starts, ends = _origins(text)
    starts, ends = starts[first], ends[last]
    fresh = np.append(True, starts[1:] >= ends[:-1])
    final = np.append(fresh[1:], True)
    return Spans(starts[fresh], ends[final], np.cumsum(fresh) - 1)


def _origins(text: str) -> tuple[Places, Places]:
    """Where, in the text, what became each character of its form C begins and ends."""
    if unicodedata.is_normalized("NFC", text):
        at = np.arange(len(text) + 1)
        return at[:-1], at[1:]
    edges = _edges(text)
    sizes = [len(unicodedata.normalize("NFC", text[a:b])) for a, b in pairwise(edges)]
    return np.repeat(edges[:-1], sizes), np.repeat(edges[1:], sizes)


def _edges(text: str) -> list[int]:
    """Places that cut the text into parts of which each has its form C whatever stands beside it."""
    edges = [0]
    for at in range(1, len(text)):
        if text[at] < COMPOSING or _is_apart(text, edges[-1], at):
            edges.append(at)
    return [*edges, len(text)]


def _is_apart(text: str, start: int, at: int) -> bool:
    """Whether nothing moves or composes over the edge between the part that begins at `start` and the character `at`.

    So it is when the character, decomposed, begins with combining class 0, and does not compose with the part; nothing
    that follows will change it. Source: Unicode Standard Annex 15.
    """
    if unicodedata.combining(unicodedata.normalize("NFD", text[at])[0]):
        return False  # before anything is copied: a part may be one letter under 100,000 accents
    part, character, both = (
        unicodedata.normalize("NFC", each) for each in (text[start:at], text[at], text[start : at + 1])
    )
    return both == part + character
