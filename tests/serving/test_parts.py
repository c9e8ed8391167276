"""Parts of the service without a server: access, metrics, the forms and words of the pages, explanations."""

from __future__ import annotations

import asyncio
import json
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
from ratchet.problem.settings import Deploy
from ratchet.project.paths import Places
from ratchet.servers.access import LOOPBACK
from ratchet.serving import follower
from ratchet.serving.answering import requests
from ratchet.serving.answering.batcher import Batcher
from ratchet.serving.answering.bundle import Bundle, Facts
from ratchet.serving.answering.label_offers import Offer
from ratchet.serving.answering.lineup import Lineup
from ratchet.serving.answering.metrics import ServiceMetrics
from ratchet.serving.answering.service import CHALLENGER, Live, NotReady, Service
from ratchet.serving.api import predict
from ratchet.serving.app import application, error_shapes
from ratchet.serving.connections import Connections
from ratchet.serving.guard import Guard
from ratchet.serving.pages import answer_view, html, translations


@pytest.fixture
def idle(tmp_path: Path) -> Service:
    """A service without a live version."""
    log = Log(Policy())
    here = Places(tmp_path, tmp_path, "127.0.0.1", 0, 0, 0)
    return Service(here, "reviews", Deploy(), log, ServiceMetrics(log), lambda message: None)


def status(service: Service, *headers: tuple[bytes, bytes], path: str = "/") -> int:
    """The guard's status for a GET with these headers; 200 where the request passes."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": list(headers)}
    asyncio.run(Guard(app, service, "", LOOPBACK, {}, error_shapes(service))(scope, receive, send))
    return int(sent[0]["status"])


@pytest.mark.parametrize("path", ["/", "/ping", "/predict"])
def test_a_request_names_one_host(idle: Service, path: str) -> None:
    """With two Host headers, a proxy in front may go by the other one (RFC 9112, 3.2)."""
    ours = (b"host", b"localhost")
    other = (b"host", b"evil.example")
    assert status(idle, ours, path=path) == 200
    assert status(idle, ours, (b"accept", b"a"), (b"accept", b"b"), path=path) == 200
    for two in ((ours, other), (other, ours), (ours, ours)):
        assert status(idle, *two, path=path) == 400


def test_a_challenger_that_has_left_is_not_in_the_metrics(idle: Service) -> None:
    idle.metrics.count_swap(CHALLENGER, 2)
    idle.refuse(CHALLENGER, 3, "It does not load.")
    assert b'ratchet_version{role="challenger"} 2.0' in idle.metrics.render()
    assert b'ratchet_version_refused{role="challenger"} 1.0' in idle.metrics.render()
    asyncio.run(idle.apply(Lineup("reviews")))
    assert b"ratchet_version{" not in idle.metrics.render()
    assert b'ratchet_version_refused{role="challenger"} 0.0' in idle.metrics.render()


def test_feedback_without_a_live_version_is_refused_as_not_ready(idle: Service) -> None:
    """And not as an unknown label."""
    with pytest.raises(NotReady, match="make run"):
        asyncio.run(predict.record_feedback(idle, "0" * 32, "good", "user"))


class Options(HTMLParser):
    """The values of all options on a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "option":
            self.values.append(dict(attrs).get("value") or "")


def test_an_option_sends_the_label_unchanged() -> None:
    """Without a `value` a browser sends the option's text with its runs of spaces collapsed."""
    labels = ["two  blanks", 'a "quoted" <one>', "plain"]
    frame: dict[str, Any] = {
        "words": translations.tables("text")["en"],
        "language_query": "",
        "other_language_url": "/",
        "problem": "reviews",
        "note": [],
        "waiting": 0,
        "takes_feedback": True,
    }
    label_page = html.page(
        "label.html",
        **frame,
        is_live=True,
        labels=labels,
        has_buttons=False,
        offer=Offer("1", "audit"),
        text="a",
        skip_url="/",
        change_url="/",
    )
    answer: dict[str, Any] = {
        "id": "1",
        "label": "plain",
        "score": "",
        "pieces": [],
        "method": "",
        "other_labels": labels,
        "has_buttons": False,
        "is_typed": False,
        **answer_view.UNKNOWN,
    }
    try_page = html.page(
        "page.html", **frame, versions=["Live."], mistakes=[], time_ago=None, characters=9, answer=answer, text="a"
    )
    assert Options(bytes(label_page.body).decode()).values == ["", *labels]
    assert Options(bytes(try_page.body).decode()).values == labels


