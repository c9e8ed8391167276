"""TF-IDF: counts of n-grams, damped by a logarithm, times their rarity, each row scaled to length 1.

Matrices of counts enter, with a row a text; matrices of weights leave. The numbers equal those of scikit-learn's
TfidfTransformer (sublinear_tf, smooth_idf, norm='l2').
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix

from models.text.vocabulary import Counts, Tally, Vocabulary, lookup

Floats = NDArray[np.float32]


def rarity(counts: csr_matrix) -> Floats:
    """Smoothed inverse document frequencies: log((1 + n) / (1 + df)) + 1."""
    texts, columns = counts.shape
    holding = np.bincount(counts.indices, minlength=columns)
    return np.asarray(np.log((1 + texts) / (1 + holding)) + 1, np.float32)


def damped(counts: csr_matrix | csc_matrix) -> csr_matrix | csc_matrix:
    """1 + log(count): further occurrences of an n-gram weigh less than the first."""
    result = counts.copy()
    result.data = 1 + np.log(result.data)
    return result


def lengths(counts: csr_matrix | csc_matrix, rare: Floats) -> Floats:
    """The Euclidean length of each row of damped counts times rarity; 1e-6 for an empty row."""
    squares = counts.copy()
    squares.data = squares.data**2
    return np.asarray(np.sqrt(np.maximum(squares @ rare**2, np.float32(1e-12))))


def tfidf(counts: csr_matrix, rare: Floats) -> csr_matrix:
    """Damped counts times rarity, each row of length 1."""
    result = damped(counts)
    norms = lengths(result, rare)
    result.data *= rare[result.indices]
    result.data /= np.repeat(norms, np.diff(result.indptr))
    return result


def tfidf_by_column(counts: csc_matrix, rare: Floats) -> csc_matrix:
    """TF-IDF of counts that are stored column by column."""
    result = damped(counts)
    norms = lengths(result, rare)
    result.data *= np.repeat(rare, np.diff(result.indptr))
    result.data /= norms[result.indices]
    return result


def presence(counts: csr_matrix) -> csr_matrix:
    """1 in place of every count."""
    return csr_matrix((np.ones_like(counts.data), counts.indices, counts.indptr), shape=counts.shape)


@dataclass(frozen=True)
class Group:
    """The weights of words or of word pieces in a fitted model.

    Attributes:
        vocabulary: the n-grams.
        rarity: inverse document frequencies, a number an n-gram.
        weights: weights of damped counts, which are divided by the row's length; a row an n-gram, a column a score.
        present: weights of the presence of an n-gram, likewise; None where no head uses it.
    """

    vocabulary: Vocabulary
    rarity: Floats
    weights: Floats
    present: Floats | None

    def scores(self, counts: Counts) -> Floats:
        """The scores that the n-grams add up to, a row a text and a column a score."""
        columns = counts.columns
        matrix = damped(counts.matrix)
        scores = _times(matrix, self.weights[columns]) / lengths(matrix, self.rarity[columns])[:, None]
        if self.present is not None:
            matrix.data[:] = 1
            scores += _times(matrix, self.present[columns])
        return scores

    def scores_of(self, tally: Tally) -> NDArray[np.float64]:
        """The scores of a tally; quick for few scores, which are summed one after the other."""
        damped = 1 + np.log(tally.counts)
        squares = np.bincount(tally.texts, (damped * self.rarity[tally.columns]) ** 2, tally.size)
        length = np.sqrt(np.maximum(squares, 1e-12))
        scores = np.empty((tally.size, self.weights.shape[1]))
        for place in range(scores.shape[1]):
            weights = self.weights[tally.columns, place]
            scores[:, place] = np.bincount(tally.texts, damped * weights, tally.size) / length
            if self.present is not None:
                scores[:, place] += np.bincount(tally.texts, self.present[tally.columns, place], tally.size)
        return scores

    def plus(self, weights: Floats) -> Group:
        """The group with these weights added."""
        return replace(self, weights=self.weights + weights)

    def times(self, factor: float) -> Group:
        """The group with all scores multiplied by a factor."""
        present = None if self.present is None else self.present * np.float32(factor)
        return replace(self, weights=self.weights * np.float32(factor), present=present)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The group as arrays, to be saved."""
        arrays = {"hashes": self.vocabulary.hashes, "bits": np.array(self.vocabulary.bits)}
        arrays |= {"rarity": self.rarity, "weights": self.weights}
        return arrays if self.present is None else arrays | {"present": self.present}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Group:
        """The group that `arrays` gave."""
        vocabulary = lookup(arrays["hashes"], int(arrays["bits"]))
        return cls(vocabulary, arrays["rarity"], arrays["weights"], arrays.get("present"))


def _times(matrix: csc_matrix, weights: Floats) -> Floats:
    """The product; for one column the quicker product with a vector."""
    return np.asarray(matrix @ weights if weights.shape[1] > 1 else (matrix @ weights[:, 0])[:, None])
