"""The page at /: try an input, see which words moved the answer, and correct it. No script, two forms.

A form leads to an address (303), so that a browser's Back and Reload send nothing again.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import suppress
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qs, urlencode

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ratchet.data.prepare.label_sources import USER
from ratchet.monitoring.log import database, predictions
from ratchet.monitoring.log.predictions import Prediction
from ratchet.project.errors import Refusal
from ratchet.serving.answering import requests
from ratchet.serving.answering.requests import RequestError
from ratchet.serving.answering.service import Service
from ratchet.serving.api import predict
from ratchet.serving.pages import answer_view, html, translations
from ratchet.serving.pages.recent_answers import RecentAnswers
from ratchet.serving.pages.translations import Words
from ratchet.tasks.bodies import Id

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 100
"""Fields of a form."""
MAX_CORRECTIONS = 10
"""Corrections that are listed."""
Form = TypeVar("Form")


class Attempt(Struct):
    """An input to be tried."""

    text: Annotated[str, Meta(min_length=1)]


class Verdict(Struct):
    """The right label of an answer, as the page's buttons send it."""

    id: Id
    label: Annotated[str, Meta(max_length=1000)]


def routes(service: Service) -> list[Route]:
    translations.tables(service.task.unit)  # a damaged file of words must fail at the start, not at the first page
    recent = RecentAnswers(service)

    async def show(request: Request) -> Response:
        words = words_for(request, service)
        prediction_id = request.query_params.get("id", "")
        prediction = await recent.find(prediction_id) if prediction_id else None
        answer = await answer_view.view_logged(service, words, prediction) if prediction else None
        note = thanks(service, words, request.query_params.get("thanks", ""), prediction)
        text = (prediction.text if prediction else None) or ""
        return html.page("page.html", **await frame_values(service, request), note=note, answer=answer, text=text)

    async def try_text(request: Request) -> Response:
        form = await read_form(request, service, Attempt)
        text = form.text.replace("\r\n", "\n")  # browsers send a typed line break as two characters
        try:
            text = service.task.answers.read_value(text)
        except ValueError as error:
            raise RequestError(422, str(error)) from None
        requests.check_inputs([text], service.settings.limits, service.task.unit)
        answer = await service.answer([text], requests.canary_key(request), "page")
        prediction_id = recent.put(answer, text)
        if prediction_id is not None:
            return redirect(request, id=prediction_id)
        view = await answer_view.view_explained(service, words_for(request, service), answer, text)
        return html.page("page.html", **await frame_values(service, request), note=[], answer=view, text=text)

    async def page(request: Request) -> Response:
        return await (try_text if request.method == "POST" else show)(request)

    async def correct(request: Request) -> Response:
        predict.check_takes_feedback(service)
        form = await read_form(request, service, Verdict)
        label = await predict.record_feedback(service, form.id, form.label, USER)
        with suppress(RequestError):  # the feedback is on the disk, even if the answer cannot be shown again
            if (await recent.find(form.id)).text is not None:
                return redirect(request, id=form.id, thanks=label)
        return redirect(request, thanks=label)

    return [
        Route("/", page, methods=["GET", "POST"]),
        Route("/correct", correct, methods=["POST"]),
    ]


def redirect(request: Request, path: str = "/", **query: str) -> Response:
    """Send the browser to an address after a form, in the language chosen on the page."""
    language = request.query_params.get("lang", "")
    if language in translations.LANGUAGES:
        query["lang"] = language
    return RedirectResponse(f"{path}?{urlencode(query)}", 303)


def thanks(service: Service, words: Words, label: str, prediction: Prediction | None) -> list[str]:
    """Sentences that thank for a label and say what becomes of it; none where the address holds no valid label."""
    if service.champion is None:
        return []
    try:
        label = service.task.wire.read_label(label, service.champion.bundle.labels)
    except ValueError:
        return []
    sentences = [words.you_said.format(label=label)]
    sentences.append(words.is_learnt if service.log.policy.texts != "hash" else words.is_not_learnt)
    if prediction is not None:
        sentences.append(words.correct_slip)
    return sentences


