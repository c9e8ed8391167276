"""Our own routes: /predict and /feedback. Their bodies are those of the kind of problem (ratchet/tasks)."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ratchet.monitoring.log.client import Unwritable
from ratchet.serving.answering import requests
from ratchet.serving.answering.requests import RequestError
from ratchet.serving.answering.service import NOTHING_LIVE, Answer, NotReady, Service
from ratchet.tasks import Task


class Predictions(Struct):
    """The answers, in the order of the inputs, all by one version."""

    model: str
    version: str
    predictions: list[Any]


class Thanks(Struct):
    """The feedback is on the disk."""

    id: str
    label: str


MAX_EXPLAINED_TEXTS = 100
"""Texts that one request may have explained."""
MAX_EXPLAINED_CHARACTERS = 200_000
"""Characters of those texts together; the explanation of a word is ten times as long as the word."""


def routes(service: Service) -> list[Route]:
    wire, unit = service.task.wire, service.task.unit
    questions: msgspec.json.Decoder[Any] = msgspec.json.Decoder(wire.Question)
    corrections: msgspec.json.Decoder[Any] = msgspec.json.Decoder(wire.Correction)

    async def predict(request: Request) -> Response:
        raw = await requests.read_body(request, service.settings.limits, unit)
        question = requests.decode(raw, questions)
        try:
            inputs = wire.read_question(question)
        except ValueError as error:
            raise RequestError(422, str(error)) from None
        if not inputs:
            raise RequestError(422, f"A request must ask about one {unit} at least. Received: none.")
        requests.check_inputs(inputs, service.settings.limits, unit)
        is_explained = wants_explanation(request, inputs, service.task)
        with service.explanations.slot() if is_explained else nullcontext():
            answer = await service.answer(inputs, question.key or requests.canary_key(request), "predict")
            predictions = predictions_of(answer, service.task)
            if is_explained:
                await add_explanations(service, predictions, answer, inputs)
        return requests.json_response(predictions)

    async def feedback(request: Request) -> Response:
        check_takes_feedback(service)
        raw = await requests.read_body(request, service.settings.limits, unit)
        correction = requests.decode(raw, corrections)
        label = await record_feedback(service, correction.id, correction.label, "user")
        return requests.json_response(Thanks(correction.id, label))

    return [Route("/predict", predict, methods=["POST"]), Route("/feedback", feedback, methods=["POST"])]


def check_takes_feedback(service: Service) -> None:
    """Check that answers of this kind of problem may be corrected.

    Raises:
        RequestError: they may not (404).
    """
    if not service.task.can("feedback"):
        raise RequestError(404, f"{service.problem} takes no feedback: its kind of problem does not learn from any.")


def wants_explanation(request: Request, inputs: list[str], task: Task) -> bool:
    """Whether the query has explain=true.

    Raises:
        RequestError: it is neither true nor false, no answer of this kind is explained, or the texts are too many or
            too long to be explained (422).
    """
    explain = request.query_params.get("explain", "false") if request.scope["query_string"] else "false"
    if explain not in ("true", "false"):
        raise RequestError(422, f"explain must be true or false. Received: {explain:.40}.")
    if explain == "false":
        return False
    if not task.can("explanation"):
        raise RequestError(422, "explain must be false: answers of this kind of problem are not explained.")
    if len(inputs) > MAX_EXPLAINED_TEXTS:
        raise RequestError(
            422, f"A request may have {MAX_EXPLAINED_TEXTS} {task.unit}s explained. Received: {len(inputs):,}."
        )
    characters = sum(map(len, inputs))
    if characters > MAX_EXPLAINED_CHARACTERS:
        raise RequestError(
            422, f"A request may have {MAX_EXPLAINED_CHARACTERS:,} characters explained. Received: {characters:,}."
        )
    return True


def predictions_of(answer: Answer, task: Task) -> Predictions:
    """The body of an answer."""
    facts = answer.live.bundle.facts
    labels = answer.live.bundle.labels
    prediction = task.wire.prediction
    rows = zip(answer.ids, answer.labels, answer.scores, answer.rows, strict=True)
    return Predictions(
        facts.problem,
        str(facts.version),
        [prediction(name, label, score, row, labels) for name, label, score, row in rows],
    )


async def add_explanations(service: Service, predictions: Predictions, answer: Answer, texts: list[str]) -> None:
    """Explain each prediction by the version that made it."""
    for prediction, text in zip(predictions.predictions, texts, strict=True):
        explanation = await service.explanations.explain(answer.live.bundle.model, text, len(texts))
        service.task.wire.explain(prediction, text, explanation)


async def record_feedback(
    service: Service, prediction: str, value: Any, source: str, chance: float | None = None
) -> str:
    """Write a label to the log; it is on the disk when this returns.

    Args:
        service: of the prediction.
        prediction: its id.
        value: the right label, as it was sent.
        source: `user`, `audit` or `chosen`.
        chance: probability with which active learning chose the input; None where it did not.

    Returns:
        The label as it is stored.

    Raises:
        NotReady: no version is live, so the labels are not known.
        RequestError: unknown id (404), unknown label (422), or the log cannot be written (503).
    """
    if service.champion is None:
        raise NotReady(NOTHING_LIVE)
    label, fault = str(value), ""
    try:
        label = service.task.wire.read_label(value, service.champion.bundle.labels)
    except ValueError as error:
        fault = str(error)
    try:
        exists = await service.log.say(prediction, label, source, not fault, time.time(), chance)
    except Unwritable:
        raise RequestError(503, "The feedback could not be written; it was not taken. Send it again.", 1) from None
    if not exists:
        raise RequestError(404, f"No prediction has the id {prediction:.64}.")
    if fault:
        raise RequestError(422, fault)
    service.label_offers.close_labelled(prediction, source)
    service.metrics.feedback.inc()
    return label
