"""What a fitted linear model still gets wrong, learnt from rows that do not fit in memory: one look at each.

Blocks of texts with their class numbers enter, weights to add to the model's own leave. Every block is a step of
AdaGrad (Duchi, Hazan and Singer 2011) down the log loss of the model's scores plus the correction's: a feature that was
seen often moves less. Several rates learn side by side, for reading the texts costs more than learning from them; the
validation rows choose. Memory is three arrays of weights for each rate, however many rows come.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csc_matrix

from models.text.linear_heads import Floats, Numbers, probabilities
from models.text.ngrams import Block, blocks, read
from models.text.tfidf import Group, weighed
from models.text.vocabulary import Counts, count

STEADY = 0.1  # what a feature's squared gradients start from: until they add up to it, it learns at the full rate


class Correction:
    """Weights that are learnt at one rate: for words and for pieces a row a feature, a column a score."""

    def __init__(self, sizes: Sequence[int], scores: int, rate: float) -> None:
        self.rate = np.float32(rate)
        self.weights = [np.zeros((size, scores), np.float32) for size in sizes]
        self.bias = np.zeros(scores, np.float32)
        self._squares = [np.full_like(weights, STEADY) for weights in self.weights]
        self._bias_squares = np.full_like(self.bias, STEADY)

    def scores(self, features: Sequence[csc_matrix], columns: Sequence[np.ndarray | slice]) -> Floats:
        """What the correction adds to the scores of some rows."""
        parts = [part @ weights[here] for part, weights, here in zip(features, self.weights, columns, strict=True)]
        return np.asarray(sum(parts) + self.bias, np.float32)

    def step(self, features: Sequence[csc_matrix], columns: Sequence[np.ndarray | slice], errors: Floats) -> None:
        """Move against the gradient; errors: probabilities less truth, a row a text."""
        for part, weights, squares, here in zip(features, self.weights, self._squares, columns, strict=True):
            gradient = np.asarray(part.T @ errors, np.float32)
            grown = squares[here] + gradient**2
            squares[here] = grown
            weights[here] -= self.rate * gradient / np.sqrt(grown)
        gradient = errors.sum(axis=0)
        self._bias_squares += gradient**2
        self.bias -= self.rate * gradient / np.sqrt(self._bias_squares)


class Refiner:
    """Learns corrections to the scores of a model made of these groups and this bias."""

    def __init__(self, words: Group, pieces: Group, bias: Floats, rates: Sequence[float]) -> None:
        self._groups, self._bias = (words, pieces), bias
        sizes = [len(group.known) for group in self._groups]
        self.corrections = [Correction(sizes, len(bias), rate) for rate in rates]

    def learn(self, texts: Sequence[str], numbers: Numbers) -> None:
        """One step for each block of the texts; numbers: of their classes."""
        done = 0
        for some in blocks(texts):
            of = numbers[done : done + len(some)]
            features, columns, scores = self._seen(read(some))
            for correction in self.corrections:
                corrected = scores + correction.scores(features, columns)
                correction.step(features, columns, _errors(corrected, of))
            done += len(some)

    def scores(self, texts: Sequence[str]) -> list[Floats]:
        """The scores of some texts by the model alone, and with each correction."""
        found = []
        for some in blocks(texts):
            features, columns, scores = self._seen(read(some))
            corrected = [correction.scores(features, columns) for correction in self.corrections]
            found.append(np.stack([scores, *(scores + more for more in corrected)]))
        return list(np.concatenate(found, axis=1)) if found else []

    def corrected(self, which: Correction) -> tuple[Group, Group, Floats]:
        """The model with that correction as a part of it."""
        words, pieces = (
            group.plus(weights * group.rarity[:, None])
            for group, weights in zip(self._groups, which.weights, strict=True)
        )
        return words, pieces, self._bias + which.bias

    def _seen(self, block: Block) -> tuple[list[csc_matrix], list[np.ndarray | slice], Floats]:
        """A block's features with the columns that they are of, and the model's own scores."""
        counts: list[Counts] = [
            count(block, grams, group.known)
            for grams, group in zip((block.words, block.pieces), self._groups, strict=True)
        ]
        features = [
            weighed(part.matrix, group.rarity[part.columns]) for part, group in zip(counts, self._groups, strict=True)
        ]
        own = [group.scores(part) for part, group in zip(counts, self._groups, strict=True)]
        return features, [part.columns for part in counts], np.asarray(sum(own) + self._bias, np.float32)


def _errors(scores: Floats, numbers: Numbers) -> Floats:
    """Probabilities less truth: the gradient of the log loss by each score."""
    found = probabilities(scores)
    found[np.arange(len(numbers)), numbers] -= 1
    return np.asarray(found[:, -scores.shape[1] :], np.float32)  # one score is that of the second class
