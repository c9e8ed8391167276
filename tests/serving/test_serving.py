"""The prediction service over HTTP: its three protocols, the refusal of bad input, access."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import models
from tests.support.project import Project, copied, refused
from tests.support.service import Served, ask, bundle_of, logged, served

TEXTS = ["Film 7 is splendid and warm and witty", "Film 8 is dull and grim", "Nothing that was ever said", ""]


@pytest.fixture(scope="module")
def project(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copied(original, tmp_path_factory.mktemp("served") / "project")


@pytest.fixture(scope="module")
def service(project: Project) -> Iterator[Served]:
    """One service for the tests that change nothing for the others."""
    with served(project) as running:
        yield running


@pytest.fixture(scope="module")
def http(service: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.address, timeout=30) as client:
        yield client


# Protocols


def test_predict_answers_in_order_as_the_stored_model_does(project: Project, http: httpx.Client):
    model = models.load(bundle_of(project))
    answer = ask(http, *TEXTS)
    assert (answer["model"], answer["version"]) == ("reviews", "1")
    for row, expected in zip(answer["predictions"], model.predict(TEXTS), strict=True):
        assert list(row["probabilities"].values()) == pytest.approx(list(expected), abs=1e-9)
        assert list(row["probabilities"]) == list(model.labels)
        assert row["score"] == max(row["probabilities"].values())
        assert row["probabilities"][row["label"]] == row["score"]
    assert [row["label"] for row in answer["predictions"]][:2] == ["good", "bad"]
    assert len({row["id"] for row in answer["predictions"]}) == len(TEXTS)


def test_feedback_counts_once_and_is_stored_at_once(project: Project, http: httpx.Client):
    (row,) = ask(http, "Film 9 is splendid")["predictions"]
    for _ in range(2):
        correction = {"id": row["id"], "label": "bad"}
        assert http.post("/feedback", json=correction).json() == correction
    assert logged(project, "select label, source from feedback where prediction = ?", row["id"]) == [("bad", "user")]
    text, version = logged(project, "select text, version from predictions where id = ?", row["id"])[0]
    assert (text, version) == ("Film 9 is splendid", 1)


def test_an_unknown_id_is_refused_before_an_unknown_label(http: httpx.Client):
    (row,) = ask(http, "x")["predictions"]
    for prediction, label, status in (("never", "nonsense", 404), (row["id"], "nonsense", 422), ("never", "good", 404)):
        answer = http.post("/feedback", json={"id": prediction, "label": label})
        assert (answer.status_code, answer.json()["status"]) == (status, status)
        assert answer.headers["content-type"] == "application/problem+json"


FORMS: dict[str, Any] = {
    "split": {"dataframe_split": {"columns": ["text"], "data": [[text] for text in TEXTS]}},
    "split with an index": {"dataframe_split": {"index": [5, 6], "columns": ["text"], "data": [["a"], ["b"]]}},
    "records": {"dataframe_records": [{"text": text} for text in TEXTS]},
    "inputs": {"inputs": TEXTS},
    "instances": {"instances": TEXTS},
    "instances, records": {"instances": [{"text": text} for text in TEXTS]},
    "with params": {"inputs": TEXTS, "params": {"anything": 1}},
}
PLAIN_FORMS = {
    "inputs, a column": {"inputs": {"text": ["a", "b"]}},
    "inputs, records": {"inputs": [{"text": "a"}, {"text": "b"}]},
    "instances, a row each": {"instances": [["a"], ["b"]]},
    "a missing text": {"dataframe_records": [{"text": "a"}, {"text": None}]},
}
"""Further forms that are unambiguous; MLflow refuses them for a model whose column has no name."""
CSV = 'text\nplain\n"quoted, with a comma"\n"two\nlines"\n电影很好\n'
MLFLOW_ANSWERS = """
import json, mlflow
from mlflow.pyfunc import scoring_server
from starlette.testclient import TestClient
client = TestClient(scoring_server.init(mlflow.pyfunc.load_model("models:/reviews@champion")))
forms, csv = json.load(open("forms.json"))
answers = {name: client.post("/invocations", json=form) for name, form in forms.items()}
answers["csv"] = client.post("/invocations", content=csv.encode(), headers={"content-type": "text/csv"})
answers["version"] = client.get("/version")
answers["ping"] = client.get("/ping")
print("ANSWERS" + json.dumps({name: [answer.status_code, answer.text] for name, answer in answers.items()}))
"""


def test_invocations_answers_as_mlflows_own_server(project: Project, http: httpx.Client):
    project.write("forms.json", json.dumps([FORMS, CSV]))
    done = project.python(MLFLOW_ANSWERS, MLFLOW_TRACKING_URI=project.tracking_uri)
    (line,) = [line for line in done.text.splitlines() if line.startswith("ANSWERS")]
    mlflow_answers = json.loads(line.removeprefix("ANSWERS"))
    answers = {name: http.post("/invocations", json=form) for name, form in FORMS.items()}
    answers["csv"] = http.post("/invocations", content=CSV.encode(), headers={"content-type": "text/csv"})
    for name, answer in answers.items():
        status, body = mlflow_answers[name]
        assert (name, status, answer.status_code) == (name, 200, 200), (body, answer.text)
        rows = answer.json()["predictions"]
        expected_rows = json.loads(body)["predictions"]
        assert [list(row) for row in rows] == [list(row) for row in expected_rows], name
        for row, expected in zip(rows, expected_rows, strict=True):
            assert row == pytest.approx(expected, abs=1e-9), name
    assert [http.get("/version").status_code, http.get("/version").text] == mlflow_answers["version"]
    assert [http.get("/ping").status_code, http.get("/ping").text] == mlflow_answers["ping"]


def test_an_official_client_of_the_open_inference_protocol_works(service: Served, http: httpx.Client):
    from open_inference.openapi import types
    from open_inference.openapi.client import OpenInferenceClient
    from open_inference.openapi.errors import BadRequestError, NotFoundError

    request: Any = types.InferenceRequest  # Any: its types do not say which fields are optional
    tensor: Any = types.RequestInput
    requested: Any = types.RequestOutput

    client = OpenInferenceClient(base_url=service.address, httpx_client=http)
    client.check_server_liveness()
    client.check_server_readiness()
    client.check_model_readiness("reviews")
    client.check_model_version_readiness("reviews", "1")
    assert client.read_server_metadata().name == "ratchet"
    metadata: Any = client.read_model_metadata("reviews")
    assert (metadata.name, metadata.versions, metadata.inputs[0].datatype) == ("reviews", ["1"], "BYTES")
    assert {output.name: output.shape for output in metadata.outputs} == {
        "label": [-1], "score": [-1], "probabilities": [-1, 2], "id": [-1],
    }  # fmt: skip
    texts = tensor(name="text", shape=[2], datatype="BYTES", data=TEXTS[:2])
    answer = client.model_infer("reviews", request=request(id="7", inputs=[texts]))
    assert (answer.id, answer.model_name, answer.model_version) == ("7", "reviews", "1")
    outputs: dict[str, Any] = {output.name: output for output in answer.outputs}
    assert outputs["label"].data.__root__ == ["good", "bad"]
    assert outputs["probabilities"].shape == [2, 2]
    assert sum(outputs["probabilities"].data.__root__) == pytest.approx(2)
    score_only = request(inputs=[texts], outputs=[requested(name="score")])
    answer = client.model_version_infer("reviews", "1", request=score_only)
    assert [output.name for output in answer.outputs] == ["score"]
    image = tensor(name="image", shape=[1], datatype="FP32", data=[1.0])
    with pytest.raises(BadRequestError, match="one tensor named 'text'"):
        client.model_infer("reviews", request=request(inputs=[image]))
    with pytest.raises(NotFoundError, match="The model here is reviews"):
        client.check_model_readiness("cats")


@pytest.mark.parametrize("name", PLAIN_FORMS)
def test_invocations_takes_further_forms(http: httpx.Client, name: str):
    answer = http.post("/invocations", json=PLAIN_FORMS[name])
    assert (answer.status_code, len(answer.json()["predictions"])) == (200, 2)
    assert answer.headers["ratchet-version"] == "1"


# Bad input


BAD: dict[str, tuple[str, Any, int, str]] = {
    "no JSON": ("/predict", "{", 400, "must be JSON"),
    "not UTF-8": ("/predict", b'{"texts": ["\xff"]}', 400, "UTF-8"),
    "nesting": ("/invocations", '{"inputs":' + "[" * 100_000, 400, "must be JSON"),
    "a list": ("/predict", [1], 422, "Expected `object`"),
    "no texts": ("/predict", {"texts": []}, 422, "length >= 1"),
    "a number": ("/predict", {"texts": ["a", 7]}, 422, "$.texts[1]"),
    "an unknown key": ("/predict", {"texts": ["a"], "tests": 1}, 422, "unknown field `tests`"),
    "explain maybe": ("/predict?explain=maybe", {"texts": ["a"]}, 422, "explain must be true or false"),
    "too many to explain": ("/predict?explain=true", {"texts": ["a"] * 101}, 422, "100"),
    "too many texts": ("/predict", {"texts": ["a"] * 5001}, 413, "5,000 texts"),
    "too long a text": ("/predict", {"texts": ["a" * 100_001]}, 413, "100,000 characters"),
    "too large": ("/predict", "x" * 8_000_001, 413, "8 MB"),
    "feedback without a label": ("/feedback", {"id": "a"}, 422, "`label`"),
    "invocations: two forms": ("/invocations", {"inputs": ["a"], "instances": ["a"]}, 400, "exactly one of"),
    "invocations: no form": ("/invocations", {"texts": ["a"]}, 400, "exactly one of"),
    "invocations: another column": ("/invocations", {"dataframe_records": [{"quote": "a"}]}, 400, "column 'text'"),
    "invocations: a number": ("/invocations", {"inputs": [7]}, 400, "must be a string"),
    "invocations: ragged": (
        "/invocations", {"dataframe_split": {"columns": ["text", "n"], "data": [["a"]]}}, 400, "2 values",
    ),
    "invocations: wide rows": ("/invocations", {"inputs": [["a", "b"]]}, 400, "2 values"),
    "infer: another model": ("/v2/models/cats/infer", {"inputs": []}, 404, "The model here is reviews"),
    "infer: another version": ("/v2/models/reviews/versions/9/infer", {"inputs": []}, 404, "[1]"),
    "infer: no tensor": ("/v2/models/reviews/infer", {"inputs": []}, 400, "one tensor named 'text'"),
    "infer: FP32": (
        "/v2/models/reviews/infer",
        {"inputs": [{"name": "text", "shape": [1], "datatype": "FP32", "data": [1]}]}, 400, "must be BYTES",
    ),
    "infer: another shape": (
        "/v2/models/reviews/infer",
        {"inputs": [{"name": "text", "shape": [3], "datatype": "BYTES", "data": ["a"]}]}, 400, "[3]",
    ),
    "infer: an unknown output": (
        "/v2/models/reviews/infer",
        {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}], "outputs": [{"name": "x"}]},
        400, "Received: x",
    ),
    "nothing there": ("/nothing", {}, 404, "/docs"),
    "not asked that way": ("/metrics", {}, 405, "not asked that way"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_the_reason_in_json(http: httpx.Client, name: str):
    path, body, status, reason = BAD[name]
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    answer = http.post(path, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    error = answer.json()
    key = "message" if path == "/invocations" else "error" if path.startswith("/v2") else "detail"
    assert reason in error[key]
    assert "Traceback" not in answer.text
    if key == "detail":
        assert answer.headers["content-type"] == "application/problem+json"
        assert error["status"] == status


@pytest.mark.parametrize(
    ("media", "body", "status", "reason"),
    [
        ("text/plain", b"a", 415, "application/json or text/csv"),
        ("", b"a", 415, "Received: none"),
        ("application/json; charset=latin-1", b"{}", 415, "UTF-8"),
        ("text/csv", b"", 400, "names of its columns"),
        ("text/csv", b"quote\na\n", 400, "column 'text'"),
        ("text/csv", b"text,n\na\n", 400, "Line 2 must have 2 fields"),
        ("text/csv", b"text\n\xff\n", 400, "CSV in UTF-8"),
        ("text/csv", b'text\n"open', 400, "CSV in UTF-8"),
    ],
)
def test_invocations_refuses_other_content(http: httpx.Client, media: str, body: bytes, status: int, reason: str):
    answer = http.post("/invocations", content=body, headers={"content-type": media} if media else {})
    assert (answer.status_code, answer.json().keys()) == (status, {"error_code", "message"})
    assert reason in answer.json()["message"]


# Access


def test_foreign_host_names_and_pages_of_other_sites_are_refused(http: httpx.Client, service: Served):
    for headers in (
        {"host": "evil.example"}, {"host": "evil.example:8000"}, {"origin": "http://evil.example"}, {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
    ):  # fmt: skip
        assert http.post("/predict", json={"texts": ["a"]}, headers=headers).status_code == 403, headers
    same_site = {"origin": service.address, "sec-fetch-site": "same-origin"}
    assert http.post("/predict", json={"texts": ["a"]}, headers=same_site).status_code == 200


def test_every_route_but_the_health_checks_needs_the_token(original: Project, tmp_path: Path):
    project = copied(original, tmp_path / "project")
    with served(project, RATCHET_TOKEN="s3cret") as service, httpx.Client(base_url=service.address) as http:
        for path in ("/predict", "/metrics", "/openapi.json", "/", "/v2/models/reviews", "/nothing"):
            answer = http.get(path)
            assert (answer.status_code, answer.headers["www-authenticate"][:5]) == (401, "Basic"), path
            assert http.get(path, headers={"authorization": "Bearer s3cre"}).status_code == 401
            assert http.get(path, headers={"authorization": "Basic !!!"}).status_code == 401
        assert http.get("/ping").status_code == http.get("/v2/health/ready").status_code == 200
        for headers in ({"authorization": "Bearer s3cret"}, {"authorization": "Bearer s3cret", "host": "our.example"}):
            assert http.post("/predict", json={"texts": ["a"]}, headers=headers).status_code == 200
        assert http.get("/metrics", auth=("anybody", "s3cret")).status_code == 200


def test_an_address_on_the_network_needs_a_token(project: Project):
    done = project.make("serve", RATCHET_HOST="0.0.0.0")
    refused(done, "needs a token", "RATCHET_HOST=0.0.0.0 and no RATCHET_TOKEN")
