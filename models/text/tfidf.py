"""How much an n-gram says about a text: counts, damped by a logarithm, times rarity, brought to length 1.

Matrices of counts enter, with a row a text; weighed ones leave. The same words stand for this in scikit-learn's
TfidfTransformer (sublinear_tf, smooth_idf, norm='l2'), which the numbers equal.
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
    """Inverse document frequencies, as if one more text held every n-gram: log((1 + n) / (1 + df)) + 1."""
    texts, columns = counts.shape
    holding = np.bincount(counts.indices, minlength=columns)
    return np.asarray(np.log((1 + texts) / (1 + holding)) + 1, np.float32)


def damped(counts: csr_matrix | csc_matrix) -> csr_matrix | csc_matrix:
    """1 + log(count), so that the tenth time a word is said weighs less than the first."""
    result = counts.copy()
    result.data = 1 + np.log(result.data)
    return result


def lengths(counts: csr_matrix | csc_matrix, rare: Floats) -> Floats:
    """The length of each row of damped counts, once each column is multiplied by its rarity; 1 for an empty row."""
    squares = counts.copy()
    squares.data = squares.data**2
    return np.asarray(np.sqrt(np.maximum(squares @ rare**2, np.float32(1e-12))))


def tfidf(counts: csr_matrix, rare: Floats) -> csr_matrix:
    """Damped counts times rarity, each row of length 1."""
    result = damped(counts)
    size = lengths(result, rare)
    result.data *= rare[result.indices]
    result.data /= np.repeat(size, np.diff(result.indptr))
    return result


def weighed(counts: csc_matrix, rare: Floats) -> csc_matrix:
    """The same for counts that lie column by column."""
    result = damped(counts)
    size = lengths(result, rare)
    result.data *= np.repeat(rare, np.diff(result.indptr))
    result.data /= size[result.indices]
    return result


def presence(counts: csr_matrix) -> csr_matrix:
    """1 wherever there is a count."""
    return csr_matrix((np.ones_like(counts.data), counts.indices, counts.indptr), shape=counts.shape)


@dataclass(frozen=True)
class Group:
    """Words or word pieces in a fitted model: what is known, how rare each is, and what it adds to each score.

    rarity: inverse document frequencies.
    weights: for damped counts, divided by the length that rarity gives them; a row an n-gram, a column a score.
    present: the same for the mere presence of an n-gram; None where no head looks at it.
    """

    known: Vocabulary
    rarity: Floats
    weights: Floats
    present: Floats | None

    def scores(self, counts: Counts) -> Floats:
        """What the n-grams of each text add to its scores."""
        here = counts.columns
        matrix = damped(counts.matrix)
        scores = _times(matrix, self.weights[here]) / lengths(matrix, self.rarity[here])[:, None]
        if self.present is not None:
            matrix.data[:] = 1
            scores += _times(matrix, self.present[here])
        return scores

    def scores_of(self, found: Tally) -> NDArray[np.float64]:
        """The same of a tally, for few scores: sums over its entries, one score after the other."""
        damped = 1 + np.log(found.counts)
        squares = np.bincount(found.texts, (damped * self.rarity[found.columns]) ** 2, found.size)
        length = np.sqrt(np.maximum(squares, 1e-12))
        scores = np.empty((found.size, self.weights.shape[1]))
        for place in range(scores.shape[1]):
            weights = self.weights[found.columns, place]
            scores[:, place] = np.bincount(found.texts, damped * weights, found.size) / length
            if self.present is not None:
                scores[:, place] += np.bincount(found.texts, self.present[found.columns, place], found.size)
        return scores

    def plus(self, weights: Floats) -> Group:
        """The group with more added to its weights."""
        return replace(self, weights=self.weights + weights)

    def times(self, factor: float) -> Group:
        """The group with all its scores multiplied."""
        present = None if self.present is None else self.present * np.float32(factor)
        return replace(self, weights=self.weights * np.float32(factor), present=present)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays, to be saved."""
        arrays = {"hashes": self.known.hashes, "bits": np.array(self.known.bits)}
        arrays |= {"rarity": self.rarity, "weights": self.weights}
        return arrays if self.present is None else arrays | {"present": self.present}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Group:
        """The group whose `arrays` these are."""
        known = lookup(arrays["hashes"], int(arrays["bits"]))
        return cls(known, arrays["rarity"], arrays["weights"], arrays.get("present"))


def _times(matrix: csc_matrix, weights: Floats) -> Floats:
    """The product, by the quicker way for a vector where there is one column."""
    return np.asarray(matrix @ weights if weights.shape[1] > 1 else (matrix @ weights[:, 0])[:, None])
