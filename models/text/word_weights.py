"""What each word of a text adds to a score of a linear model, exactly.

A text as ngrams.py read it and what the model knows enter; a number for each word leaves. An n-gram adds the same each
time it is said, and what it adds is shared equally among the words that it covers; a piece lies within one word. The
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
"""Of weights, a row an n-gram and a column a score, the one number a row that is asked for."""

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """Why a model says one class rather than another.

    label, against: the numbers of the two likeliest classes, the likelier first.
    words: what each word of the text adds to the log-odds of the first against the second, in the order of the words.
    bias: what is there without any word.
    """

    label: int
    against: int
    words: Shares
    bias: float


def shares(block: Block, words: Group, pieces: Group, column: Column) -> Shares:
    """What each word of a block of one text adds."""
    starts = block.words[0].starts
    result = np.zeros(len(starts))
    for covered, (at, added) in enumerate(_added(block.words, words, column), 1):  # words, pairs, triples
        for place in range(covered):
            result += np.bincount(at + place, added / covered, len(starts))
    for at, added in _added(block.pieces, pieces, column):
        inner = block.pieces[0].starts[at] + 1  # the first letter, which may follow an edge
        result += np.bincount(np.searchsorted(starts, inner, side="right") - 1, added, len(starts))
    return result


def _added(
    families: Sequence[Grams], group: Group, column: Column
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """Of each family the places of its known n-grams, and what each of them adds: as Group.scores, one by one."""
    found = [find(grams, group.known) for grams in families]
    here, kind, times = np.unique(
        np.concatenate([columns for _, columns in found]), return_inverse=True, return_counts=True
    )
    damped = 1 + np.log(times)
    length = np.sqrt(np.maximum(((damped * group.rarity[here]) ** 2).sum(), 1e-12))
    each = column(group.weights[here]) * (damped / length)
    if group.present is not None:
        each = each + column(group.present[here])
    added = (each / times)[kind]
    for at, _ in found:
        yield at, added[: len(at)]
        added = added[len(at) :]
