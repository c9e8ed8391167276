"""The exact share of each word of a text in a score of a linear model.

A block of one text and the weights of a model enter; a number for each word leaves. Every occurrence of an n-gram adds
the same, and its contribution is shared equally among the words that it covers; a piece lies within one word. The
numbers of all words and the bias therefore sum to the score.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.text.ngrams import Block, Grams
from models.text.tfidf import Floats, Group
from models.text.vocabulary import find

Column = Callable[[Floats], Floats]
"""A function of weights (a row an n-gram, a column a score) that gives one number a row."""

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """The log-odds of the likeliest class against the second likeliest, word by word.

    Attributes:
        label: number of the likeliest class.
        against: number of the second likeliest class.
        words: what each word of the text adds to the log-odds, in the order of the words.
        bias: the log-odds without any word.
    """

    label: int
    against: int
    words: Shares
    bias: float


def shares(block: Block, words: Group, pieces: Group, column: Column) -> Shares:
    """What each word of a block of one text adds to the number that `column` gives."""
    starts = block.words[0].starts
    result = np.zeros(len(starts))
    for covered, (at, added) in enumerate(_added(block.words, words, column), 1):  # words, pairs, triples
        for place in range(covered):
            result += np.bincount(at + place, added / covered, len(starts))
    for at, added in _added(block.pieces, pieces, column):
        letters = block.pieces[0].starts[at] + 1  # the first letter, which may follow an edge
        result += np.bincount(np.searchsorted(starts, letters, side="right") - 1, added, len(starts))
    return result


def _added(
    families: Sequence[Grams], group: Group, column: Column
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """For each family the places of the vocabulary's n-grams, and what each occurrence adds, as in Group.scores."""
    hits = [find(grams, group.vocabulary) for grams in families]
    columns, kinds, times = np.unique(
        np.concatenate([columns for _, columns in hits]), return_inverse=True, return_counts=True
    )
    damped = 1 + np.log(times)
    length = np.sqrt(np.maximum(((damped * group.rarity[columns]) ** 2).sum(), 1e-12))
    weights = column(group.weights[columns]) * (damped / length)
    if group.present is not None:
        weights = weights + column(group.present[columns])
    added = (weights / times)[kinds]
    for at, _ in hits:
        yield at, added[: len(at)]
        added = added[len(at) :]
