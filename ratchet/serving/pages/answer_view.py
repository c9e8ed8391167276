"""The view model of an answer: the classes, the input with its important words marked, and the version.

An answer and its explanation enter; the values of the template page.html leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.text.explanation import Explanation
from ratchet.monitoring.log.predictions import Prediction
from ratchet.serving.answering.service import Answer, Service
from ratchet.serving.pages.translations import Words
from ratchet.tasks import Task
from ratchet.tasks.values import Labels

MAX_BARS = 10
"""Classes that are shown; the others are summed up."""
MAX_BUTTONS = 12
"""Classes up to which each has a button; more of them are a list to choose from."""
UNKNOWN: dict[str, Any] = {
    "warning": "", "bars": [], "other_classes": "", "for": [], "against": [], "second_label": "", "left_out": "",
    "answered_by": "", "is_explained": False,
}  # fmt: skip
"""The values that cannot be known for an answer whose version has gone."""
MIN_WEIGHT = 0.002
"""Nats; a word that moves the log-odds by less is not marked. In a long text each word moves them by little."""
STRENGTHS = (0.75, 0.45, 0.2)
"""Shares of the strongest word's weight from which a word is marked as strength 3, 2 and 1."""
MAX_NAMED = 5
"""Words that are listed for the answer, and against it."""


@dataclass(frozen=True)
class Piece:
    """A part of the text.

    Attributes:
        text: of the part.
        style: classes of page.css; empty for a part that is not marked.
    """

    text: str
    style: str = ""


async def view_logged(service: Service, words: Words, prediction: Prediction) -> dict[str, Any]:
    """The view of a logged prediction, with an explanation where its version still answers."""
    answer = await service.answer_again(prediction)
    if answer is not None and prediction.text is not None:
        return await view_explained(service, words, answer, prediction.text)
    labels = service.champion.bundle.labels if service.champion is not None else ()
    return {
        **UNKNOWN,
        **correction(service.task, prediction.label, labels),
        "id": prediction.id,
        "label": prediction.label,
        "score": percent(prediction.score) if service.task.can("confidence") else "",
        "pieces": [Piece(prediction.text or words.not_kept)],
        "method": words.only_logged.format(version=prediction.version),
    }


async def view_explained(service: Service, words: Words, answer: Answer, text: str) -> dict[str, Any]:
    """The view of an answer, with an explanation where the kind of problem has one.

    Raises:
        RequestError: too many requests have answers explained (503).
    """
    if not service.task.can("explanation"):
        return view(service.task, words, answer, text)
    with service.explanations.slot():
        explanation = await service.explanations.explain(answer.live.bundle.model, text)
    return view(service.task, words, answer, text) | explanation_view(words, text, explanation)


def view(task: Task, words: Words, answer: Answer, text: str) -> dict[str, Any]:
    """The view of an answer without an explanation."""
    facts = answer.live.bundle.facts
    labels = answer.live.bundle.labels
    classes = ranked_classes(answer) if task.can("confidence") else []
    rest = classes[MAX_BARS:]
    rest_share = percent(sum(share for _, share in rest))
    return {
        **UNKNOWN,
        **correction(task, answer.labels[0], labels, [label for label, _ in classes]),
        "id": answer.ids[0],
        "label": answer.labels[0],
        "score": percent(answer.scores[0]) if task.can("confidence") else "",
        "bars": [(label, percent(share), f"{100 * share:.2f}") for label, share in classes[:MAX_BARS]],
        "other_classes": words.other_classes.format(count=len(rest), share=rest_share) if rest else "",
        "pieces": [Piece(text)] if text else [],
        "method": "",
        "answered_by": words.answered_by.format(version=facts.version, problem=facts.problem, model=facts.model),
    }


def correction(task: Task, label: str, labels: Labels, ranked: Sequence[str] = ()) -> dict[str, Any]:
    """How a person says what is right instead: by a button, in a list, or by typing it.

    Args:
        task: the kind of problem.
        label: the answer.
        labels: of the model's outputs; empty where nothing is live.
        ranked: the order in which the choices stand, likeliest first.
    """
    choices = task.wire.choices(labels)
    places = {choice: place for place, choice in enumerate(ranked)}
    return {
        "is_typed": bool(labels) and not choices,
        "has_buttons": len(choices) <= MAX_BUTTONS,
        "other_labels": sorted(
            (choice for choice in choices if choice != label), key=lambda choice: places.get(choice, len(places))
        ),
    }


def explanation_view(words: Words, text: str, explanation: Explanation) -> dict[str, Any]:
    """The values of an explanation."""
    left_out = explanation.left_out
    return {
        "is_explained": True,
        "warning": warning(words, explanation),
        "pieces": pieces(text, explanation),
        "for": strongest_words(text, explanation, 1),
        "against": strongest_words(text, explanation, -1),
        "second_label": explanation.against,
        "method": words.exact_method if explanation.method == "exact" else words.occlusion_method,
        "left_out": words.left_out.format(count=left_out) if left_out else "",
    }


def warning(words: Words, explanation: Explanation) -> str:
    """A warning where no word can have moved the answer; empty where a word has, or may have."""
    if explanation.against is None or explanation.left_out:
        return ""
    if not explanation.words:
        return words.no_words
    is_known = explanation.method != "exact" or any(word.weight for word in explanation.words)
    return "" if is_known else words.no_known_words


def ranked_classes(answer: Answer) -> list[tuple[str, float]]:
    """Every class with its probability: the answer's first, the others by probability."""
    classes = list(zip(answer.live.bundle.labels, answer.rows[0], strict=True))
    return sorted(classes, key=lambda pair: (pair[0] != answer.labels[0], -pair[1]))


def percent(share: float) -> str:
    """A share in percent; one that is neither 0 nor 1 is never shown as 0 % or 100 %."""
    if 0 < share < 0.001:
        return "<0.1%"
    return ">99.9%" if 0.999 < share < 1 else f"{100 * share:.1f}%"


def pieces(text: str, explanation: Explanation) -> list[Piece]:
    """Cut a text at its marked words. The pieces in order give the whole text."""
    max_weight = strongest_weight(explanation)
    cut: list[Piece] = []
    start = 0
    for word in explanation.words:
        style = style_of(word.weight, max_weight)
        if style:
            if word.start > start:
                cut.append(Piece(text[start : word.start]))
            cut.append(Piece(text[word.start : word.end], style))
            start = word.end
    return [*cut, Piece(text[start:])] if start < len(text) else cut


def strongest_weight(explanation: Explanation) -> float:
    return max((abs(word.weight) for word in explanation.words), default=0.0)


def style_of(weight: float, max_weight: float) -> str:
    """The classes of a word in page.css; empty where it moved little in comparison with the strongest word."""
    if abs(weight) < MIN_WEIGHT:
        return ""
    strength = next((3 - place for place, share in enumerate(STRENGTHS) if abs(weight) >= share * max_weight), 0)
    return f"w {'for' if weight > 0 else 'against'} s{strength}" if strength else ""


def strongest_words(text: str, explanation: Explanation, sign: int) -> list[str]:
    """The marked words on one side, strongest first, without repetitions in other case.

    Args:
        text: that was explained.
        explanation: with the words' weights.
        sign: 1 for the answer, -1 against it.
    """
    max_weight = strongest_weight(explanation)
    marked = [word for word in explanation.words if word.weight * sign > 0 and style_of(word.weight, max_weight)]
    marked.sort(key=lambda word: -abs(word.weight))
    spellings = {text[word.start : word.end].casefold(): text[word.start : word.end] for word in reversed(marked)}
    return list(reversed(spellings.values()))[:MAX_NAMED]
