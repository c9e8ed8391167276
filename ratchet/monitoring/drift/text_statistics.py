"""What texts are like, whatever they say: how long their words are, how much of them is no letter, which words occur.

Texts enter; numbers leave, one a text. Words are those of ngrams.py with their pairs, so that a Chinese text, in which
each sign is a word, is known by its pairs of signs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.text.ngrams import blocks, read
from ratchet.monitoring.drift.two_sample import Floats

MOST_CHARACTERS = 1_000
"""Of a text that are looked at: one long file among the texts must not take all the time."""
NO_LETTER = r"[\p{P}\p{S}\p{N}]"


@dataclass(frozen=True)
class Words:
    """The words and pairs of words of some texts: parallel arrays. size: number of texts."""

    size: int
    owner: NDArray[np.int64]
    hashes: NDArray[np.uint64]

    def of(self, texts: NDArray[np.bool_]) -> Words:
        """Those of a part of the texts, which are numbered anew."""
        kept = texts[self.owner]
        number = np.cumsum(texts) - 1
        return Words(int(texts.sum()), number[self.owner[kept]], self.hashes[kept])

    def unknown(self, known: NDArray[np.uint64]) -> Floats:
        """The share of each text that is not among these words; 0 of a text with no word. known: in rising order."""
        strange = ~_among(known, self.hashes)
        return np.bincount(self.owner, strange, self.size) / np.maximum(1, np.bincount(self.owner, minlength=self.size))

    def presence(self, columns: NDArray[np.uint64]) -> csr_matrix:
        """Which text has which of these words. columns: in rising order."""
        here = _among(columns, self.hashes)
        places = np.searchsorted(columns, self.hashes[here])
        keys = np.unique(self.owner[here] * max(1, len(columns)) + places)
        rows, at = np.divmod(keys, max(1, len(columns)))
        return csr_matrix((np.ones(len(keys)), (rows, at)), shape=(self.size, len(columns)))

    def common(self, least: int) -> NDArray[np.uint64]:
        """The words that at least so many of the texts contain, in rising order."""
        found, place = np.unique(self.hashes, return_inverse=True)
        pairs = np.unique(place * np.int64(self.size) + self.owner)
        return found[np.bincount(pairs // self.size, minlength=len(found)) >= least]


@dataclass(frozen=True)
class Traits:
    """What some texts are like. word_length: letters a word, its mean in each text. no_letters: the share of signs."""

    words: Words
    word_length: Floats
    no_letters: Floats


def traits(texts: Sequence[str]) -> Traits:
    """The traits of texts, of each its beginning."""
    cut = [text[:MOST_CHARACTERS] for text in texts]
    owners, hashes, lengths, start = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)], [np.zeros(0)], 0
    for some in blocks(cut):
        block = read(some)
        single = block.words[0]
        owner = block.owner[single.starts].astype(np.int64)
        spread = np.bincount(owner, single.ends - single.starts, block.size)
        lengths.append(spread / np.maximum(1, np.bincount(owner, minlength=block.size)))
        for grams in block.words[:2]:
            owners.append(block.owner[grams.starts[grams.valid]].astype(np.int64) + start)
            hashes.append(grams.hashes[grams.valid])
        start += block.size
    words = Words(start, np.concatenate(owners), np.concatenate(hashes))
    return Traits(words, np.concatenate(lengths), _no_letters(cut))


def _no_letters(texts: Sequence[str]) -> Floats:
    column = pl.Series("text", texts, dtype=pl.String)
    counted = column.str.count_matches(NO_LETTER) / column.str.len_chars().clip(1)
    return counted.to_numpy().astype(np.float64)


def _among(known: NDArray[np.uint64], hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    if not len(known):
        return np.zeros(len(hashes), np.bool_)
    return np.asarray(known.take(np.searchsorted(known, hashes), mode="clip") == hashes)
