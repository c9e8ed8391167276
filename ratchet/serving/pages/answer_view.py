"""An answer as the page shows it: every class, the text cut at the words that moved it, and what gave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models.text.explanation import Explanation
from ratchet.monitoring.log.predictions import Prediction
from ratchet.serving.answering.service import Answer, Service
from ratchet.serving.pages.translations import Words

LIKELIEST = 10
"""Classes that are shown; the others are summed up."""
BUTTONS = 12
"""Classes that get a button each; more of them are a list to choose from."""
NOTHING: dict[str, Any] = {
    "unknown": "", "bars": [], "rest": "", "for": [], "against": [], "other": "", "left_out": "", "by": "",
}  # fmt: skip
"""What is not known any more of an answer whose version has gone."""


async def again(service: Service, said: Words, before: Prediction) -> dict[str, Any]:
    """An answer that was given before as the page shows it, as much of it as can be known now."""
    answer = await service.again(before)
    if answer is not None and before.text is not None:
        return await explained(service, said, answer, before.text)
    labels = service.champion.bundle.labels if service.champion is not None else ()
    return {
        **NOTHING,
        "id": before.id,
        "label": before.label,
        "score": percent(before.score),
        "pieces": [Piece(before.text or said.not_kept)],
        "method": said.only_logged.format(version=before.version),
        "wrong": [label for label in labels if label != before.label],
        "buttons": len(labels) <= BUTTONS,
    }


async def explained(service: Service, said: Words, answer: Answer, text: str) -> dict[str, Any]:
    """An answer as the page shows it, with what moved it."""
    with service.explaining.place():
        return told(said, answer, text, await service.explaining.explain(answer.live.bundle.classifier, text))


def told(said: Words, answer: Answer, text: str, found: Explanation) -> dict[str, Any]:
    """The same, of an explanation."""
    facts, likely = answer.live.bundle.facts, likeliest(answer)
    rest = likely[LIKELIEST:]
    return {
        "id": answer.ids[0],
        "label": answer.labels[0],
        "score": percent(answer.scores[0]),
        "unknown": unknown(said, found),
        "bars": [(label, percent(share), f"{100 * share:.2f}") for label, share in likely[:LIKELIEST]],
        "rest": said.more.format(count=len(rest), share=percent(sum(share for _, share in rest))) if rest else "",
        "pieces": pieces(text, found),
        "for": strongest(text, found, 1),
        "against": strongest(text, found, -1),
        "other": found.against,
        "method": said.exact if found.method == "exact" else said.occlusion,
        "left_out": said.left_out.format(count=found.left_out) if found.left_out else "",
        "by": said.by.format(version=facts.version, problem=facts.problem, model=facts.model),
        "wrong": [label for label, _ in likely[1:]],
        "buttons": len(likely) <= BUTTONS,
    }


def unknown(said: Words, found: Explanation) -> str:
    """A warning where nothing of the text can have moved the answer; empty where something has, or may have."""
    if found.against is None or found.left_out:
        return ""
    if not found.words:
        return said.no_words
    return "" if found.method != "exact" or any(word.weight for word in found.words) else said.no_known_words


def likeliest(answer: Answer) -> list[tuple[str, float]]:
    """Every class with its probability, the answer first."""
    pairs = list(zip(answer.live.bundle.labels, answer.rows[0], strict=True))
    return sorted(pairs, key=lambda pair: (pair[0] != answer.labels[0], -pair[1]))


def percent(share: float) -> str:
    """Never 0 % or 100 % of what is neither."""
    if 0 < share < 0.001:
        return "<0.1%"
    return ">99.9%" if 0.999 < share < 1 else f"{100 * share:.1f}%"


FLOOR = 0.002
"""Nats; a word that moves the log-odds by less is left as it is. Each of many words moves them by little."""
STEPS = (0.75, 0.45, 0.2)
"""Shares of the strongest word's weight from which a word is marked strong, plainly, faintly."""
STRONGEST = 5
"""Words that are named, for and against."""


@dataclass(frozen=True)
class Piece:
    """A part of the text. style: classes of page.css, empty for what moved nothing."""

    text: str
    style: str = ""


def pieces(text: str, explanation: Explanation) -> list[Piece]:
    """The whole text, in order; joined, the pieces give it back."""
    most = max((abs(word.weight) for word in explanation.words), default=0.0)
    found, at = [], 0
    for word in explanation.words:
        style = marked(word.weight, most)
        if style:
            if word.start > at:
                found.append(Piece(text[at : word.start]))
            found.append(Piece(text[word.start : word.end], style))
            at = word.end
    return [*found, Piece(text[at:])] if at < len(text) else found


def marked(weight: float, most: float) -> str:
    """The classes of a word; empty where it moved little. most: the strongest word's weight."""
    if abs(weight) < FLOOR:
        return ""
    strength = next((3 - place for place, share in enumerate(STEPS) if abs(weight) >= share * most), 0)
    return f"w {'for' if weight > 0 else 'against'} s{strength}" if strength else ""


def strongest(text: str, explanation: Explanation, sign: int) -> list[str]:
    """The words that moved it most, each once, strongest first. sign: 1 for the answer, -1 against it."""
    most = max((abs(word.weight) for word in explanation.words), default=0.0)
    moved = [word for word in explanation.words if word.weight * sign > 0 and marked(word.weight, most)]
    moved.sort(key=lambda word: -abs(word.weight))
    named = {text[word.start : word.end].casefold(): text[word.start : word.end] for word in reversed(moved)}
    return list(reversed(named.values()))[:STRONGEST]
