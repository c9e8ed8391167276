"""The service for a kind of problem without texts, classes and confidence: by its faces alone."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from msgspec import defstruct

from ratchet.monitoring import label_queue
from ratchet.monitoring.label_queue import Queue
from ratchet.monitoring.log import client
from ratchet.monitoring.log.client import Log
from ratchet.monitoring.log.writer import Policy
from ratchet.problem.settings import Deploy
from ratchet.project.paths import Places
from ratchet.serving.answering import bundle
from ratchet.serving.answering.batcher import Batcher
from ratchet.serving.answering.bundle import Bundle, Facts
from ratchet.serving.answering.lineup import BundleRef, Lineup
from ratchet.serving.answering.metrics import ServiceMetrics
from ratchet.serving.answering.service import Live, Service
from ratchet.serving.api import mlflow_scoring
from ratchet.serving.app import application, read_settings
from ratchet.serving.connections import Connections
from ratchet.serving.docs import openapi
from ratchet.serving.docs.operations import DocumentedModel
from ratchet.serving.pages.try_page import FORM
from ratchet.tasks import Task
from ratchet.tasks.bodies import Id
from tests.tasks.predict_number.models.least_squares import Line
from tests.tasks.predict_number.wire import EXAMPLES

FACTS = Facts("homes", 1, "least_squares", "", "", "", "predict_number")
MODEL = Line(("number",), ("rooms",), (100.0, 0.0))
"""It says 100 a room."""
HOME = json.loads(EXAMPLES[0])

Check = Callable[[httpx.AsyncClient, Service], Awaitable[None]]


def run(folder: Path, task: Task, check: Check, writes: bool = False) -> None:
    """Run a check against a service of this kind, in which a model is live; `writes`: its log has a writer."""

    async def main() -> None:
        log = Log(Policy())
        here = Places(folder, folder / "state", "127.0.0.1", 0, 0, 0)
        service = Service(here, "homes", Deploy(), log, ServiceMetrics(log), print, task=task)
        service.champion = Live(Bundle("", FACTS, MODEL), Batcher(MODEL, face=task.answers))
        transport = httpx.ASGITransport(application(service, Connections(service)))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            if writes:
                await log.start()
            try:
                await check(http, service)
            finally:
                await log.close()

    asyncio.run(main())


@pytest.fixture(autouse=True)
def _own_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer of the log, a process of its own, reads the place from the environment, and may end slowly."""
    monkeypatch.setenv("RATCHET_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(client, "CLOSING", 60.0)


def form(**fields: str) -> dict[str, Any]:
    return {"content": urlencode(fields), "headers": {"content-type": FORM}}


def test_predictions_and_feedback_have_the_bodies_of_the_kind(tmp_path: Path, toy: Task) -> None:
    async def check(http: httpx.AsyncClient, service: Service) -> None:
        answer = (await http.post("/predict", json={"rows": [HOME, {"rooms": 1, "size": 9}]})).json()
        assert [row["number"] for row in answer["predictions"]] == [300.0, 100.0]
        prediction = answer["predictions"][0]["id"]
        refusal = await http.post("/predict", json={"rows": [{}]})
        assert (refusal.status_code, refusal.json()["detail"]) == (422, "A row must have numbers. Received: none.")
        assert (await http.post("/predict?explain=true", json={"rows": [HOME]})).status_code == 422
        for sent, stored in ((310, "310"), (320.50, "320.5")):
            thanks = await http.post("/feedback", json={"id": prediction, "label": sent})
            assert thanks.json() == {"id": prediction, "label": stored}
        refusal = await http.post("/feedback", json={"id": prediction, "label": "dear"})
        assert (refusal.status_code, "label" in refusal.json()["detail"]) == (422, True)

    run(tmp_path, toy, check, writes=True)


def test_a_target_that_no_model_gives_is_refused_in_the_words_of_the_kind(
    tmp_path: Path, toy: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here a correction may be a text, so the body alone does not tell."""
    monkeypatch.setattr(toy.wire, "Correction", defstruct("Correction", [("id", Id), ("label", float | str)]))

    async def check(http: httpx.AsyncClient, service: Service) -> None:
        prediction = (await http.post("/predict", json={"rows": [HOME]})).json()["predictions"][0]["id"]
        thanks = await http.post("/feedback", json={"id": prediction, "label": "320.50"})
        assert thanks.json() == {"id": prediction, "label": "320.5"}
        refusal = await http.post("/feedback", json={"id": prediction, "label": "dear"})
        sentence = "The right answer must be a number. Received: 'dear'."
        assert (refusal.status_code, refusal.json()["detail"]) == (422, sentence)

    run(tmp_path, toy, check, writes=True)


def read(task: Task, body: Any) -> list[str]:
    raw, media = (body, "text/csv") if isinstance(body, str) else (json.dumps(body), "application/json")
    return mlflow_scoring.Reader(task).read(raw.encode(), media)


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["size", "rooms"], "data": [[70, 3], [120, 5]]}},
        {"dataframe_records": [{"rooms": 3, "size": 70}, {"size": 120, "rooms": 5}]},
        {"inputs": {"rooms": [3, 5], "size": [[70], [120]]}},
        {"instances": [*EXAMPLES]},
        {"inputs": [HOME, [EXAMPLES[1]]]},
        "size,rooms\n70,3\n120.0,5\n",
    ],
)
def test_mlflows_forms_hold_records_of_many_columns(body: Any, toy: Task) -> None:
    assert read(toy, body) == [*EXAMPLES]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["size", "rooms", "n"], "data": [[70, 3, 0], [120, 5, 0]]}},
        {"inputs": {"rooms": [3, 5], "n": [0, None], "size": [70, 120]}},
        "n,size,rooms\n0,70,3\n,120.0,5\n",
    ],
)
def test_columns_that_a_kind_does_not_read_are_left_out(body: Any, toy: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toy.wire, "columns", lambda names: ("rooms", "size"))
    assert read(toy, body) == [*EXAMPLES]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"dataframe_split": {"columns": [7], "data": []}}, "Every column must have a name."),
        ({"inputs": {"rooms": [3], "size": [70, 120]}}, "Every column must have as many values as the others."),
        ({"inputs": {"rooms": [3], "size": 70}}, "Every column must have as many values as the others."),
        ({"inputs": [["a", "b"]]}, "A row must be a row, or hold one. Received: 2 values."),
        ({"instances": ["a home"]}, "A row must be a JSON object of numbers. Received: 'a home'."),
        ({"dataframe_records": [{"rooms": "three", "size": 70}]}, "Received: rooms = 'three'."),
    ],
)
def test_what_is_no_input_is_refused_in_the_words_of_the_kind(body: Any, sentence: str, toy: Task) -> None:
    with pytest.raises(mlflow_scoring.RequestError, match=re.escape(sentence)) as refused:
        read(toy, body)
    assert refused.value.status == 400


def test_foreign_protocols_give_the_models_outputs(tmp_path: Path, toy: Task) -> None:
    async def check(http: httpx.AsyncClient, service: Service) -> None:
        answer = await http.post("/invocations", json={"instances": [HOME]})
        assert answer.json() == {"predictions": [{"number": 300.0}]}
        tensor = {"name": "text", "shape": [2], "datatype": "BYTES", "data": [*EXAMPLES]}
        answer = await http.post("/v2/models/homes/infer", json={"inputs": [tensor]})
        outputs = {output["name"]: (output["shape"], output["data"]) for output in answer.json()["outputs"]}
        assert list(outputs) == ["label", "score", "outputs", "id"]
        assert outputs["outputs"] == ([2, 1], [300.0, 500.0])
        about = (await http.get("/v2/models/homes")).json()
        assert [output["name"] for output in about["outputs"]] == [*outputs]
        refusal = await http.post("/v2/models/homes/infer", json={"inputs": [tensor | {"data": ["a", "b"]}]})
        sentence = "A row must be a JSON object of numbers. Received: 'a'."
        assert (refusal.status_code, refusal.json()["error"]) == (400, sentence)

    run(tmp_path, toy, check)


def test_the_page_shows_no_confidence_and_takes_a_typed_correction(tmp_path: Path, toy: Task) -> None:
    async def check(http: httpx.AsyncClient, service: Service) -> None:
        shown = await http.post("/", **form(text=EXAMPLES[0]))
        address = shown.headers["location"]
        page = (await http.get(address)).text
        assert "<bdi>300</bdi></p>" in page
        assert "Try an input" in page
        assert "<svg" not in page
        assert "What moved it" not in page
        assert '<input id="label" name="label" required' in page
        assert "试一个输入" in (await http.get(f"{address}&lang=zh")).text
        prediction = address.partition("=")[2]
        thanks = await http.post("/correct", **form(id=prediction, label=" 310.0"))
        assert thanks.headers["location"] == f"/?id={prediction}&thanks=310"
        assert "You said: 310. Thank you." in (await http.get(thanks.headers["location"])).text
        for path, fields in (("/", {"text": "a home"}), ("/correct", {"id": prediction, "label": "dear"})):
            refusal = await http.post(path, **form(**fields))
            assert refusal.status_code == 422
            assert "must be" in refusal.text

    run(tmp_path, toy, check, writes=True)


def test_the_label_page_takes_a_typed_label(tmp_path: Path, toy: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(http: httpx.AsyncClient, service: Service) -> None:
        prediction = (await http.post("/predict", json={"rows": [HOME]})).json()["predictions"][0]["id"]
        assert (await http.post("/feedback", json={"id": prediction, "label": 1})).status_code == 200  # so it is logged
        monkeypatch.setattr(label_queue, "read", lambda path, problem: Queue(problem, 0.0, (prediction,)))
        service.here.queue.parent.mkdir(exist_ok=True)
        service.here.queue.write_text("{}")
        page = (await http.get("/label")).text
        assert "rooms" in page
        assert '<input id="label" name="label" required' in page
        assert (await http.post("/label", **form(id=prediction, label="310"))).status_code == 303
        assert (await http.post("/label", **form(id=prediction, label="dear"))).status_code == 422

    run(tmp_path, toy, check, writes=True)


def test_a_kind_without_feedback_takes_and_offers_none(tmp_path: Path, toy: Task) -> None:
    async def check(http: httpx.AsyncClient, service: Service) -> None:
        prediction = (await http.post("/predict", json={"rows": [HOME]})).json()["predictions"][0]["id"]
        for path, sent in (
            ("/feedback", {"json": {"id": prediction, "label": 1}}),
            ("/correct", form(id=prediction, label="1")),
            ("/label", form(id=prediction, label="1")),
        ):
            refusal = await http.post(path, **sent)
            assert (refusal.status_code, "takes no feedback" in refusal.text) == (404, True)
        assert (await http.get("/label")).status_code == 404
        shown = (await http.get((await http.post("/", **form(text=EXAMPLES[0]))).headers["location"])).text
        for page in (shown, (await http.get("/docs")).text):
            assert '"/label' not in page
            assert "/correct" not in page

    run(tmp_path, replace(toy, abilities=frozenset()), check)


def test_the_document_speaks_of_the_kind_alone(tmp_path: Path, toy: Task) -> None:
    document = openapi.document(DocumentedModel("homes", "1", ("number",), toy))
    text = json.dumps(document, default=list)
    assert [word for word in ("Classify", "texts", "probabilities", "WordWeight") if word in text] == []
    assert document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["examples"] == {
        "rows": {"value": {"rows": [*map(json.loads, EXAMPLES)]}}
    }
    assert document["components"]["schemas"]["Scores"]["description"] == "One object a row: `number`."
    assert document["components"]["schemas"]["Correction"]["properties"]["id"]["maxLength"] == 64
    assert "enum" not in document["components"]["schemas"]["Verdict"]["properties"]["label"]

    async def check(http: httpx.AsyncClient, service: Service) -> None:
        assert (await http.get("/openapi.json")).json() == json.loads(text)
        assert (await http.get("/docs/swagger-ui.css")).status_code == 200
        assert "swagger_ui" not in sys.modules

    run(tmp_path, toy, check)


def test_a_version_of_another_kind_does_not_go_live(tmp_path: Path, toy: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """`task` was changed in params.yaml: the bodies of the one kind are none of the other's."""
    opened = Bundle("", replace(FACTS, version=2, task="classify"), MODEL)
    monkeypatch.setattr(bundle, "open_bundle", lambda *_: opened)

    async def check(http: httpx.AsyncClient, service: Service) -> None:
        await service.apply(Lineup("homes", BundleRef(2, "0" * 64)))
        assert service.champion is not None
        assert service.champion.version == 1
        assert any("must be of task predict_number" in said for said in service.complaints.values())

    run(tmp_path, toy, check)


def test_the_settings_of_another_kind_do_not_change_what_the_log_keeps(tmp_path: Path, toy: Task) -> None:
    """`make data` has brought another problem, and the service of this one goes on."""

    async def check(http: httpx.AsyncClient, service: Service) -> None:
        service.here.params.write_text(
            "problem: films\ndata: {text: text, label: label}\nbuild: {candidates: [linear]}\n"
            "deploy: {log: {texts: redacted}}\n"
        )
        read_settings(service)
        assert service.log.policy.kept(EXAMPLES[0]) is None

    run(tmp_path, toy, check)