def test_a_page_has_a_title_for_every_error_in_both_languages() -> None:
    for words in translations.tables("text").values():
        assert words.error_titles.keys() == requests.TITLES.keys()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"title": None}, "keys"),
        ({"another": "word"}, "keys"),
        ({"error_titles": {"400": "No"}}, "error titles"),
        ({"days": "{count} of {all} days"}, "days in zh.json"),
        ({"minutes": "some minutes"}, "minutes in zh.json"),
        ({"units": {"text": {"title": "Try"}}}, "units"),
    ],
)
def test_a_translation_must_have_the_keys_and_placeholders_of_the_english_file(
    change: dict[str, Any], message: str
) -> None:
    english = json.loads((translations.FOLDER / "en.json").read_text("utf-8"))
    record = {key: text for key, text in (english | change).items() if text is not None}
    with pytest.raises(ValueError, match=message):
        translations.parse(record, english, "zh.json", "text")


def test_the_follower_is_started_again_after_any_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that cannot be read may raise anything; the service would have kept the old version forever."""
    messages: list[str] = []
    errors = iter([MemoryError("of a model too large"), ValueError("a line without end"), asyncio.CancelledError()])

    async def fail(service: object, follower: str) -> None:
        raise next(errors)

    monkeypatch.setattr(follower, "_follow_once", fail)
    monkeypatch.setattr(follower, "RESTART_DELAY", 0)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(follower.follow(cast(Service, SimpleNamespace(say=messages.append)), "flows.registry.follower"))
    assert messages == [
        "The registry is not followed: MemoryError: of a model too large.",
        "The registry is not followed: ValueError: a line without end.",
    ]


class Slow(Majority):
    """A model that answers requests at once, but explanations only after `go` is set; counts their passes."""

    def __init__(self) -> None:
        super().__init__(("bad", "good"), (0.4, 0.6))
        self.go = threading.Event()
        self.passes = 0

    def predict(self, texts: Sequence[str]) -> NDArray[np.float64]:
        if threading.current_thread() is not threading.main_thread():
            self.passes += len(texts) - 1
            assert self.go.wait(30)
        return super().predict(texts)


def client_of(service: Service, model: Any) -> httpx.AsyncClient:
    """A client of the service, in which this model is live."""
    service.champion = Live(Bundle("", Facts("reviews", 1, "majority", "", "", ""), model), Batcher(model))
    app = application(service, Connections(service))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


def test_explanations_are_limited_and_delay_neither_metrics_nor_answers(idle: Service) -> None:
    """Of fifty at a time eight are explained and the others refused at once; plain requests are answered."""

    async def run() -> None:
        model = Slow()
        async with client_of(idle, model) as http:
            tasks = [
                asyncio.create_task(http.post("/predict?explain=true", json={"texts": ["a b c"]})) for _ in range(50)
            ]
            for refused in [await task for task in tasks[8:]]:
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
                assert "explained" in refused.json()["detail"]
            assert (await http.post("/", data={"text": "a b c"}, headers={"accept": "text/html"})).status_code in (
                303,
                503,
            )
            assert (await http.get("/metrics")).status_code == 200
            assert (await http.post("/predict", json={"texts": ["a b c"]})).status_code == 200
            assert not any(task.done() for task in tasks[:8])
            model.go.set()
            assert [(await task).status_code for task in tasks[:8]] == [200] * 8
            assert (await http.post("/predict?explain=true", json={"texts": ["a"]})).status_code == 200

    asyncio.run(run())


def test_texts_of_one_request_share_the_passes_of_their_explanations(idle: Service) -> None:
    """A hundred texts of 300 words: 2,000 passes, not 20,000; `left_out` counts the words without a weight."""

    async def run() -> None:
        model = Slow()
        model.go.set()
        async with client_of(idle, model) as http:
            answer = await http.post("/predict?explain=true", json={"texts": ["a " * 300] * 100})
        explanations = [prediction["explanation"] for prediction in answer.json()["predictions"]]
        assert model.passes == 2000
        assert {(len(explanation["words"]), explanation["left_out"]) for explanation in explanations} == {(20, 280)}

    asyncio.run(run())
