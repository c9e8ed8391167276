"""Fuzz tests of the service, by its OpenAPI document and through each of its protocols.

Schemathesis generates valid and invalid requests from /openapi.json, and checks the answers against it. Hypothesis
checks what a schema cannot express: the protocols agree on any texts, and no request causes a fault.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from models import linear
from models.contract import Rows
from ratchet.monitoring.log.client import Log
from ratchet.monitoring.log.writer import Policy
from ratchet.problem.settings import Deploy
from ratchet.project.paths import Places
from ratchet.serving.answering.batcher import Batcher
from ratchet.serving.answering.bundle import Bundle, Facts
from ratchet.serving.answering.metrics import ServiceMetrics
from ratchet.serving.answering.service import Live, Service
from ratchet.serving.app import application
from ratchet.serving.connections import Connections
from ratchet.serving.docs.operations import DocumentedModel, operations
from ratchet.serving.pages.try_page import FORM
from tests.support.project import Project, small_table
from tests.support.service import served

JSON = {"content-type": "application/json"}
MIN_SHORT_CASES = 500
"""Cases of Schemathesis in the short run, at least."""
MIN_LONG_CASES = 20_000
"""Cases of Schemathesis and Hypothesis together in the long run, at least."""
CONFIGURATION = """
[checks]
ignored_auth.enabled = false # this service has no token; tests/serving/test_serving.py asks one that has

