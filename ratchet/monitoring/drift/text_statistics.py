"""Statistics of texts: texts enter; their words, mean word length and share of non-letters leave, one value a text.

Words are those of models/text/ngrams.py with their pairs. A Chinese text, in which each character is a word, is
characterised by its pairs of characters.
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
"""Characters of a text that are read, so that a long file among the texts does not take all the time."""
NO_LETTER = r"[\p{P}\p{S}\p{N}]"


@dataclass(frozen=True)
class Words:
    """The words and word pairs of some texts, as parallel arrays.

    Attributes:
        size: Number of texts.
        owner: Index of the text of each word.
        hashes: Hash of each word.
    """

    size: int
    owner: NDArray[np.int64]
    hashes: NDArray[np.uint64]

    def of(self, texts: NDArray[np.bool_]) -> Words:
        """The words of a part of the texts, which are renumbered.

        Args:
            texts: Mask of the texts.
        """
        kept = texts[self.owner]
        number = np.cumsum(texts) - 1
        return Words(int(texts.sum()), number[self.owner[kept]], self.hashes[kept])

    def unknown(self, known: NDArray[np.uint64]) -> Floats:
        """The share of unknown words in each text; 0 for a text without words.

        Args:
            known: Hashes of the known words in ascending order.
        """
        is_unknown = ~_is_in(known, self.hashes)
        counts = np.bincount(self.owner, minlength=self.size)
        return np.bincount(self.owner, is_unknown, self.size) / np.maximum(1, counts)

    def presence(self, columns: NDArray[np.uint64]) -> csr_matrix:
        """The binary matrix of texts and words, shape (texts, columns).

        Args:
            columns: Hashes of words in ascending order.
        """
        has_column = _is_in(columns, self.hashes)
        places = np.searchsorted(columns, self.hashes[has_column])
        keys = np.unique(self.owner[has_column] * max(1, len(columns)) + places)
        rows, at = np.divmod(keys, max(1, len(columns)))
        return csr_matrix((np.ones(len(keys)), (rows, at)), shape=(self.size, len(columns)))

    def common(self, least: int) -> NDArray[np.uint64]:
        """Hashes of the words that occur in at least `least` texts, in ascending order."""
        hashes, index = np.unique(self.hashes, return_inverse=True)
        pairs = np.unique(index * np.int64(self.size) + self.owner)
        return hashes[np.bincount(pairs // self.size, minlength=len(hashes)) >= least]


@dataclass(frozen=True)
class Traits:
    """Statistics of some texts.

    Attributes:
        words: Words and word pairs.
        word_length: Mean letters a word of each text.
        no_letters: Share of punctuation, symbols and digits of each text.
    """

    words: Words
    word_length: Floats
    no_letters: Floats


def traits(texts: Sequence[str]) -> Traits:
    """Compute the traits of texts from the first MOST_CHARACTERS characters of each."""
    cut = [text[:MOST_CHARACTERS] for text in texts]
    owners = [np.zeros(0, np.int64)]
    hashes = [np.zeros(0, np.uint64)]
    lengths = [np.zeros(0)]
    start = 0
    for batch in blocks(cut):
        block = read(batch)
        single = block.words[0]
        owner = block.owner[single.starts].astype(np.int64)
        letters = np.bincount(owner, single.ends - single.starts, block.size)
        lengths.append(letters / np.maximum(1, np.bincount(owner, minlength=block.size)))
        for grams in block.words[:2]:
            owners.append(block.owner[grams.starts[grams.valid]].astype(np.int64) + start)
            hashes.append(grams.hashes[grams.valid])
        start += block.size
    words = Words(start, np.concatenate(owners), np.concatenate(hashes))
    return Traits(words, np.concatenate(lengths), _no_letters(cut))


def _no_letters(texts: Sequence[str]) -> Floats:
    column = pl.Series("text", texts, dtype=pl.String)
    shares = column.str.count_matches(NO_LETTER) / column.str.len_chars().clip(1)
    return shares.to_numpy().astype(np.float64)


def _is_in(ordered: NDArray[np.uint64], hashes: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Whether each hash is in `ordered`, which is ascending."""
    if not len(ordered):
        return np.zeros(len(hashes), np.bool_)
    return np.asarray(ordered.take(np.searchsorted(ordered, hashes), mode="clip") == hashes)
