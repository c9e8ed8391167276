"""The page at /label: one text at a time that waits for a label, and what its form posts.

What a label counts as is the queue's to say, never the form's: who could name the source could make anything judge.
The model's own answer is not shown, and the labels stand in one order for all texts, so that nothing suggests one.
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
from ratchet.serving.pages.answer_view import BUTTONS
from ratchet.serving.pages.recent_answers import RecentAnswers
from ratchet.serving.pages.try_page import Verdict, elsewhere, kept, moved, read, spoken


def routes(service: Service) -> list[Route]:
    seen = RecentAnswers(service)

    async def shown(request: Request) -> Response:
        offer, found = await asked(service, seen, request)
        return html.page("label.html", **await values(service, seen, request, offer, found))

    async def labelled(request: Request) -> Response:
        form = await read(request, service, Verdict)
        offer = service.waiting.known(form.id) or Offer(form.id, USER)
        await predict.take(service, form.id, form.label, offer.source, offer.chance)
        return moved(request, "/label", said=form.id)

    async def either(request: Request) -> Response:
        return await (labelled if request.method == "POST" else shown)(request)

    return [Route("/label", either, methods=["GET", "POST"])]


async def asked(service: Service, seen: RecentAnswers, request: Request) -> tuple[Offer | None, Prediction | None]:
    """What to ask: the text of the address, where it names one that was offered; else the next that is still there."""
    offer = service.waiting.known(request.query_params.get("id", ""))
    offer = offer or service.waiting.next(request.query_params.get("after", ""))
    while offer is not None:
        found = await there(seen, offer.id)
        if found is not None:
            return offer, found
        service.waiting.gone(offer.id)
        offer = service.waiting.next(offer.id)
    return None, None


async def there(seen: RecentAnswers, name: str) -> Prediction | None:
    """The prediction of that id with its text; None where one of the two is gone: the log keeps them for so many days.

    Raises:
        Problem: the log cannot be read now.
    """
    try:
        found = await seen.find(name)
    except RequestError as problem:
        if problem.status != 404:
            raise
        return None
    return found if found.text is not None else None


async def values(
    service: Service, seen: RecentAnswers, request: Request, offer: Offer | None, found: Prediction | None
) -> dict[str, Any]:
    """What the page shows."""
    said, labels = spoken(request), service.champion.bundle.labels if service.champion is not None else ()
    before = request.query_params.get("said", "")
    given = await there(seen, before) if service.waiting.known(before) else None
    mark = kept(request, "&")
    return {
        "words": said,
        "kept": kept(request),
        "other": elsewhere(request, said.other),
        "problem": service.problem,
        "waiting": len(service.waiting.offers()),
        "labels": sorted(labels),
        "buttons": len(labels) <= BUTTONS,
        "offer": offer,
        "text": found.text if found is not None else "",
        "skip": f"/label?after={offer.id}{mark}" if offer is not None else "",
        "note": said.you_said.format(label=given.said) if given is not None and given.said is not None else "",
        "change": f"/label?id={before}{mark}" if given is not None else "",
    }
