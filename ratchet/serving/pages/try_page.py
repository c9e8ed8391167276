"""The page at /: try a text, see what moved the answer, and correct it. No script; two forms, and what they post.

What is posted leads to an address (303), so that a browser's Back and Reload ask nothing again.
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

ADDRESSES = frozenset({"/", "/correct", "/label"})
"""Whose refusals are pages, too."""
FORM = "application/x-www-form-urlencoded"
FIELDS = 100
"""Of a form, at most."""
LATELY = 10
"""Corrections that are listed."""
Form = TypeVar("Form")


class Attempt(Struct):
    """A text to be tried."""

    text: Annotated[str, Meta(min_length=1)]


class Verdict(Struct):
    """The right label of an answer, as the page's buttons send it."""

    id: predict.Id
    label: Annotated[str, Meta(max_length=1000)]


def routes(service: Service) -> list[Route]:
    seen = RecentAnswers(service)

    async def shown(request: Request) -> Response:
        name, label = (request.query_params.get(each, "") for each in ("id", "thanks"))
        before = await seen.find(name) if name else None
        got = await answer_view.again(service, spoken(request), before) if before else None
        text = (before.text if before else None) or ""
        note = thanks(service, spoken(request), label, before)
        return html.page("page.html", **await frame(service, request), note=note, answer=got, text=text)

    async def tried(request: Request) -> Response:
        form = await read(request, service, Attempt)
        text = form.text.replace("\r\n", "\n")  # browsers send what was typed as one line break as two characters
        requests.check([text], service.settings.limits)
        answer = await service.answer([text], requests.key(request), "page")
        name = seen.put(answer, text)
        if name is not None:
            return moved(request, id=name)
        got = await answer_view.explained(service, spoken(request), answer, text)
        return html.page("page.html", **await frame(service, request), note=[], answer=got, text=text)

    async def either(request: Request) -> Response:
        return await (tried if request.method == "POST" else shown)(request)

    async def corrected(request: Request) -> Response:
        form = await read(request, service, Verdict)
        await predict.take(service, form.id, form.label, USER)
        with suppress(RequestError):  # what was said is on the disk, whether or not it can be shown again
            if (await seen.find(form.id)).text is not None:
                return moved(request, id=form.id, thanks=form.label)
        return moved(request, thanks=form.label)

    return [
        Route("/", either, methods=["GET", "POST"]),
        Route("/correct", corrected, methods=["POST"]),
    ]


def moved(request: Request, path: str = "/", **query: str) -> Response:
    """Where a browser goes on after a form, in the language that was chosen."""
    lang = request.query_params.get("lang", "")
    return RedirectResponse(f"{path}?{urlencode(query | ({'lang': lang} if lang in translations.TABLES else {}))}", 303)


def thanks(service: Service, said: Words, label: str, before: Prediction | None) -> list[str]:
    """What somebody said and what becomes of it, in sentences; none where what the address holds is no label."""
    if service.champion is None or label not in service.champion.numbers:
        return []
    learns = said.learns if service.log.policy.texts != "hash" else said.not_learnt
    return [said.you_said.format(label=label), learns, *([said.change] if before is not None else [])]


def spoken(request: Request) -> Words:
    """The words in the language of the request."""
    return translations.chosen(request.query_params.get("lang", ""), request.headers.get("accept-language", ""))


def kept(request: Request, mark: str = "?") -> str:
    """What an address ends in so that a language that was chosen stays chosen. mark: `?`, or `&` behind others."""
    lang = request.query_params.get("lang", "")
    return f"{mark}lang={lang}" if lang in translations.TABLES else ""


async def read(request: Request, service: Service, form: type[Form]) -> Form:
    """The form that was posted.

    Raises:
        Problem: too large (413), too slow (408), not a form (415, 400), or not this one (422).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise RequestError(415, f"A form is sent as {FORM}. Received: {kind[:100] or 'none'}.")
    raw = await requests.body(request, service.settings.limits)
    try:
        fields = parse_qs(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS)
    except ValueError as error:
        raise RequestError(400, f"A form must be urlencoded UTF-8, of {FIELDS} fields at most. {error}.") from None
    try:
        return msgspec.convert({name: values[0] for name, values in fields.items()}, form)
    except msgspec.ValidationError as error:
        raise RequestError(422, f"{error}.") from None


async def frame(service: Service, request: Request) -> dict[str, Any]:
    """What stands around an answer: who answers, and what was corrected lately."""
    now, said = time.time(), spoken(request)
    try:
        mistakes = await asyncio.to_thread(predictions.mistakes, database.place(service.here), service.problem, LATELY)
    except (Refusal, sqlite3.Error):
        mistakes = None
    return {
        "words": said,
        "kept": kept(request),
        "other": elsewhere(request, said.other),
        "waiting": len(service.waiting.offers()),
        "problem": service.problem,
        "standing": standing(service, said, now),
        "mistakes": mistakes,
        "past": lambda at: translations.past(said, now - at),
        "characters": service.settings.limits.characters,
    }


def elsewhere(request: Request, lang: str) -> str:
    """The address of the same page in another language; without what it said thanks for."""
    query = {name: value for name, value in request.query_params.items() if name in ("id", "after")}
    return f"{request.url.path if request.method == 'GET' else '/'}?{urlencode(query | {'lang': lang})}"


def standing(service: Service, said: Words, now: float) -> list[str]:
    """Which versions answer here, a sentence each; none where nothing is live."""
    champion, challenger, canary = service.champion, service.challenger, service.settings.canary
    if champion is None:
        return []
    facts = champion.bundle.facts
    age = translations.age(said, now - champion.since)
    found = [said.live.format(version=facts.version, model=facts.model, age=age)]
    if challenger is not None and canary.share > 0:
        found.append(said.trial.format(version=challenger.version, share=answer_view.percent(canary.share)))
    elif challenger is not None and canary.shadow:
        found.append(said.watched.format(version=challenger.version))
    return found


def as_page(request: Request, problem: RequestError) -> Response:
    """A refusal as a page."""
    said = spoken(request)
    title = said.refused.get(problem.status, said.refused[422])
    values = {"words": said, "kept": kept(request), "other": elsewhere(request, said.other), "title": title}
    values["detail"] = problem.detail
    return html.page("refusal.html", problem.status, problem.headers, **values)
