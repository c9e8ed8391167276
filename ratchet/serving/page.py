"""The page at /: try a text, see what moved the answer, and correct it. No script; two forms, and what they post."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ratchet import predictions
from ratchet.refusal import Refusal
from ratchet.serving import html, intake, marking, own, words
from ratchet.serving.intake import Problem
from ratchet.serving.service import Answer, Service
from ratchet.serving.words import Words
from ratchet.steps.explain import Explanation, explain

ADDRESSES = frozenset({"/", "/correct"})
"""Whose refusals are pages, too."""
FORM = "application/x-www-form-urlencoded"
FIELDS = 100
"""Of a form, at most."""
LIKELIEST = 10
"""Classes that are shown; the others are summed up."""
BUTTONS = 12
"""Classes that get a button each; more of them are a list to choose from."""
THANKS = "taken"
"""In the address that a verdict leads to; nothing of the text is."""
LATELY = 10
"""Corrections that are listed."""
Form = TypeVar("Form")


class Attempt(Struct):
    """A text to be tried."""

    text: Annotated[str, Meta(min_length=1)]


class Verdict(Struct):
    """The right label of an answer, as the page's buttons send it."""

    id: own.Id
    label: Annotated[str, Meta(max_length=1000)]


def routes(service: Service) -> list[Route]:
    async def shown(request: Request) -> Response:
        note = spoken(request).thanks if request.query_params.get("thanks") == THANKS else ""
        return html.page("page.html", **await frame(service, request), note=note, answer=None, text="")

    async def tried(request: Request) -> Response:
        form = await read(request, service, Attempt)
        text = form.text.replace("\r\n", "\n")  # browsers send what was typed as one line break as two characters
        intake.check([text], service.settings.limits)
        answer = await service.answer([text], intake.key(request), "page")
        found = await asyncio.to_thread(explain, answer.live.bundle.classifier, text)
        got = told(spoken(request), answer, text, found)
        return html.page("page.html", **await frame(service, request), note="", answer=got, text=text)

    async def either(request: Request) -> Response:
        return await (tried if request.method == "POST" else shown)(request)

    async def corrected(request: Request) -> Response:
        form = await read(request, service, Verdict)
        await own.take(service, form.id, form.label, "user")
        return RedirectResponse(f"/?thanks={THANKS}{kept(request, '&')}", 303)

    return [
        Route("/", either, methods=["GET", "POST"]),
        Route("/correct", corrected, methods=["POST"]),
    ]


def spoken(request: Request) -> Words:
    """The words in the language of the request."""
    return words.chosen(request.query_params.get("lang", ""), request.headers.get("accept-language", ""))


def kept(request: Request, mark: str = "?") -> str:
    """What an address ends in so that a language that was chosen stays chosen. mark: `?`, or `&` behind others."""
    lang = request.query_params.get("lang", "")
    return f"{mark}lang={lang}" if lang in words.TABLES else ""


async def read(request: Request, service: Service, form: type[Form]) -> Form:
    """The form that was posted.

    Raises:
        Problem: too large (413), too slow (408), not a form (415, 400), or not this one (422).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise Problem(415, f"A form is sent as {FORM}. Received: {kind[:100] or 'none'}.")
    raw = await intake.body(request, service.settings.limits)
    try:
        fields = parse_qs(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS)
    except ValueError as error:
        raise Problem(400, f"A form must be urlencoded UTF-8, of {FIELDS} fields at most. {error}.") from None
    try:
        return msgspec.convert({name: values[0] for name, values in fields.items()}, form)
    except msgspec.ValidationError as error:
        raise Problem(422, f"{error}.") from None


async def frame(service: Service, request: Request) -> dict[str, Any]:
    """What stands around an answer: who answers, and what was corrected lately."""
    now, said = time.time(), spoken(request)
    try:
        mistakes = await asyncio.to_thread(
            predictions.mistakes, predictions.place(service.here), service.problem, LATELY
        )
    except (Refusal, sqlite3.Error):
        mistakes = None
    return {
        "words": said,
        "kept": kept(request),
        "problem": service.problem,
        "standing": standing(service, said, now),
        "mistakes": mistakes,
        "past": lambda at: words.past(said, now - at),
        "characters": service.settings.limits.characters,
    }


def standing(service: Service, said: Words, now: float) -> list[str]:
    """Which versions answer here, a sentence each; none where nothing is live."""
    champion, challenger, canary = service.champion, service.challenger, service.settings.canary
    if champion is None:
        return []
    facts = champion.bundle.facts
    age = words.age(said, now - champion.since)
    found = [said.live.format(version=facts.version, model=facts.model, age=age)]
    if challenger is not None and canary.share > 0:
        found.append(said.trial.format(version=challenger.version, share=percent(canary.share)))
    elif challenger is not None and canary.shadow:
        found.append(said.watched.format(version=challenger.version))
    return found


def told(said: Words, answer: Answer, text: str, found: Explanation) -> dict[str, Any]:
    """An answer as the page shows it."""
    facts, likely = answer.live.bundle.facts, likeliest(answer)
    rest = likely[LIKELIEST:]
    return {
        "id": answer.ids[0],
        "label": answer.labels[0],
        "score": percent(answer.scores[0]),
        "bars": [(label, percent(share), f"{100 * share:.2f}") for label, share in likely[:LIKELIEST]],
        "rest": said.more.format(count=len(rest), share=percent(sum(share for _, share in rest))) if rest else "",
        "pieces": marking.pieces(text, found),
        "for": marking.strongest(text, found, 1),
        "against": marking.strongest(text, found, -1),
        "other": found.against,
        "method": said.exact if found.method == "exact" else said.occlusion,
        "left_out": said.left_out.format(count=found.left_out) if found.left_out else "",
        "by": said.by.format(version=facts.version, problem=facts.problem, model=facts.model),
        "wrong": [label for label, _ in likely[1:]],
        "buttons": len(likely) <= BUTTONS,
    }


def likeliest(answer: Answer) -> list[tuple[str, float]]:
    """Every class with its probability, the answer first."""
    pairs = list(zip(answer.live.bundle.labels, answer.rows[0], strict=True))
    return sorted(pairs, key=lambda pair: (pair[0] != answer.labels[0], -pair[1]))


def percent(share: float) -> str:
    """Never 0 % or 100 % of what is neither."""
    if 0 < share < 0.001:
        return "<0.1%"
    return ">99.9%" if 0.999 < share < 1 else f"{100 * share:.1f}%"


def as_page(request: Request, problem: Problem) -> Response:
    """A refusal as a page."""
    said = spoken(request)
    title = said.refused.get(problem.status, said.refused[422])
    values = {"words": said, "kept": kept(request), "title": title, "detail": problem.detail}
    return html.page("refusal.html", problem.status, problem.headers, **values)
