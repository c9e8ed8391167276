"""Active learning: choice of the texts to label next, doubtful and diverse ones.

Texts and the model's doubts enter; choices leave in the order of their draws, each with its probability. Copies and
near-copies count as one text. Texts are drawn one after another at random, with a probability proportional to

    doubt ** SHARPNESS * distance

where the distance is the one to the nearest text drawn so far. This is the seeding of k-means++ weighted by doubt
(Arthur and Vassilvitskii 2007; Ash et al. 2020). The chance of a choice is its probability in the draw that took it,
given the draws before, and is never 0; so estimates over chosen rows can be reweighted (Farquhar et al. 2021). The
benefit is measured in benchmarks/bench_labels.py and decisions/0020.
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
"""Exponent of the doubts; a larger one chooses only the most doubtful texts."""
LEAST = 1e-3
"""Lower bound of doubts and distances, so that every text has a chance."""
READ = 1_000
"""Characters of a text that are read, so that ranking long texts takes no longer than ranking short ones."""
DIRECTIONS = 50
"""Most dimensions of the texts' space (latent semantic analysis)."""
HASHES, BAND = 48, 3
"""MinHash values of a text's words and pairs, and how many adjacent ones near-copies must share (one LSH band)."""
ALIKE = 0.75
"""Share of all MinHash values that near-copies must share: an estimate of the shared words (Broder 1997)."""


@dataclass(frozen=True)
class Choice:
    """A text to label.

    Attributes:
        index: Index of the text.
        chance: Probability of its draw.
    """

    index: int
    chance: float


def choose(texts: Sequence[str], doubts: Sequence[float], most: int, seed: int) -> list[Choice]:
    """Choose at most `most` of the texts.

    Args:
        doubts: Doubt of each text: 1 minus the probability of its predicted label.
        most: Number of choices.
        seed: Random seed; the same seed gives the same choices.
    """
    if not texts:
        return []
    words = _Words.of([text[:READ] for text in texts])
    kept = distinct(words)
    points = directions(words.matrix[kept])
    weights = np.clip(np.asarray(doubts, np.float64)[kept], LEAST, 0.5) ** SHARPNESS
    rng = np.random.default_rng(seed)
    distances = np.ones(len(kept))  # to the nearest choice; -1 for a choice itself
    choices = list[Choice]()
    for _ in range(min(most, len(kept))):
        probabilities = weights * np.maximum(distances, LEAST)
        probabilities[distances < 0] = 0
        probabilities /= probabilities.sum()
        at = int(rng.choice(len(kept), p=probabilities))
        choices.append(Choice(int(kept[at]), float(probabilities[at])))
        to_choice = 1 - np.einsum("ij,j->i", points, points[at])
        distances = np.where(distances < 0, distances, np.clip(to_choice, 0, distances))
        distances[at] = -1
    return choices


@dataclass(frozen=True)
class _Words:
    """The words of some texts, a row a text.

    Attributes:
        matrix: Counts of words, shape (texts, words).
        smallest: MinHash values of words and pairs, shape (texts, HASHES).
    """

    matrix: csr_matrix
    smallest: NDArray[np.uint64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> _Words:
        """Read the words of texts."""
        owners = []
        hashes = list[NDArray[np.uint64]]()
        smallest = list[NDArray[np.uint64]]()
        start = 0
        for batch in blocks(texts):
            block = read(batch)
            (words, *_) = block.words
            owners.append(block.owner[words.starts] + start)
            hashes.append(words.hashes)
            smallest.append(_smallest(block))
            start += len(batch)
        owner = np.concatenate(owners)
        columns = np.unique(np.concatenate(hashes), return_inverse=True)[1]
        shape = (len(texts), int(columns.max(initial=0)) + 1)
        matrix = coo_matrix((np.ones(len(owner), np.float32), (owner, columns)), shape=shape).tocsr()
        return cls(matrix, np.vstack(smallest))


def _smallest(block: Block) -> NDArray[np.uint64]:
    """MinHash of each text of a block: the smallest value of each of HASHES functions over its words and pairs."""
    owner = np.concatenate([block.owner[grams.starts[grams.valid]] for grams in block.words[:2]])
    hashes = np.concatenate([grams.hashes[grams.valid] for grams in block.words[:2]])
    order = np.argsort(owner, kind="stable")
    owner, hashes = owner[order], hashes[order]
    firsts = np.flatnonzero(np.diff(owner, prepend=-1))
    smallest = np.full((block.size, HASHES), np.iinfo(np.uint64).max)
    for number, factor in enumerate(odd_numbers(HASHES)):
        if len(firsts):
            smallest[owner[firsts], number] = np.minimum.reduceat(hashes * factor, firsts)
    return smallest


def odd_numbers(count: int) -> NDArray[np.uint64]:
    """Fixed odd factors; multiplication by an odd number modulo 2**64 is a hash function."""
    return np.random.default_rng(0).integers(1 << 63, size=count, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def distinct(words: _Words) -> Numbers:
    """The indices of the texts without near-copies; the first of several near-copies stays (MinHash with LSH)."""
    smallest = words.smallest
    indices = np.arange(len(smallest))
    is_copy = np.zeros(len(indices), np.bool_)
    for start in range(0, HASHES, BAND):
        keys = (smallest[:, start : start + BAND] * odd_numbers(BAND)).sum(axis=1)
        firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)[1:]
        first = firsts[inverse]
        is_copy |= (first != indices) & ((smallest == smallest[first]).mean(axis=1) >= ALIKE)
    return np.flatnonzero(~is_copy)


def directions(matrix: csr_matrix) -> Floats:
    """Texts as points on the unit sphere: tf-idf in the strongest singular directions; 0 for a text of rare words only.

    Source: Halko, Martinsson and Tropp (2011), randomised SVD, with two power iterations.

    Args:
        matrix: Counts of words, shape (texts, words).

    Returns:
        Shape (texts, dimensions).
    """
    common = matrix[:, np.bincount(matrix.indices, minlength=matrix.shape[1]) >= 2]
    weighted = tfidf(common, rarity(common)).astype(np.float64)
    dimensions = min(DIRECTIONS, *weighted.shape)
    if dimensions == 0:
        return np.zeros((matrix.shape[0], 1))
    basis = orthonormal(weighted @ np.random.default_rng(0).standard_normal((weighted.shape[1], dimensions + 10)))
    for _ in range(2):
        basis = orthonormal(weighted @ (weighted.T @ basis))
    projected = weighted.T @ basis
    eigenvalues, eigenvectors = np.linalg.eigh(projected.T @ projected)
    points = basis @ (eigenvectors * np.sqrt(np.maximum(eigenvalues, 0)))[:, ::-1][:, :dimensions]
    return np.asarray(points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9))


def orthonormal(columns: Floats) -> Floats:
    """An orthonormal basis of the columns' span, from the small Gram matrix.

    LAPACK's QR of a tall matrix takes fifty times as long if other programs keep the cores busy: its threads wait.
    """
    eigenvalues, eigenvectors = np.linalg.eigh(columns.T @ columns)
    kept = eigenvalues > 1e-9 * max(eigenvalues[-1], 1e-300)
    return np.asarray(columns @ (eigenvectors[:, kept] / np.sqrt(eigenvalues[kept])))