# JSON Schema cannot state that `shape` must fit `data`: a request that is valid by the document may be refused there.
[[operations]]
include-path-regex = "/infer$"
checks.positive_data_acceptance.enabled = false
"""
"""The checks of Schemathesis that are switched off."""


# Schemathesis


def schemathesis(project: Project, folder: Path, *options: str) -> int:
    """Run Schemathesis against a service of the project, expect no failure, and return the number of its cases."""
    folder.joinpath("schemathesis.toml").write_text(CONFIGURATION)
    report = folder / "report.json"
    with served(project) as service:
        done = subprocess.run(
            [Path(sys.executable).with_name("schemathesis"), "run", f"{service.address}/openapi.json",
             "--continue-on-failure", "--no-color", "--report", "json",
             "--report-json-path", report, *options],
            cwd=folder, env=project.environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Traceback" not in service.said
    results = json.loads(report.read_text())
    assert results["complete"]
    assert results["operations"]["tested"] == len(operations(DocumentedModel("reviews"))) - 1  # not the document itself
    assert results["test_cases"]["errored"] == results["test_cases"]["with_failures"] == 0
    return int(results["test_cases"]["generated"])


def test_the_service_keeps_to_its_document(turned: Project, tmp_path: Path) -> None:
    assert schemathesis(turned, tmp_path, "--max-examples", "5", "--generation-deterministic") >= MIN_SHORT_CASES


# The protocols agree


class LocalService:
    """A service in this process, with a small linear model."""

    def __init__(self, folder: Path) -> None:
        here = Places(folder, folder / "state", "127.0.0.1", 0, 0, 0)
        log = Log(Policy())
        self.service = Service(here, "reviews", Deploy(), log, ServiceMetrics(log), print)
        model: Any = train()
        self.service.champion = Live(Bundle("", Facts("reviews", 1, "linear", "", "", ""), model), Batcher(model))
        app: Any = application(self.service, Connections(self.service))
        self._loop = asyncio.Runner()
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=True), base_url="http://localhost"
        )
        self._loop.run(log.start())

    def request(self, method: str, path: str, content: bytes | None = None, headers: Any = None) -> httpx.Response:
        """Send a request; its answer must not be a fault of the service."""
        answer = self._loop.run(self._client.request(method, path, content=content, headers=headers))
        assert answer.status_code < 500, (method, path, content, headers, answer.text)
        return answer

    def post(self, path: str, body: object) -> Any:
        """Post JSON, which must succeed, and return the decoded answer."""
        answer = self.request("POST", path, json.dumps(body).encode(), JSON)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def close(self) -> None:
        self._loop.run(self._client.aclose())
        self._loop.run(self.service.log.close())
        self._loop.close()


def train() -> linear.Linear:
    """A model of the made-up reviews."""
    rows = list(csv.reader(io.StringIO(small_table(200))))[1:]
    texts = [row[0] for row in rows]
    labels = [row[1] for row in rows]
    training = Rows(texts[:160], labels[:160])
    validation = Rows(texts[160:], labels[160:])
    return linear.fit(training, validation, ("bad", "good"), linear.Params(), seed=0, progress=lambda *_: None)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    local = LocalService(tmp_path_factory.mktemp("service"))
    yield local
    local.close()


WORDS = st.sampled_from(
    ["splendid", "warm", "dull", "grim", "Film 7", "電影", "فيلم", "👩‍👩‍👧", "e\u0301", "\u202e", "\ufeff"]
)
TEXTS = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.lists(WORDS, max_size=8).map(" ".join),
        st.sampled_from(["", " ", "\x00", "\r", "\n", '"', ",", "text", "x" * 4_000, "a b " * 1_000, "\U0010ffff"]),
    ),
    min_size=1,
    max_size=6,
)
Shares = list[tuple[float, float]]
"""The probabilities of `bad` and `good`, one pair a text."""


def shares_by_protocol(service: LocalService, texts: Sequence[str]) -> dict[str, Shares]:
    """The probabilities by each form of MLflow's and each route of the Open Inference Protocol."""
    forms: dict[str, object] = {
        "split": {"dataframe_split": {"columns": ["n", "text"], "data": [[1, text] for text in texts]}},
        "records": {"dataframe_records": [{"text": text} for text in texts]},
        "inputs": {"inputs": texts},
        "instances": {"instances": [[text] for text in texts]},
        "a column": {"inputs": {"text": texts}},
    }
    shares = {name: mlflow_shares(service.post("/invocations", form)) for name, form in forms.items()}
    for path in ("/v2/models/reviews/infer", "/v2/models/reviews/versions/1/infer"):
        data = [[text] for text in texts] if "versions" in path else texts
        tensor = {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": data}
        outputs = {output["name"]: output for output in service.post(path, {"inputs": [tensor]})["outputs"]}
        flat = outputs["probabilities"]["data"]
        assert outputs["probabilities"]["shape"] == [len(texts), 2]
        shares[path] = list(zip(flat[::2], flat[1::2], strict=True))
        assert outputs["label"]["data"] == list(map(likeliest, shares[path]))
    return shares


def mlflow_shares(answer: Any) -> Shares:
    """The probabilities in an answer of /invocations, whose labels must be the likeliest."""
    rows = answer["predictions"]
    shares = [(row["p_bad"], row["p_good"]) for row in rows]
    assert [row["label"] for row in rows] == list(map(likeliest, shares))
    return shares


def own_shares(service: LocalService, texts: Sequence[str]) -> Shares:
    """The probabilities by /predict, whose labels must be the likeliest."""
    rows = service.post("/predict", {"texts": texts})["predictions"]
    shares = [tuple(row["probabilities"].values()) for row in rows]
    assert [row["label"] for row in rows] == list(map(likeliest, shares))
    return shares


def likeliest(pair: tuple[float, float]) -> str:
    return "good" if pair[1] > pair[0] else "bad"


def are_close(left: Shares, right: Shares) -> bool:
    return len(left) == len(right) and all(
        pair == pytest.approx(expected, abs=1e-6) for pair, expected in zip(left, right, strict=True)
    )


def check_protocols(service: LocalService, texts: Sequence[str]) -> None:
    """All protocols give the same probabilities, for the texts together and one by one."""
    expected = own_shares(service, texts)
    assert len(expected) == len(texts)
    assert are_close([pair for text in texts for pair in own_shares(service, [text])], expected)
    for protocol, shares in shares_by_protocol(service, texts).items():
        assert are_close(shares, expected), (protocol, texts)


def check_csv(service: LocalService, texts: Sequence[str], dialect: tuple[int, str], has_other_column: bool) -> None:
    """A CSV of any quoting and line end gives the probabilities of the texts written to it."""
    quoting, end = dialect
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]
    writer.writerow(["n", "text"] if has_other_column else ["text"])
    writer.writerows([1, text] if has_other_column else [text] for text in texts)
    raw = file.getvalue().encode()
    answer = service.request("POST", "/invocations", raw, {"content-type": "text/csv; charset=utf-8"})
    assert answer.status_code == 200, answer.text
    assert are_close(mlflow_shares(answer.json()), own_shares(service, texts)), raw


