"""Explain a model's answer: which words of the text moved it, and by how much.

A fitted model and a text enter; an `Explanation` leaves. A word's weight is in log-odds (nats) of the model's answer
against the second likeliest class: a positive weight speaks for the answer, a negative one against it.

    exact       for a linear model, which gives what each word adds (models/text/word_weights.py): the weights and the
                bias sum to the log-odds
    occlusion   for any other model: the weight of a word is what the log-odds lose without it (Zeiler and Fergus 2014;
                Li, Monroe and Jurafsky 2016); the weights need not sum to anything
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
"""Most words of a text that are left out in turn; the words after them get no weight."""

MOST_PASSES = 2_000
"""Most words left out in turn of all texts that are explained together; many texts have fewer words each."""

MOST_CHARACTERS = 2_000_000
"""Most characters read for occlusion, of all texts that are explained together; of long texts fewer words are left out
in turn."""

LEAST = 1e-12
"""Least probability; a lower one counts as this, so that log-odds are finite."""


class TextModel(Protocol):
    """Any fitted model of texts to classes (models/contract.py)."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    def predict(self, texts: Sequence[str], /) -> NDArray[np.float64]: ...


@runtime_checkable
class LinearModel(Protocol):
    """A fitted model that also gives exactly what each word adds."""

    def evidence(self, text: str) -> Evidence: ...


@dataclass(frozen=True)
class Word:
    """A word, text[start:end] in code points, and what it adds to the log-odds of the answer."""

    start: int
    end: int
    weight: float


@dataclass(frozen=True)
class Explanation:
    """Why a model answers `label` and not `against`.

    Attributes:
        label: the answer.
        against: the second likeliest class; None where there is no other class.
        method: how the weights were computed.
        log_odds: of `label` against `against`, for the whole text.
        bias: the log-odds without any word; None for occlusion.
        words: in the order of the text, not overlapping.
        left_out: words without a weight, because the text has too many.
    """

    label: str
    against: str | None
    method: Literal["exact", "occlusion"]
    log_odds: float
    bias: float | None
    words: tuple[Word, ...]
    left_out: int


def explain(model: TextModel, text: str, together: int = 1) -> Explanation:
    """Explain the model's answer, exactly for a linear model and otherwise by occlusion.

    Args:
        together: number of texts that are explained together and share MOST_PASSES and MOST_CHARACTERS.
    """
    if len(model.labels) == 1:  # the answer does not depend on the text
        return Explanation(model.labels[0], None, "occlusion", 0.0, None, (), 0)
    return (
        _explain_exactly(model, model.labels, text)
        if isinstance(model, LinearModel)
        else _occlude(model, text, together)
    )


def without(text: str, start: int, end: int) -> str:
    """The text with a space in place of a word: spaces have no weight, and keep the neighbours apart."""
    return f"{text[:start]} {text[end:]}"


def _explain_exactly(model: LinearModel, labels: Sequence[str], text: str) -> Explanation:
    """The exact explanation, from the model's own evidence."""
    evidence = model.evidence(text)
    places = spans(text)
    weights = np.bincount(places.of, evidence.words, len(places)).astype(np.float64)
    odds = float(evidence.words.sum() + evidence.bias)
    words = _words(places, weights)
    return Explanation(labels[evidence.label], labels[evidence.against], "exact", odds, evidence.bias, words, 0)


def _occlude(model: TextModel, text: str, together: int) -> Explanation:
    """The explanation by occlusion of the first words."""
    places = spans(text)
    most = min(len(places), MOST_WORDS, MOST_PASSES // together, MOST_CHARACTERS // (together * (len(text) + 1)))
    occluded = [without(text, start, end) for start, end in zip(places.starts[:most], places.ends[:most], strict=True)]
    probabilities = model.predict([text, *occluded])
    label, against = np.argsort(-probabilities[0], kind="stable")[:2]
    logs = np.log(np.maximum(probabilities, LEAST))
    odds = logs[:, label] - logs[:, against]
    labels = model.labels
    words = _words(places, odds[0] - odds[1:])
    left_out = len(places) - most
    return Explanation(labels[label], labels[against], "occlusion", float(odds[0]), None, words, left_out)


def _words(places: Spans, weights: NDArray[np.float64]) -> tuple[Word, ...]:
    """The first spans with their weights, as many as there are weights."""
    words = zip(places.starts.tolist(), places.ends.tolist(), weights.tolist(), strict=False)
    return tuple(Word(start, end, weight) for start, end, weight in words)
