"""The page at /label, which asks for the label of one waiting input at a time, and its form.

The queue decides the source of a label, never the form: otherwise a client could make its own labels count as an audit.
The page shows no answer of the model, and the labels have the same order for all inputs, so that nothing suggests one.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ratchet.data.prepare.label_sources import USER
from ratchet.monitoring.log.predictions import Prediction
from ratchet.serving.answering.label_offers import Offer
from ratchet.serving.answering.requests import RequestError
from ratchet.serving.answering.service import Service
from ratchet.serving.api import predict
from ratchet.serving.pages import html
from ratchet.serving.pages.answer_view import MAX_BUTTONS
from ratchet.serving.pages.recent_answers import RecentAnswers
from ratchet.serving.pages.try_page import (
    Verdict,
    language_query,
    other_language_url,
    read_form,
    redirect,
    words_for,
)


def routes(service: Service) -> list[Route]:
    recent = RecentAnswers(service)

    async def show(request: Request) -> Response:
        predict.check_takes_feedback(service)
        offer, prediction = await choose_offer(service, recent, request)
        return html.page("label.html", **await page_values(service, recent, request, offer, prediction))

    async def take_label(request: Request) -> Response:
        predict.check_takes_feedback(service)
        form = await read_form(request, service, Verdict)
        offer = service.label_offers.find(form.id) or Offer(form.id, USER)
        await predict.record_feedback(service, form.id, form.label, offer.source, offer.chance)
        return redirect(request, "/label", said=form.id)

    async def label(request: Request) -> Response:
        return await (take_label if request.method == "POST" else show)(request)

    return [Route("/label", label, methods=["GET", "POST"])]


async def choose_offer(
    service: Service, recent: RecentAnswers, request: Request
) -> tuple[Offer | None, Prediction | None]:
    """The input to ask about: the one in the address, where it was offered; else the next that is still stored.

    Returns:
        The offer and its prediction; two times None where nothing waits.
    """
    offer = service.label_offers.find(request.query_params.get("id", ""))
    offer = offer or service.label_offers.next_after(request.query_params.get("after", ""))
    while offer is not None:
        prediction = await find_with_text(recent, offer.id)
        if prediction is not None:
            return offer, prediction
        service.label_offers.close(offer.id)
        offer = service.label_offers.next_after(offer.id)
    return None, None


async def find_with_text(recent: RecentAnswers, prediction: str) -> Prediction | None:
    """The prediction of an id; None where it or its text is gone, since the log keeps both for a limited time.

    Raises:
        RequestError: the log cannot be read now (503).
    """
    try:
        record = await recent.find(prediction)
    except RequestError as error:
        if error.status != 404:
            raise
        return None
    return record if record.text is not None else None


async def page_values(
    service: Service, recent: RecentAnswers, request: Request, offer: Offer | None, prediction: Prediction | None
) -> dict[str, Any]:
    """The values of the template label.html."""
    words = words_for(request, service)
    labels = service.task.wire.choices(service.champion.bundle.labels) if service.champion is not None else ()
    labelled_id = request.query_params.get("said", "")
    labelled = await find_with_text(recent, labelled_id) if service.label_offers.find(labelled_id) else None
    note = words.you_said.format(label=labelled.said) if labelled is not None and labelled.said is not None else ""
    language = language_query(request, "&")
    return {
        "words": words,
        "language_query": language_query(request),
        "other_language_url": other_language_url(request, words.other_language),
        "problem": service.problem,
        "waiting": len(service.label_offers.waiting()),
        "takes_feedback": True,
        "is_live": service.champion is not None,
        "labels": sorted(labels),
        "has_buttons": len(labels) <= MAX_BUTTONS,
        "offer": offer,
        "text": prediction.text if prediction is not None else "",
        "skip_url": f"/label?after={offer.id}{language}" if offer is not None else "",
        "note": note,
        "change_url": f"/label?id={labelled_id}{language}" if labelled is not None else "",
    }