def check_feedback(service: LocalService, text: str, label: str) -> None:
    """For a known id, a known label is taken and another one refused; for an unknown id, every label is refused."""
    (row,) = service.post("/predict", {"texts": [text]})["predictions"]
    answer = service.request("POST", "/feedback", json.dumps({"id": row["id"], "label": label}).encode(), JSON)
    if label in ("good", "bad"):
        assert (answer.status_code, answer.json()) == (200, {"id": row["id"], "label": label})
    else:
        assert answer.status_code == 422
    refusal = service.request("POST", "/feedback", json.dumps({"id": label or "0", "label": "good"}).encode(), JSON)
    assert refusal.status_code == (404 if len(label) <= 64 else 422)


LABELS = st.one_of(st.sampled_from(["good", "bad", "Good", "good ", ""]), st.text(max_size=80))
QUOTING = st.sampled_from(
    [(csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_NONNUMERIC, "\r"), (csv.QUOTE_MINIMAL, "\r\n")]
)


# Malformed requests


PATHS = [
    operation.path.replace("{name}", "reviews").replace("{version}", "1")
    for operation in operations(DocumentedModel("reviews"))
]
VALID = [
    {"texts": ["a"], "key": None},
    {"id": "0" * 32, "label": "good"},
    {"inputs": ["a"], "params": {"n": 1}},
    {"dataframe_split": {"columns": ["text"], "data": [["a"]]}},
    {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}], "outputs": [{"name": "label"}]},
]
NUMBERS = st.sampled_from(["1e999", "-0", "9" * 400, "9" * 6_000, "1e-999", "NaN", "18446744073709551616", "0x1", "01"])
ODD = st.sampled_from(['"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\x"', '"' + "n" * 15_000 + '"', "true", "\x00"])


@st.composite
def damaged_json(draw: st.DrawFn) -> bytes:
    """A valid request with one kind of damage."""
    whole = json.dumps(draw(st.sampled_from(VALID)))
    damage = draw(st.sampled_from(["cut", "twice", "number", "deep", "bytes", "put in", "named"]))
    if damage == "twice":
        return f"{whole[:-1]},{whole[1:]}".encode()
    if damage == "number":
        return whole.replace('"a"', draw(NUMBERS)).replace("1", draw(NUMBERS)).encode()
    if damage == "deep":
        depth = draw(st.integers(1, 1_500))
        opening, closing = draw(st.sampled_from(["[]", ('{"text":', "}")]))
        return whole.replace('"a"', opening * depth + "1" + closing * depth).encode()
    if damage == "named":
        return f"{whole[:-1]},{draw(ODD)}:1}}".encode()
    position = draw(st.integers(0, len(whole)))
    if damage == "cut":
        return whole[:position].encode()
    inserted = draw(st.binary(max_size=8)) if damage == "bytes" else draw(ODD).encode()
    return whole[:position].encode() + inserted + whole[position:].encode()


