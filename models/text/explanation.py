"""Which words of a text moved the answer of a model, and by how much.

A fitted model and a text enter; an `Explanation` leaves. A word's weight is in log-odds (nats) of the model's answer
against its runner-up: above 0 the word speaks for the answer, below 0 against it.

    exact       the model adds up what it finds and says what each word adds (models/text/word_weights.py): the weights
                and the bias sum to the log-odds
    occlusion   the model is asked again without the word, and the weight is what the log-odds lose (Zeiler and Fergus
                2014; Li, Monroe and Jurafsky 2016): the weights need not sum to anything
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from models.text.word_spans import Spans, spans
from models.text.word_weights import Evidence

MOST_WORDS = 200
"""Words of a text that are left out in turn: the first ones. Later ones get no weight."""

MOST_PASSES = 2_000
"""Words that are left out in turn of all texts that are explained together; of many texts fewer of each."""

MOST_CHARACTERS = 2_000_000
"""Read for explanations by occlusion, at most, of all texts that are explained together; of long ones fewer words are
left out in turn."""

LEAST = 1e-12
"""A lower probability counts as this one, so that a class never seen has log-odds."""


class Model(Protocol):
    """What is asked of any fitted model (models/contract.py)."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]: ...


@runtime_checkable
class Weighing(Protocol):
    """A fitted model that can also say, exactly, what each word adds."""

    def evidence(self, text: str) -> Evidence: ...


@dataclass(frozen=True)
class Word:
    """text[start:end], in code points, and what it adds to the log-odds of the answer."""

    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class Explanation:
    """Why a model answers `label` and not `against`, the second likeliest; None where there is no other class.

    log_odds: of label against `against`, for the whole text.
    bias: of an exact explanation, the log-odds without any word.
    words: in the order of the text, not overlapping.
    left_out: words that got no weight as the text has too many.
    """

    label: str
    against: str | None
    method: Literal["exact", "occlusion"]
    log_odds: float
    bias: float | None
    words: tuple[Word, ...]
    left_out: int


def explain(model: Model, text: str, together: int = 1) -> Explanation:
    """Which words speak for the model's answer, and which against it; the best method that the model allows.

    together: texts that are explained together; they share what may be done.
    """
    if len(model.labels) == 1:  # whatever the text says, the answer is the same
        return Explanation(model.labels[0], None, "occlusion", 0.0, None, (), 0)
    return _weighed(model, model.labels, text) if isinstance(model, Weighing) else _occluded(model, text, together)


def without(text: str, start: int, end: int) -> str:
    """The text with a gap in place of a word: gaps count for nothing, and its neighbours do not grow together."""
    return f"{text[:start]} {text[end:]}"


def _weighed(model: Weighing, labels: Sequence[str], text: str) -> Explanation:
    """What the model itself says of each word."""
    found, where = model.evidence(text), spans(text)
    weights = np.bincount(where.of, found.words, len(where)).astype(np.float64)
    odds = float(found.words.sum() + found.bias)
    words = _words(where, weights)
    return Explanation(labels[found.label], labels[found.against], "exact", odds, found.bias, words, 0)


def _occluded(model: Model, text: str, together: int) -> Explanation:
    """What becomes of the answer without each of the first words."""
    where = spans(text)
    most = min(len(where), MOST_WORDS, MOST_PASSES // together, MOST_CHARACTERS // (together * (len(text) + 1)))
    lacking = [without(text, start, end) for start, end in zip(where.starts[:most], where.ends[:most], strict=True)]
    probabilities = model.predict_proba([text, *lacking])
    label, against = np.argsort(-probabilities[0], kind="stable")[:2]
    logs = np.log(np.maximum(probabilities, LEAST))
    odds = logs[:, label] - logs[:, against]
    labels, words = model.labels, _words(where, odds[0] - odds[1:])
    left_out = len(where) - most
    return Explanation(labels[label], labels[against], "occlusion", float(odds[0]), None, words, left_out)


def _words(where: Spans, weights: NDArray[np.float64]) -> tuple[Word, ...]:
    """The first spans, as many as there are weights."""
    found = zip(where.starts.tolist(), where.ends.tolist(), weights.tolist(), strict=False)
    return tuple(Word(start, end, weight) for start, end, weight in found)
