"""Parts of the service by cases, without a server: who may ask, what is counted, what its pages send and say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from models.majority import Majority
from ratchet.monitoring.log.client import Log
from ratchet.monitoring.log.writer import Policy
from ratchet.project.paths import Places
from ratchet.project.settings import Deploy
from ratchet.servers.access import LOOPBACK
from ratchet.serving import follower as following
from ratchet.serving.answering import requests
from ratchet.serving.answering.batcher import Batcher
from ratchet.serving.answering.bundle import Bundle, Facts
from ratchet.serving.answering.label_offers import Offer
from ratchet.serving.answering.lineup import Lineup
from ratchet.serving.answering.metrics import ServiceMetrics
from ratchet.serving.answering.service import CHALLENGER, Live, Service, Unready
from ratchet.serving.api import predict
from ratchet.serving.app import application
from ratchet.serving.connections import Connections
from ratchet.serving.guard import Guard
from ratchet.serving.pages import html, translations


@pytest.fixture
def idle(tmp_path: Path) -> Service:
    """A service for which nothing is live."""
    log = Log(Policy())
    here = Places(tmp_path, tmp_path, "127.0.0.1", 0, 0, 0)
    return Service(here, "reviews", Deploy(), log, ServiceMetrics(log), lambda words: None)


def status(service: Service, *headers: tuple[bytes, bytes], path: str = "/") -> int:
    """What the guard answers to a request with these headers; 200 where it lets it pass."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": list(headers)}
    asyncio.run(Guard(app, service, "", LOOPBACK, {})(scope, receive, send))
    return int(sent[0]["status"])


@pytest.mark.parametrize("path", ["/", "/ping", "/predict"])
def test_a_request_names_one_host(idle: Service, path: str) -> None:
    """Which of two is meant is anybody's guess, and a proxy before it may guess otherwise (RFC 9112, 3.2)."""
    ours, other = (b"host", b"localhost"), (b"host", b"evil.example")
    assert status(idle, ours, path=path) == 200
    assert status(idle, ours, (b"accept", b"a"), (b"accept", b"b"), path=path) == 200
    for two in ((ours, other), (other, ours), (ours, ours)):
        assert status(idle, *two, path=path) == 400


def test_a_trial_that_is_over_leaves_no_version_in_the_metrics(idle: Service) -> None:
    idle.meters.swapped(CHALLENGER, 2)
    idle.refuse(CHALLENGER, 3, "It does not load.")
    assert b'ratchet_version{role="challenger"} 2.0' in idle.meters.page()
    assert b'ratchet_version_refused{role="challenger"} 1.0' in idle.meters.page()
    asyncio.run(idle.take(Lineup("reviews")))
    assert b"ratchet_version{" not in idle.meters.page()
    assert b'ratchet_version_refused{role="challenger"} 0.0' in idle.meters.page()


def test_feedback_while_nothing_is_live_is_told_so(idle: Service) -> None:
    """And not that a label must be one of none."""
    with pytest.raises(Unready, match="make run"):
        asyncio.run(predict.take(idle, "0" * 32, "good", "user"))


class Options(HTMLParser):
    """The values that the lists of a page send."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "option":
            self.values.append(dict(attrs).get("value") or "")


def test_a_label_that_is_picked_from_a_list_is_sent_as_it_is() -> None:
    """Without a value a browser sends the words of an option with their blanks run together."""
    labels = ["two  blanks", 'a "quoted" <one>', "plain"]
    frame: dict[str, Any] = {
        "words": translations.ENGLISH,
        "kept": "",
        "other": "/",
        "problem": "reviews",
        "note": [],
        "waiting": 0,
    }
    asked = html.page(
        "label.html", **frame, labels=labels, buttons=False, offer=Offer("1", "audit"), text="a", skip="/", change="/"
    )
    answer: dict[str, Any] = {
        "id": "1",
        "label": "plain",
        "score": "",
        "pieces": [],
        "method": "",
        "wrong": labels,
        "buttons": False,
    }
    answer |= {"unknown": "", "bars": [], "rest": "", "for": [], "against": [], "other": "", "left_out": "", "by": ""}
    tried = html.page(
        "page.html", **frame, standing=["Live."], mistakes=[], past=None, characters=9, answer=answer, text="a"
    )
    assert Options(bytes(asked.body).decode()).values == ["", *labels]
    assert Options(bytes(tried.body).decode()).values == labels


def test_a_page_has_words_for_every_refusal_in_both_languages() -> None:
    for table in translations.TABLES.values():
        assert table.refused.keys() == requests.TITLES.keys()


def test_the_registry_is_followed_again_whatever_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that cannot be read may raise anything; the service would have answered with the old one for good."""
    said: list[str] = []
    went = iter([MemoryError("of a model too large"), ValueError("a line without end"), asyncio.CancelledError()])

    async def once(service: object, follower: str) -> None:
        raise next(went)

    monkeypatch.setattr(following, "_follow_once", once)
    monkeypatch.setattr(following, "AGAIN", 0)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(following.follow(cast(Service, SimpleNamespace(said=said.append)), "flows.registry.follower"))
    assert said == [
        "The registry is not followed: MemoryError: of a model too large.",
        "The registry is not followed: ValueError: a line without end.",
    ]


class Slow(Majority):
    """A model that answers one text at once, and takes its time over what it is asked again for an explanation."""

    def __init__(self) -> None:
        super().__init__(("bad", "good"), (0.4, 0.6))
        self.go, self.passes = threading.Event(), 0

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float64]:
        if threading.current_thread() is not threading.main_thread():
            self.passes += len(texts) - 1
            assert self.go.wait(30)
        return super().predict_proba(texts)


def answering(service: Service, model: Any) -> httpx.AsyncClient:
    """A client of a service for which this model answers."""
    service.champion = Live(Bundle("", Facts("reviews", 1, "majority", "", "", ""), model), Batcher(model))
    app = application(service, Connections(service))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


def test_explanations_are_bounded_and_hold_up_neither_metrics_nor_answers(idle: Service) -> None:
    """Fifty at a time: eight are explained, the others are refused at once, and whoever asks for none is answered."""

    async def asked() -> None:
        model = Slow()
        async with answering(idle, model) as http:
            asks = [
                asyncio.create_task(http.post("/predict?explain=true", json={"texts": ["a b c"]})) for _ in range(50)
            ]
            for refused in [await first for first in asks[8:]]:
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
                assert "explained" in refused.json()["detail"]
            assert (await http.post("/", data={"text": "a b c"}, headers={"accept": "text/html"})).status_code in (
                303,
                503,
            )
            assert (await http.get("/metrics")).status_code == 200
            assert (await http.post("/predict", json={"texts": ["a b c"]})).status_code == 200
            assert not any(each.done() for each in asks[:8])
            model.go.set()
            assert [(await each).status_code for each in asks[:8]] == [200] * 8
            assert (await http.post("/predict?explain=true", json={"texts": ["a"]})).status_code == 200

    asyncio.run(asked())


def test_texts_that_are_explained_together_share_the_passes(idle: Service) -> None:
    """A hundred texts of 300 words: 2,000 passes, not 20,000; what is left out is said."""

    async def asked() -> None:
        model = Slow()
        model.go.set()
        async with answering(idle, model) as http:
            answer = await http.post("/predict?explain=true", json={"texts": ["a " * 300] * 100})
        told = [each["explanation"] for each in answer.json()["predictions"]]
        assert model.passes == 2000
        assert {(len(each["words"]), each["left_out"]) for each in told} == {(20, 280)}

    asyncio.run(asked())