def words_for(request: Request, service: Service) -> Words:
    """The words in the language of a request, for inputs of the service's kind of problem."""
    language = request.query_params.get("lang", "")
    return translations.choose(language, request.headers.get("accept-language", ""), service.task.unit)


def language_query(request: Request, separator: str = "?") -> str:
    """The end of an address that keeps the language chosen on the page; empty without a choice.

    Args:
        request: with the choice.
        separator: `?`, or `&` behind other parameters.
    """
    language = request.query_params.get("lang", "")
    return f"{separator}lang={language}" if language in translations.LANGUAGES else ""


def other_language_url(request: Request, language: str) -> str:
    """The address of the same page in another language, without its thanks."""
    query = {name: value for name, value in request.query_params.items() if name in ("id", "after")}
    return f"{request.url.path if request.method == 'GET' else '/'}?{urlencode(query | {'lang': language})}"


async def read_form(request: Request, service: Service, form: type[Form]) -> Form:
    """Read a posted form.

    Raises:
        RequestError: too large (413), too slow (408), not a form (415, 400), or not this one (422).
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != FORM:
        raise RequestError(415, f"A form is sent as {FORM}. Received: {media[:100] or 'none'}.")
    raw = await requests.read_body(request, service.settings.limits, service.task.unit)
    try:
        fields = parse_qs(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise RequestError(400, f"A form must be urlencoded UTF-8, of {MAX_FIELDS} fields at most. {error}.") from None
    try:
        return msgspec.convert({name: values[0] for name, values in fields.items()}, form)
    except msgspec.ValidationError as error:
        raise RequestError(422, f"{error}.") from None


async def frame_values(service: Service, request: Request) -> dict[str, Any]:
    """The values of page.html besides the answer: the live versions and the latest corrections."""
    now = time.time()
    words = words_for(request, service)
    log = database.place(service.here)
    try:
        mistakes = await asyncio.to_thread(predictions.mistakes, log, service.problem, MAX_CORRECTIONS)
    except (Refusal, sqlite3.Error):
        mistakes = None
    return {
        "words": words,
        "language_query": language_query(request),
        "other_language_url": other_language_url(request, words.other_language),
        "takes_feedback": service.task.can("feedback"),
        "waiting": len(service.label_offers.waiting()) if service.task.can("feedback") else 0,
        "problem": service.problem,
        "versions": live_versions(service, words, now),
        "mistakes": mistakes,
        "time_ago": lambda at: translations.time_ago(words, now - at),
        "characters": service.settings.limits.characters,
    }


def live_versions(service: Service, words: Words, now: float) -> list[str]:
    """A sentence about each version that answers; none where nothing is live.

    Args:
        service: with the versions.
        words: of the page's language.
        now: seconds since 1970.
    """
    champion = service.champion
    challenger = service.challenger
    canary = service.settings.canary
    if champion is None:
        return []
    facts = champion.bundle.facts
    age = translations.age(words, now - champion.since)
    sentences = [words.live_version.format(version=facts.version, model=facts.model, age=age)]
    if challenger is not None and canary.share > 0:
        share = answer_view.percent(canary.share)
        sentences.append(words.canary_version.format(version=challenger.version, share=share))
    elif challenger is not None and canary.shadow:
        sentences.append(words.shadow_version.format(version=challenger.version))
    return sentences


def error_page(service: Service, request: Request, error: RequestError) -> Response:
    """An error as a page."""
    words = words_for(request, service)
    return html.page(
        "refusal.html",
        error.status,
        error.headers,
        words=words,
        takes_feedback=service.task.can("feedback"),
        language_query=language_query(request),
        other_language_url=other_language_url(request, words.other_language),
        title=words.error_titles.get(error.status, words.error_titles[422]),
        detail=error.detail,
    )
