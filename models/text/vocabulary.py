"""Vocabularies of n-grams, and counts of their n-grams in texts: the input of the linear model.

Texts enter. `learn` makes two vocabularies of the training texts: words with their pairs, and word pieces. With a
vocabulary, `count` turns the n-grams of any texts into a matrix, a row a text and a column an n-gram.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix, vstack

from models.text.ngrams import BLOCK, Block, Grams, blocks, read

ROOM = 32  # places of the lookup table for each n-gram: 1 to 2% of the n-grams lose theirs to a commoner one
MOST_BITS = 24  # a larger table would take more than 64 MB
SPARSE = 16  # a block with fewer n-grams than width / SPARSE is cheaper to sort than to spread over the whole width


@dataclass(frozen=True)
class Vocabulary:
    """The n-grams of a model. Column j of every matrix counts the n-gram hashes[j]; `table` finds j from a hash."""

    hashes: NDArray[np.uint64]
    table: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def bits(self) -> int:
        """The table has 2**bits places, one for each value of a hash's first bits."""
        return len(self.table).bit_length() - 1


@dataclass(frozen=True)
class Counts:
    """Counts of a vocabulary's n-grams: matrix[i, j] belongs to text i and to column columns[j] of the vocabulary.

    For a few short texts `columns` lists only the columns that occur in them; otherwise it is a slice over all.
    """

    matrix: csc_matrix
    columns: NDArray[np.int32] | slice


@dataclass(frozen=True)
class Tally:
    """Counts as parallel arrays, sorted by text, then by column: text texts[i] has n-gram columns[i] counts[i] times.

    `size` is the number of texts. For few texts a tally is several times as quick to make as a matrix; for many texts
    sorting costs more.
    """

    size: int
    texts: NDArray[np.int64]
    columns: NDArray[np.int64]
    counts: NDArray[np.int64]


class Census:
    """Document frequencies of n-grams, counted block by block; memory grows with the number of distinct n-grams."""

    def __init__(self) -> None:
        self._hashes, self._counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)
        self._waiting: list[NDArray[np.uint64]] = []

    def add(self, owner: NDArray[np.int32], families: Sequence[Grams]) -> None:
        """Count the n-grams of a block, once for each text."""
        for grams in families:
            owners = owner[grams.starts[grams.valid]].astype(np.uint64)  # below MOST
            pairs = np.sort((grams.hashes[grams.valid] << np.uint64(16)) | owners)
            self._waiting.append(pairs[np.diff(pairs, prepend=~pairs[:1]) != 0] >> np.uint64(16))
        if sum(map(len, self._waiting)) > 1 << 24:  # 128 MB
            self._merge()

    def _merge(self) -> None:
        hashes, times = np.unique(np.concatenate([self._hashes[:0], *self._waiting]), return_counts=True)
        merged, where = np.unique(np.concatenate([self._hashes, hashes]), return_inverse=True)
        counts = np.bincount(where, np.concatenate([self._counts, times]), len(merged))
        self._hashes, self._counts, self._waiting = merged, counts.astype(np.int64), []

    def commonest(self, min_df: int, most: int) -> NDArray[np.uint64]:
        """The n-grams that occur in at least min_df texts, commonest first, at most `most` of them."""
        self._merge()
        kept = np.flatnonzero(self._counts >= min_df)
        return self._hashes[kept[np.lexsort((self._hashes[kept], -self._counts[kept]))][:most]]

    def vocabulary(self, min_df: int, most: int) -> Vocabulary:
        """The vocabulary of the commonest n-grams."""
        hashes = self.commonest(min_df, most)
        return lookup(hashes, min(MOST_BITS, (ROOM * max(1, len(hashes)) - 1).bit_length()))


