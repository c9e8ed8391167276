"""Which texts to have labelled next: those that the model doubts, spread over what they say.

Texts and the model's doubts enter; choices leave, in the order in which they were drawn, each with its chance. Copies
and near-copies count as one text. One text after the other is drawn at random, with a probability in proportion to

    doubt ** SHARPNESS * distance

where the distance is that to the nearest text drawn so far: the seeding of k-means++, weighed by doubt (Arthur and
Vassilvitskii 2007; Ash et al. 2020). The chance of a choice is the probability that it had in the draw that took it,
given the draws before, and no text has none: so estimates over chosen rows can be weighed (Farquhar et al. 2021). What
choosing is worth: benchmarks/bench_labels.py, decisions/0020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix

from models.text.ngrams import Block, blocks, read
from models.text.tfidf import rarity, tfidf

Floats = NDArray[np.float64]
Numbers = NDArray[np.intp]

SHARPNESS = 2
"""Of the doubts; more of it asks about the most doubtful alone."""
LEAST = 1e-3
"""A doubt or a distance below this counts as this one: nothing that is there is never asked."""
READ = 1_000
"""Characters of a text that are looked at, so that a queue of long ones is ranked as soon as one of short ones."""
DIRECTIONS = 50
"""In which texts differ, at most: the strongest ones."""
HASHES, BAND = 48, 3
"""Smallest hashes of a text's words and pairs, and how many of them, in a row, near-copies must share."""
ALIKE = 0.75
"""Share of all of those hashes that they must have in common: an estimate of the share of words (Broder 1997)."""


@dataclass(frozen=True)
class Choice:
    """A text that is to be labelled. index: its place among the texts. chance: the probability of its draw."""

    index: int
    chance: float


def choose(texts: Sequence[str], doubts: Sequence[float], most: int, seed: int) -> list[Choice]:
    """At most so many of the texts.

    Args:
        doubts: how unsure the model is of each, 1 less the probability of its answer.
        seed: of the draws; the same one gives the same choices.
    """
    if not texts:
        return []
    counted = _Words.of([text[:READ] for text in texts])
    kept = distinct(counted)
    places = directions(counted.matrix[kept])
    doubt = np.clip(np.asarray(doubts, np.float64)[kept], LEAST, 0.5) ** SHARPNESS
    rng, nearest, choices = np.random.default_rng(seed), np.ones(len(kept)), list[Choice]()
    for _ in range(min(most, len(kept))):
        shares = doubt * np.maximum(nearest, LEAST)
        shares[nearest < 0] = 0
        shares /= shares.sum()
        at = int(rng.choice(len(kept), p=shares))
        choices.append(Choice(int(kept[at]), float(shares[at])))
        nearest = np.where(nearest < 0, nearest, np.clip(1 - np.einsum("ij,j->i", places, places[at]), 0, nearest))
        nearest[at] = -1
    return choices


@dataclass(frozen=True)
class _Words:
    """What texts are made of, a row a text. matrix: words, counted. smallest: HASHES of words and pairs."""

    matrix: csr_matrix
    smallest: NDArray[np.uint64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> _Words:
        """The words of these texts."""
        owners, hashes, smallest, at = [], list[NDArray[np.uint64]](), list[NDArray[np.uint64]](), 0
        for some in blocks(texts):
            block = read(some)
            (words, *_) = block.words
            owners.append(block.owner[words.starts] + at)
            hashes.append(words.hashes)
            smallest.append(_smallest(block))
            at += len(some)
        owner, columns = np.concatenate(owners), np.unique(np.concatenate(hashes), return_inverse=True)[1]
        shape = (len(texts), int(columns.max(initial=0)) + 1)
        matrix = coo_matrix((np.ones(len(owner), np.float32), (owner, columns)), shape=shape).tocsr()
        return cls(matrix, np.vstack(smallest))


def _smallest(block: Block) -> NDArray[np.uint64]:
    """Of each text of a block, the smallest values that HASHES functions give to its words and pairs (MinHash)."""
    owner = np.concatenate([block.owner[grams.starts[grams.valid]] for grams in block.words[:2]])
    hashes = np.concatenate([grams.hashes[grams.valid] for grams in block.words[:2]])
    order = np.argsort(owner, kind="stable")
    owner, hashes = owner[order], hashes[order]
    firsts = np.flatnonzero(np.diff(owner, prepend=-1))
    found = np.full((block.size, HASHES), np.iinfo(np.uint64).max)
    for number, factor in enumerate(odd(HASHES)):
        if len(firsts):
            found[owner[firsts], number] = np.minimum.reduceat(hashes * factor, firsts)
    return found


def odd(count: int) -> NDArray[np.uint64]:
    """So many odd numbers, always the same: to multiply by one of them modulo 2**64 is to mix."""
    return np.random.default_rng(0).integers(1 << 63, size=count, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def distinct(counted: _Words) -> Numbers:
    """The places of the texts, the first of all near-copies alone."""
    smallest, here = counted.smallest, np.arange(len(counted.smallest))
    copies = np.zeros(len(here), np.bool_)
    for start in range(0, HASHES, BAND):
        keys = (smallest[:, start : start + BAND] * odd(BAND)).sum(axis=1)
        firsts, of = np.unique(keys, return_index=True, return_inverse=True)[1:]
        first = firsts[of]
        copies |= (first != here) & ((smallest == smallest[first]).mean(axis=1) >= ALIKE)
    return np.flatnonzero(~copies)


def directions(matrix: csr_matrix) -> Floats:
    """Texts as points on a sphere: their words weighed (tf-idf), in the strongest directions; 0 for one of rare words.

    Source: Halko, Martinsson and Tropp (2011), the randomised decomposition, with two power iterations.
    """
    known = matrix[:, np.bincount(matrix.indices, minlength=matrix.shape[1]) >= 2]
    weighed = tfidf(known, rarity(known)).astype(np.float64)
    most = min(DIRECTIONS, *weighed.shape)
    if most == 0:
        return np.zeros((matrix.shape[0], 1))
    basis = orthonormal(weighed @ np.random.default_rng(0).standard_normal((weighed.shape[1], most + 10)))
    for _ in range(2):
        basis = orthonormal(weighed @ (weighed.T @ basis))
    turned = weighed.T @ basis
    strengths, turns = np.linalg.eigh(turned.T @ turned)
    points = basis @ (turns * np.sqrt(np.maximum(strengths, 0)))[:, ::-1][:, :most]
    return np.asarray(points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9))


def orthonormal(columns: Floats) -> Floats:
    """Columns of length 1 that span the same, by their small matrix of products.

    LAPACK's QR of a tall matrix takes fifty times as long where other programs keep the cores busy: its threads wait.
    """
    strengths, turns = np.linalg.eigh(columns.T @ columns)
    kept = strengths > 1e-9 * max(strengths[-1], 1e-300)
    return np.asarray(columns @ (turns[:, kept] / np.sqrt(strengths[kept])))
