"""Our own routes: /predict and /feedback."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ratchet.monitoring.log.client import Unwritable
from ratchet.serving.answering import requests
from ratchet.serving.answering.requests import RequestError
from ratchet.serving.answering.service import NOTHING_LIVE, Answer, NotReady, Service

KEY_DESCRIPTION = (
    "Identifies the caller: while two versions answer (a canary), equal keys are answered by the same one. "
    "Without a key, equal first texts are."
)
Id = Annotated[str, Meta(min_length=1, max_length=64, description="The id of a prediction.")]


class Question(Struct, forbid_unknown_fields=True):
    """Texts to be classified."""

    texts: Annotated[list[str], Meta(min_length=1, description="One or more texts, in any language.")]
    key: Annotated[str, Meta(max_length=1000, description=KEY_DESCRIPTION)] | None = None


class WordWeight(Struct):
    """What a word adds to the log-odds of the label against the second likeliest."""

    word: str
    start: Annotated[int, Meta(description="Position of the word's first code point in the text.")]
    end: Annotated[int, Meta(description="Position after the word's last code point.")]
    weight: float


class Explanation(Struct):
    """Which words moved the answer."""

    against: Annotated[str | None, Meta(description="The second likeliest label; null where there is only one label.")]
    method: Annotated[
        str, Meta(description="`exact` (the linear model's terms) or `occlusion` (each word left out in turn).")
    ]
    log_odds: Annotated[
        float,
        Meta(description="Of the label against `against`. An exact one is the sum of the weights and the bias."),
    ]
    bias: float | None
    words: list[WordWeight]
    left_out: Annotated[int, Meta(description="Words without a weight, because the text has too many.")]


class Prediction(Struct, omit_defaults=True):
    """The answer to one text."""

    id: Annotated[str, Meta(description="For /feedback.")]
    label: str
    score: Annotated[float, Meta(description="The probability of the label.")]
    probabilities: dict[str, float]
    explanation: Explanation | None = None


class Predictions(Struct):
    """The answers, in the order of the texts, all by one version."""

    model: str
    version: str
    predictions: list[Prediction]


class Correction(Struct, forbid_unknown_fields=True):
    """The right label of a text that was predicted earlier."""

    id: Id
    label: Annotated[str, Meta(max_length=1000)]


class Thanks(Struct):
    """The feedback is on the disk."""

    id: str
    label: str


QUESTION = msgspec.json.Decoder(Question)
CORRECTION = msgspec.json.Decoder(Correction)
MAX_EXPLAINED_TEXTS = 100
"""Texts that one request may have explained."""
MAX_EXPLAINED_CHARACTERS = 200_000
"""Characters of those texts together; the explanation of a word is ten times as long as the word."""


def routes(service: Service) -> list[Route]:
    async def predict(request: Request) -> Response:
        raw = await requests.read_body(request, service.settings.limits)
        question = requests.decode(raw, QUESTION)
        requests.check_texts(question.texts, service.settings.limits)
        is_explained = wants_explanation(request, question.texts)
        with service.explanations.slot() if is_explained else nullcontext():
            answer = await service.answer(question.texts, question.key or requests.canary_key(request), "predict")
            predictions = predictions_of(answer)
            if is_explained:
                await add_explanations(service, predictions, answer, question.texts)
        return requests.json_response(predictions)

    async def feedback(request: Request) -> Response:
        raw = await requests.read_body(request, service.settings.limits)
        correction = requests.decode(raw, CORRECTION)
        await record_feedback(service, correction.id, correction.label, "user")
        return requests.json_response(Thanks(correction.id, correction.label))

    return [Route("/predict", predict, methods=["POST"]), Route("/feedback", feedback, methods=["POST"])]


def wants_explanation(request: Request, texts: list[str]) -> bool:
    """Whether the query has explain=true.

    Raises:
        RequestError: it is neither true nor false, or the texts are too many or too long to be explained (422).
    """
    explain = request.query_params.get("explain", "false") if request.scope["query_string"] else "false"
    if explain not in ("true", "false"):
        raise RequestError(422, f"explain must be true or false. Received: {explain:.40}.")
    if explain == "false":
        return False
    if len(texts) > MAX_EXPLAINED_TEXTS:
        raise RequestError(422, f"A request may have {MAX_EXPLAINED_TEXTS} texts explained. Received: {len(texts):,}.")
    characters = sum(map(len, texts))
    if characters > MAX_EXPLAINED_CHARACTERS:
        raise RequestError(
            422, f"A request may have {MAX_EXPLAINED_CHARACTERS:,} characters explained. Received: {characters:,}."
        )
    return True


def predictions_of(answer: Answer) -> Predictions:
    """The body of an answer."""
    facts = answer.live.bundle.facts
    names = answer.live.bundle.labels
    texts = zip(answer.ids, answer.labels, answer.scores, answer.rows, strict=True)
    predictions = [
        Prediction(prediction, label, score, dict(zip(names, row, strict=True)))
        for prediction, label, score, row in texts
    ]
    return Predictions(facts.problem, str(facts.version), predictions)


async def add_explanations(service: Service, predictions: Predictions, answer: Answer, texts: list[str]) -> None:
    """Explain each prediction by the version that made it."""
    for prediction, text in zip(predictions.predictions, texts, strict=True):
        explanation = await service.explanations.explain(answer.live.bundle.classifier, text, len(texts))
        prediction.explanation = Explanation(
            explanation.against,
            explanation.method,
            explanation.log_odds,
            explanation.bias,
            [WordWeight(text[word.start : word.end], word.start, word.end, word.weight) for word in explanation.words],
            explanation.left_out,
        )


async def record_feedback(
    service: Service, prediction: str, label: str, source: str, chance: float | None = None
) -> None:
    """Write a label to the log; it is on the disk when this returns.

    Args:
        service: of the prediction.
        prediction: its id.
        label: the right one.
        source: `user`, `audit` or `chosen`.
        chance: probability with which active learning chose the text; None where it did not.

    Raises:
        NotReady: no version is live, so the labels are not known.
        RequestError: unknown id (404), unknown label (422), or the log cannot be written (503).
    """
    if service.champion is None:
        raise NotReady(NOTHING_LIVE)
    labels = service.champion.columns
    try:
        exists = await service.log.say(prediction, label, source, label in labels, time.time(), chance)
    except Unwritable:
        raise RequestError(503, "The feedback could not be written; it was not taken. Send it again.", 1) from None
    if not exists:
        raise RequestError(404, f"No prediction has the id {prediction:.64}.")
    if label not in labels:
        names = ", ".join(list(labels)[:20])
        raise RequestError(422, f"A label must be one of: {names}. Received: {label:.100}.")
    service.label_offers.close_labelled(prediction, source)
    service.metrics.feedback.inc()
