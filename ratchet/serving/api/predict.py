"""Our own routes: /predict and /feedback."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ratchet.monitoring.log.client import Unwritable
from ratchet.serving.answering import requests
from ratchet.serving.answering.requests import RequestError
from ratchet.serving.answering.service import NOTHING_LIVE, Answer, Service, Unready

KEY = (
    "Whom the question is from: while two versions answer (a canary), equal keys are answered by the same one. "
    "Without a key, equal first texts are."
)
Id = Annotated[str, Meta(min_length=1, max_length=64, description="The id that a prediction was given out with.")]


class Question(Struct, forbid_unknown_fields=True):
    """Texts to be classified."""

    texts: Annotated[list[str], Meta(min_length=1, description="One or more texts, in any language.")]
    key: Annotated[str, Meta(max_length=1000, description=KEY)] | None = None


class WordWeight(Struct):
    """What a word adds to the log-odds of the label against the second likeliest; start, end: code points."""

    word: str
    start: int
    end: int
    weight: float


class Explanation(Struct):
    """Which words moved the answer. method: `exact` (the linear model's terms) or `occlusion` (each word left out).

    against: the second likeliest label, null where there is one label alone. log_odds: of the label against it; where
    the method is exact, the sum of the weights and the bias. left_out: words without a weight, as there are too many.
    """

    against: str | None
    method: str
    log_odds: float
    bias: float | None
    words: list[WordWeight]
    left_out: int


class Prediction(Struct, omit_defaults=True):
    """The answer to one text. score: the probability of the label. id: for /feedback."""

    id: str
    label: str
    score: float
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
MOST_EXPLAINED = 100
"""Texts that one request may have explained."""
MOST_CHARACTERS = 200_000
"""Of those texts together: what is told of each word is ten times as long as the word."""


def routes(service: Service) -> list[Route]:
    async def predict(request: Request) -> Response:
        question = requests.read(await requests.body(request, service.settings.limits), QUESTION)
        requests.check(question.texts, service.settings.limits)
        explained = wants_explanation(request, question.texts)
        with service.explaining.place() if explained else nullcontext():
            answer = await service.answer(question.texts, question.key or requests.key(request), "predict")
            told = predictions(answer)
            if explained:
                await add_explanations(service, told, answer, question.texts)
        return requests.as_json(told)

    async def feedback(request: Request) -> Response:
        correction = requests.read(await requests.body(request, service.settings.limits), CORRECTION)
        await take(service, correction.id, correction.label, "user")
        return requests.as_json(Thanks(correction.id, correction.label))

    return [Route("/predict", predict, methods=["POST"]), Route("/feedback", feedback, methods=["POST"])]


def wants_explanation(request: Request, texts: list[str]) -> bool:
    """Whether ?explain=true is asked.

    Raises:
        Problem: it is something else than true or false, or too much is to be explained.
    """
    asked = request.query_params.get("explain", "false") if request.scope["query_string"] else "false"
    if asked not in ("true", "false"):
        raise RequestError(422, f"explain must be true or false. Received: {asked:.40}.")
    if asked == "false":
        return False
    if len(texts) > MOST_EXPLAINED:
        raise RequestError(422, f"A request may have {MOST_EXPLAINED} texts explained. Received: {len(texts):,}.")
    characters = sum(map(len, texts))
    if characters > MOST_CHARACTERS:
        raise RequestError(
            422, f"A request may have {MOST_CHARACTERS:,} characters explained. Received: {characters:,}."
        )
    return True


def predictions(answer: Answer) -> Predictions:
    names, facts = answer.live.bundle.labels, answer.live.bundle.facts
    rows = zip(answer.ids, answer.labels, answer.scores, answer.rows, strict=True)
    told = [Prediction(name, label, score, dict(zip(names, row, strict=True))) for name, label, score, row in rows]
    return Predictions(facts.problem, str(facts.version), told)


async def add_explanations(service: Service, told: Predictions, answer: Answer, texts: list[str]) -> None:
    """Explain each answer by the version that gave it."""
    for prediction, text in zip(told.predictions, texts, strict=True):
        found = await service.explaining.explain(answer.live.bundle.classifier, text, len(texts))
        words = [WordWeight(text[word.start : word.end], word.start, word.end, word.weight) for word in found.words]
        prediction.explanation = Explanation(
            found.against, found.method, found.log_odds, found.bias, words, found.left_out
        )


async def take(service: Service, prediction: str, label: str, source: str, chance: float | None = None) -> None:
    """Have feedback on the disk. chance: with which it was chosen to be asked, where it was.

    Raises:
        Unready: nobody can say which labels there are.
        Problem: unknown id (404), unknown label (422), or the disk does not take it (503).
    """
    if service.champion is None:
        raise Unready(NOTHING_LIVE)
    known = service.champion.numbers
    try:
        found = await service.log.say(prediction, label, source, label in known, time.time(), chance)
    except Unwritable:
        raise RequestError(503, "The feedback could not be written; it was not taken. Send it again.", 1) from None
    if not found:
        raise RequestError(404, f"No prediction has the id {prediction:.64}.")
    if label not in known:
        names = ", ".join(list(known)[:20])
        raise RequestError(422, f"A label must be one of: {names}. Received: {label:.100}.")
    service.waiting.labelled(prediction, source)
    service.meters.feedback.inc()


def problem_details(error: Any) -> Response:
    return requests.as_details(error)
