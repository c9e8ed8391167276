"""Texts as rows of word numbers: the input of the LSTM.

Texts enter; a table leaves, with a row a text, padded at its end. Words are those of ngrams.py: runs of letters, and
each sign by itself. The vocabulary has only hashes, so no word of the training texts is stored in a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.text.ngrams import blocks, read
from models.text.vocabulary import Census

PADDING, UNKNOWN, FIRST = 0, 1, 2  # numbers of: no word, a word outside the vocabulary, the commonest word
SHORTEST = 8  # least places of a row
HEAD = 4  # 1 / HEAD of a shortened text is its beginning, the rest its end (Sun et al. 2019 found both to matter)


@dataclass(frozen=True)
class Words:
    """The vocabulary: hashes in ascending order, and the number of each word; a commoner word has a lower number."""

    hashes: NDArray[np.uint64]
    numbers: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.hashes)

    def of(self, hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
        """The number of each word; UNKNOWN for a word outside the vocabulary."""
        if not len(self):
            return np.full(len(hashes), UNKNOWN, np.int32)
        places = np.searchsorted(self.hashes, hashes)
        is_known = self.hashes.take(places, mode="clip") == hashes
        return np.where(is_known, self.numbers.take(places, mode="clip"), np.int32(UNKNOWN))


def learn_words(texts: Sequence[str], min_df: int, most: int) -> Words:
    """The vocabulary of the `most` commonest words among those that at least min_df texts contain."""
    census = Census()
    for some in blocks(texts):
        block = read(some)
        census.add(block.owner, block.words[:1])
    hashes = census.commonest(min_df, most)
    order = np.argsort(hashes)
    return Words(hashes[order], (FIRST + order).astype(np.int32))


def length(texts: Sequence[str], percentile: float, most: int) -> int:
    """The percentile of the texts' numbers of words, between SHORTEST and `most`."""
    counts = [np.zeros(1, np.intp)]
    for some in blocks(texts):
        block = read(some)
        counts.append(np.bincount(block.owner[block.words[0].starts], minlength=block.size))
    return int(np.clip(np.percentile(np.concatenate(counts), percentile), SHORTEST, most))


def table(texts: Sequence[str], words: Words, width: int) -> NDArray[np.int32]:
    """A row of `width` word numbers for each text; a text without words is one unknown word."""
    rows = [np.zeros((0, width), np.int32)]
    for some in blocks(texts):
        block = read(some)
        rows.append(_rows_of(words.of(block.words[0].hashes), block.owner[block.words[0].starts], block.size, width))
    return np.concatenate(rows)


def _rows_of(numbers: NDArray[np.int32], owner: NDArray[np.int32], size: int, width: int) -> NDArray[np.int32]:
    """Word numbers, in the order of their texts, as a row a text; a long text loses its middle."""
    counts = np.bincount(owner, minlength=size)
    place = np.arange(len(owner)) - (np.cumsum(counts) - counts)[owner]
    head = width // HEAD
    cut = np.maximum(counts - width, 0)[owner]
    kept = (place < head) | (place >= head + cut)
    rows = np.full((size, width), PADDING, np.int32)
    rows[owner[kept], (place - np.where(place >= head, cut, 0))[kept]] = numbers[kept]
    rows[counts == 0, 0] = UNKNOWN
    return rows