def lookup(hashes: NDArray[np.uint64], bits: int) -> Vocabulary:
    """A vocabulary with a table of 2**bits places; of two n-grams with one place only the commoner is kept.

    Args:
        hashes: the n-grams, commonest first.
    """
    places = hashes >> np.uint64(48 - bits)
    _, winners = np.unique(places, return_index=True)  # the first of equal ones
    winners.sort()
    table = np.full(1 << bits, -1, np.int32)
    table[places[winners]] = np.arange(len(winners), dtype=np.int32)
    return Vocabulary(hashes[winners], table)


def find(grams: Grams, vocabulary: Vocabulary) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """The places of the n-grams that are in the vocabulary, and their columns."""
    columns = vocabulary.table.take((grams.hashes >> np.uint64(48 - vocabulary.bits)).view(np.int64), mode="wrap")
    if not len(vocabulary):
        return np.zeros(0, np.intp), columns[:0]
    same = vocabulary.hashes.take(columns, mode="wrap") == grams.hashes  # an empty place (-1) gives the last hash
    (hits,) = (same & grams.valid).nonzero()
    return hits, columns[hits]


def count(block: Block, families: Sequence[Grams], vocabulary: Vocabulary, *, whole: bool = False) -> Counts:
    """Count the n-grams of some families in each text of a block.

    Args:
        whole: whether the matrix has all columns of the vocabulary.
    """
    hits_of = [find(grams, vocabulary) for grams in families]
    rows = np.concatenate([block.owner[g.starts[hits]] for g, (hits, _) in zip(families, hits_of, strict=True)])
    places = np.concatenate([columns for _, columns in hits_of])
    columns: NDArray[np.int32] | slice = slice(None)
    width = len(vocabulary)
    if not whole and len(places) * SPARSE < width:
        columns, places = np.unique(places, return_inverse=True)
        width = len(columns)
    ones = np.ones(len(rows), np.float32)
    return Counts(coo_matrix((ones, (rows, places)), shape=(block.size, width)).tocsc(), columns)


def tally(block: Block, families: Sequence[Grams], vocabulary: Vocabulary) -> Tally:
    """Count as `count` does, as a `Tally`."""
    hits_of = [find(grams, vocabulary) for grams in families]
    texts = np.concatenate([block.owner[g.starts[hits]] for g, (hits, _) in zip(families, hits_of, strict=True)])
    keys = texts.astype(np.int64) << 32 | np.concatenate([columns for _, columns in hits_of])
    keys.sort()
    first = np.empty(len(keys), np.bool_)
    first[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    (firsts,) = first.nonzero()
    counts = np.empty(len(firsts), np.int64)
    np.subtract(firsts[1:], firsts[:-1], out=counts[:-1])
    counts[-1:] = len(keys) - firsts[-1:]
    kept = keys[firsts]
    return Tally(block.size, kept >> 32, kept & 0xFFFFFFFF, counts)


def learn(texts: Sequence[str], min_df: int, most: int) -> tuple[Vocabulary, Vocabulary]:
    """The vocabularies of words with their pairs, and of word pieces.

    Args:
        min_df: texts that must contain an n-gram.
        most: most n-grams of each vocabulary.
    """
    words, pieces = Census(), Census()
    for some in blocks(texts, 8 * BLOCK):  # fewer, larger runs to sort
        block = read(some)
        words.add(block.owner, block.words)
        pieces.add(block.owner, block.pieces)
    return words.vocabulary(min_df, most), pieces.vocabulary(min_df, most)


def count_all(texts: Sequence[str], vocabularies: tuple[Vocabulary, Vocabulary]) -> tuple[csr_matrix, csr_matrix]:
    """Count the words and pairs, and the word pieces, of each text."""
    words, pieces = ([csr_matrix((0, len(part)), dtype=np.float32)] for part in vocabularies)
    for some in blocks(texts):
        block = read(some)
        words.append(count(block, block.words, vocabularies[0], whole=True).matrix.tocsr())
        pieces.append(count(block, block.pieces, vocabularies[1], whole=True).matrix.tocsr())
    return vstack(words, format="csr"), vstack(pieces, format="csr")
