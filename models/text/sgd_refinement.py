"""Correct a fitted linear model by rows that do not fit in memory, each of which is read once.

Blocks of texts with their class numbers enter, weights to add to the model's own leave. Every block is a step of
AdaGrad (Duchi, Hazan and Singer 2011) on the log loss of the model's scores plus the correction's: weights of frequent
features move less. Several rates learn in parallel, because reading the texts costs more than learning from them; the
validation rows choose one. Memory is three arrays of weights for each rate, for any number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csc_matrix

from models.text.linear_heads import Floats, Numbers, probabilities
from models.text.ngrams import Block, blocks, read
from models.text.tfidf import Group, tfidf_by_column
from models.text.vocabulary import Counts, count

STEADY = 0.1  # initial sum of a feature's squared gradients; below it the feature learns at nearly the full rate


class Correction:
    """The weights that are learnt at one rate; for words and for pieces a row a feature and a column a score."""

    def __init__(self, sizes: Sequence[int], scores: int, rate: float) -> None:
        self.rate = np.float32(rate)
        self.weights = [np.zeros((size, scores), np.float32) for size in sizes]
        self.bias = np.zeros(scores, np.float32)
        self._squares = [np.full_like(weights, STEADY) for weights in self.weights]
        self._bias_squares = np.full_like(self.bias, STEADY)

    def scores(self, features: Sequence[csc_matrix], columns: Sequence[np.ndarray | slice]) -> Floats:
        """The scores that the correction adds to those of some rows."""
        parts = [part @ weights[here] for part, weights, here in zip(features, self.weights, columns, strict=True)]
        return np.asarray(sum(parts) + self.bias, np.float32)

    def step(self, features: Sequence[csc_matrix], columns: Sequence[np.ndarray | slice], errors: Floats) -> None:
        """Make one step of AdaGrad.

        Args:
            features: TF-IDF of words and of pieces, a row a text.
            columns: the columns that they belong to.
            errors: probabilities minus truth, a row a text.
        """
        for part, weights, squares, here in zip(features, self.weights, self._squares, columns, strict=True):
            gradient = np.asarray(part.T @ errors, np.float32)
            total = squares[here] + gradient**2
            squares[here] = total
            weights[here] -= self.rate * gradient / np.sqrt(total)
        gradient = errors.sum(axis=0)
        self._bias_squares += gradient**2
        self.bias -= self.rate * gradient / np.sqrt(self._bias_squares)


class Refiner:
    """Learns corrections to the scores of a model made of these groups and this bias."""

    def __init__(self, words: Group, pieces: Group, bias: Floats, rates: Sequence[float]) -> None:
        self._groups = (words, pieces)
        self._bias = bias
        sizes = [len(group.vocabulary) for group in self._groups]
        self.corrections = [Correction(sizes, len(bias), rate) for rate in rates]

    def learn(self, texts: Sequence[str], numbers: Numbers) -> None:
        """Make one step for each block of the texts.

        Args:
            numbers: the class number of each text.
        """
        done = 0
        for some in blocks(texts):
            truth = numbers[done : done + len(some)]
            features, columns, scores = self._features(read(some))
            for correction in self.corrections:
                corrected = scores + correction.scores(features, columns)
                correction.step(features, columns, _errors(corrected, truth))
            done += len(some)

    def scores(self, texts: Sequence[str]) -> list[Floats]:
        """The scores of some texts: by the model alone, then with each correction."""
        parts = []
        for some in blocks(texts):
            features, columns, scores = self._features(read(some))
            additions = [correction.scores(features, columns) for correction in self.corrections]
            parts.append(np.stack([scores, *(scores + added for added in additions)]))
        return list(np.concatenate(parts, axis=1)) if parts else []

    def corrected(self, correction: Correction) -> tuple[Group, Group, Floats]:
        """The model's weights with a correction added to them."""
        words, pieces = (
            group.plus(weights * group.rarity[:, None])
            for group, weights in zip(self._groups, correction.weights, strict=True)
        )
        return words, pieces, self._bias + correction.bias

    def _features(self, block: Block) -> tuple[list[csc_matrix], list[np.ndarray | slice], Floats]:
        """The features of a block, the columns that they belong to, and the model's own scores."""
        counts: list[Counts] = [
            count(block, grams, group.vocabulary)
            for grams, group in zip((block.words, block.pieces), self._groups, strict=True)
        ]
        features = [
            tfidf_by_column(part.matrix, group.rarity[part.columns])
            for part, group in zip(counts, self._groups, strict=True)
        ]
        own = [group.scores(part) for part, group in zip(counts, self._groups, strict=True)]
        return features, [part.columns for part in counts], np.asarray(sum(own) + self._bias, np.float32)


def _errors(scores: Floats, numbers: Numbers) -> Floats:
    """Probabilities minus truth: the gradient of the log loss by each score."""
    errors = probabilities(scores)
    errors[np.arange(len(numbers)), numbers] -= 1
    return np.asarray(errors[:, -scores.shape[1] :], np.float32)  # a single score is that of the second class