BODIES = st.one_of(
    st.none(),
    st.binary(max_size=200),
    damaged_json(),
    st.dictionaries(st.sampled_from(["text", "id", "label", "x"]), st.binary(max_size=20), max_size=4).map(
        lambda fields: b"&".join(name.encode() + b"=" + quote(value).encode() for name, value in fields.items())
    ),
    st.text(max_size=100).map(lambda lines: f"text\n{lines}".encode()),
)
KINDS = st.sampled_from(
    ["application/json", "text/csv", FORM, "application/json; charset=latin-1", "application/json;;", "a/b", "", ";"]
)
JUNK = st.binary(max_size=40).map(lambda value: bytes(byte for byte in value if byte > 31 and byte != 127).strip())
HEADERS = st.dictionaries(
    st.sampled_from(
        ["accept-language", "ratchet-key", "origin", "host", "sec-fetch-site", "authorization", "content-length",
         "transfer-encoding", "accept", "cookie", "expect", "range", "if-none-match", "x-forwarded-host"]
    ),
    st.one_of(JUNK, st.sampled_from([b"zh;q=1e9", b"localhost:80", b"[::1]:9", b"Basic Og==", b"http://[", b"9" * 30])),
    max_size=3,
)  # fmt: skip
QUERIES = st.one_of(
    st.just(""),
    st.lists(st.tuples(st.sampled_from(["lang", "explain", "thanks", "x"]), st.binary(max_size=9)), max_size=3).map(
        lambda pairs: "?" + "&".join(f"{name}={quote(value)}" for name, value in pairs)
    ),
    st.sampled_from(["?", "?&&=&", "?explain", "?explain=true&explain=false", "?lang=%ff", "?a=" + "x" * 5_000]),
)
ANY_PATH = st.one_of(
    st.sampled_from(PATHS),
    st.tuples(st.sampled_from(PATHS), st.binary(max_size=9)).map(lambda pair: f"{pair[0]}/{quote(pair[1])}"),
    st.binary(max_size=30).map(lambda raw: f"/{quote(raw)}"),
)
ADDRESSES = st.tuples(ANY_PATH, QUERIES).map("".join)
METHODS = st.sampled_from(["POST", "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "TRACE", "ANY"])
MAX_REFUSAL = 10_000
"""Bytes of a refusal; a page's include the style sheet."""


def check_no_fault(
    service: LocalService, method: str, path: str, body: bytes | None, media: str, headers: dict[str, bytes]
) -> None:
    """An error is JSON or a page, short, with a reason and without a traceback; the service goes on answering."""
    answer = service.request(method, path, body, {"content-type": media, **headers})
    answer_media = answer.headers.get("content-type", "").partition(";")[0]
    if answer.status_code >= 400 and method != "HEAD":
        assert answer_media in ("application/json", "application/problem+json", "text/html"), answer.text
        assert len(answer.content) <= MAX_REFUSAL, len(answer.content)
    if answer_media.endswith("json") and method != "HEAD" and answer.text.strip() and not path.startswith("/version"):
        fields = answer.json()
        assert answer.status_code < 400 or max(map(len, map(str, fields.values()))) > 10
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    assert service.request("GET", "/ping").status_code == 200


def check_damaged_json(service: LocalService, path: str, body: bytes) -> None:
    check_no_fault(service, "POST", path, body, "application/json", {})


JSON_PATHS = st.sampled_from(
    ["/predict", "/predict?explain=true", "/feedback", "/invocations", "/v2/models/reviews/infer"]
)
PROPERTIES: dict[str, tuple[Callable[..., None], SearchStrategy[Any]]] = {
    "all protocols answer the same": (check_protocols, st.tuples(TEXTS)),
    "a CSV of any quoting is the texts that were written": (check_csv, st.tuples(TEXTS, QUOTING, st.booleans())),
    "any label is taken or refused": (check_feedback, st.tuples(st.text(max_size=40), LABELS)),
    "no request causes a fault": (check_no_fault, st.tuples(METHODS, ADDRESSES, BODIES, KINDS, HEADERS)),
    "damaged JSON is refused briefly": (check_damaged_json, st.tuples(JSON_PATHS, damaged_json())),
}


def run_property(service: LocalService, name: str, examples: int, **options: Any) -> int:
    """Check a property on generated examples; return how many there were."""
    check, inputs = PROPERTIES[name]
    cases = 0

    @settings(max_examples=examples, **options)
    @given(inputs)
    def check_example(drawn: tuple[Any, ...]) -> None:
        nonlocal cases
        cases += 1
        check(service, *drawn)

    check_example()
    return cases


@pytest.mark.parametrize("name", PROPERTIES)
def test_for_any_request(service: LocalService, name: str) -> None:
    run_property(service, name, 50 if name.startswith(("a ", "all", "any")) else 200)


# The long run


@pytest.mark.long
def test_twenty_thousand_cases_cause_no_fault(turned: Project, tmp_path: Path, service: LocalService) -> None:
    cases = sum(run_property(service, name, 2_500, derandomize=False) for name in PROPERTIES)
    cases += schemathesis(turned, tmp_path, "--max-examples", "600")
    assert cases >= MIN_LONG_CASES
