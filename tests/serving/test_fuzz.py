"""The service against requests that nobody thought of: by its own document, and through each of its protocols.

Schemathesis makes requests from /openapi.json, valid and not, and holds the answers to it. Hypothesis goes deeper than
a schema can: the protocols must agree on any texts, and nothing that is sent may bring out a fault. Together the long
run has LONG cases at least.
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
from ratchet.project.paths import Places
from ratchet.project.settings import Deploy
from ratchet.serving.answering.batcher import Batcher
from ratchet.serving.answering.bundle import Bundle, Facts
from ratchet.serving.answering.metrics import ServiceMetrics
from ratchet.serving.answering.service import Live, Service
from ratchet.serving.app import application
from ratchet.serving.connections import Connections
from ratchet.serving.docs.operations import Answering, operations
from ratchet.serving.pages.try_page import FORM
from tests.support.project import Project, small_table
from tests.support.service import served

JSON = {"content-type": "application/json"}
SHORT = 500
"""Cases that Schemathesis makes at least in the short run."""
LONG = 20_000
"""Cases of the long run: of Schemathesis and of Hypothesis, together."""
CONFIGURATION = """
[checks]
ignored_auth.enabled = false # this service has no token; tests/serving/test_serving.py asks one that has

# Whether `shape` fits `data` is more than JSON Schema can say: what is valid by the document may be refused there.
[[operations]]
include-path-regex = "/infer$"
checks.positive_data_acceptance.enabled = false
"""
"""All of Schemathesis' checks but these."""


# By the document


def schemathesis(project: Project, folder: Path, *options: str) -> int:
    """The cases that it made against a service of that project, after it found no fault."""
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
    found = json.loads(report.read_text())
    assert found["complete"]
    assert found["operations"]["tested"] == len(operations(Answering("reviews"))) - 1  # not the document itself
    assert found["test_cases"]["errored"] == found["test_cases"]["with_failures"] == 0
    return int(found["test_cases"]["generated"])


def test_the_service_keeps_to_its_document(turned: Project, tmp_path: Path) -> None:
    assert schemathesis(turned, tmp_path, "--max-examples", "5", "--generation-deterministic") >= SHORT


# Through the protocols, in this process


class Desk:
    """A service in this process, with a small linear model."""

    def __init__(self, folder: Path) -> None:
        here = Places(folder, folder / "state", "127.0.0.1", 0, 0, 0)
        log = Log(Policy())
        self.service = Service(here, "reviews", Deploy(), log, ServiceMetrics(log), print)
        model: Any = learnt()
        self.service.champion = Live(Bundle("", Facts("reviews", 1, "linear", "", "", ""), model), Batcher(model))
        app: Any = application(self.service, Connections(self.service))
        self._loop = asyncio.Runner()
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=True), base_url="http://localhost"
        )
        self._loop.run(log.start())

    def ask(self, method: str, path: str, content: bytes | None = None, headers: Any = None) -> httpx.Response:
        """The answer, which is no fault of the service, whatever was asked."""
        found = self._loop.run(self._client.request(method, path, content=content, headers=headers))
        assert found.status_code < 500, (method, path, content, headers, found.text)
        return found

    def post(self, path: str, body: object) -> Any:
        """What an answer to JSON says; it must be one."""
        found = self.ask("POST", path, json.dumps(body).encode(), JSON)
        assert found.status_code == 200, found.text
        return found.json()

    def close(self) -> None:
        self._loop.run(self._client.aclose())
        self._loop.run(self.service.log.close())
        self._loop.close()


def learnt() -> linear.Linear:
    """A model of the made-up reviews."""
    rows = list(csv.reader(io.StringIO(small_table(200))))[1:]
    texts, labels = [row[0] for row in rows], [row[1] for row in rows]
    train, validation = Rows(texts[:160], labels[:160]), Rows(texts[160:], labels[160:])
    return linear.fit(train, validation, ("bad", "good"), linear.Params(), seed=0, progress=lambda *_: None)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("desk"))
    yield made
    made.close()


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
Said = list[tuple[float, float]]


def all_ways(desk: Desk, texts: Sequence[str]) -> dict[str, Said]:
    """The probabilities of each text, by each way to ask for them."""
    forms: dict[str, object] = {
        "split": {"dataframe_split": {"columns": ["n", "text"], "data": [[1, text] for text in texts]}},
        "records": {"dataframe_records": [{"text": text} for text in texts]},
        "inputs": {"inputs": texts},
        "instances": {"instances": [[text] for text in texts]},
        "a column": {"inputs": {"text": texts}},
    }
    found = {name: scored(desk.post("/invocations", form)) for name, form in forms.items()}
    for path in ("/v2/models/reviews/infer", "/v2/models/reviews/versions/1/infer"):
        nested = [[text] for text in texts] if "versions" in path else texts
        tensor = {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": nested}
        outputs = {each["name"]: each for each in desk.post(path, {"inputs": [tensor]})["outputs"]}
        flat = outputs["probabilities"]["data"]
        assert outputs["probabilities"]["shape"] == [len(texts), 2]
        found[path] = list(zip(flat[::2], flat[1::2], strict=True))
        assert outputs["label"]["data"] == list(map(label, found[path]))
    return found


def scored(told: Any) -> Said:
    rows = told["predictions"]
    found = [(row["p_bad"], row["p_good"]) for row in rows]
    assert [row["label"] for row in rows] == list(map(label, found))
    return found


def label(pair: tuple[float, float]) -> str:
    return "good" if pair[1] > pair[0] else "bad"


def alone(desk: Desk, texts: Sequence[str]) -> Said:
    rows = desk.post("/predict", {"texts": texts})["predictions"]
    assert [row["label"] for row in rows] == [label(tuple(row["probabilities"].values())) for row in rows]
    return [tuple(row["probabilities"].values()) for row in rows]


def close(left: Said, right: Said) -> bool:
    return len(left) == len(right) and all(
        one == pytest.approx(other, abs=1e-6) for one, other in zip(left, right, strict=True)
    )


def agree_on(desk: Desk, texts: Sequence[str]) -> None:
    expected = alone(desk, texts)
    assert len(expected) == len(texts)
    assert close([pair for text in texts for pair in alone(desk, [text])], expected)
    for way, found in all_ways(desk, texts).items():
        assert close(found, expected), (way, texts)


def agree_on_csv(desk: Desk, texts: Sequence[str], dialect: tuple[int, str], beside: bool) -> None:
    file, (quoting, end) = io.StringIO(newline=""), dialect
    writer = csv.writer(file, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]
    writer.writerow(["n", "text"] if beside else ["text"])
    writer.writerows([1, text] if beside else [text] for text in texts)
    raw = file.getvalue().encode()
    found = desk.ask("POST", "/invocations", raw, {"content-type": "text/csv; charset=utf-8"})
    assert found.status_code == 200, found.text
    assert close(scored(found.json()), alone(desk, texts)), raw


def give_feedback(desk: Desk, text: str, said: str) -> None:
    """A known label is taken, another refused, of an id that was given out; of no other is either."""
    (row,) = desk.post("/predict", {"texts": [text]})["predictions"]
    answer = desk.ask("POST", "/feedback", json.dumps({"id": row["id"], "label": said}).encode(), JSON)
    if said in ("good", "bad"):
        assert (answer.status_code, answer.json()) == (200, {"id": row["id"], "label": said})
    else:
        assert answer.status_code == 422
    other = desk.ask("POST", "/feedback", json.dumps({"id": said or "0", "label": "good"}).encode(), JSON)
    assert other.status_code == (404 if len(said) <= 64 else 422)


LABELS = st.one_of(st.sampled_from(["good", "bad", "Good", "good ", ""]), st.text(max_size=80))
QUOTING = st.sampled_from(
    [(csv.QUOTE_ALL, "\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_NONNUMERIC, "\r"), (csv.QUOTE_MINIMAL, "\r\n")]
)


# What is no request at all


PATHS = [each.path.replace("{name}", "reviews").replace("{version}", "1") for each in operations(Answering("reviews"))]
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
def spoilt(draw: st.DrawFn) -> bytes:
    """JSON that was a request before something happened to it."""
    whole = json.dumps(draw(st.sampled_from(VALID)))
    way = draw(st.sampled_from(["cut", "twice", "number", "deep", "bytes", "put in", "named"]))
    if way == "twice":
        return f"{whole[:-1]},{whole[1:]}".encode()
    if way == "number":
        return whole.replace('"a"', draw(NUMBERS)).replace("1", draw(NUMBERS)).encode()
    if way == "deep":
        depth, kind = draw(st.integers(1, 1_500)), draw(st.sampled_from(["[]", ('{"text":', "}")]))
        return whole.replace('"a"', kind[0] * depth + "1" + kind[1] * depth).encode()
    if way == "named":
        return f"{whole[:-1]},{draw(ODD)}:1}}".encode()
    at = draw(st.integers(0, len(whole)))
    if way == "cut":
        return whole[:at].encode()
    inside = draw(st.binary(max_size=8)) if way == "bytes" else draw(ODD).encode()
    return whole[:at].encode() + inside + whole[at:].encode()


BODIES = st.one_of(
    st.none(),
    st.binary(max_size=200),
    spoilt(),
    st.dictionaries(st.sampled_from(["text", "id", "label", "x"]), st.binary(max_size=20), max_size=4).map(
        lambda fields: b"&".join(name.encode() + b"=" + quote(value).encode() for name, value in fields.items())
    ),
    st.text(max_size=100).map(lambda rest: f"text\n{rest}".encode()),
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
PLACES = st.one_of(
    st.sampled_from(PATHS),
    st.tuples(st.sampled_from(PATHS), st.binary(max_size=9)).map(lambda each: f"{each[0]}/{quote(each[1])}"),
    st.binary(max_size=30).map(lambda raw: f"/{quote(raw)}"),
)
WHERE = st.tuples(PLACES, QUERIES).map("".join)
METHODS = st.sampled_from(["POST", "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "TRACE", "ANY"])
MOST_REFUSED = 10_000
"""Characters of a refusal; of its page, with the style."""


def bear(desk: Desk, method: str, path: str, body: bytes | None, kind: str, headers: dict[str, bytes]) -> None:
    """The answer is JSON, or a page where people look, with a reason and no trace; and the next one is as ever."""
    found = desk.ask(method, path, body, {"content-type": kind, **headers})
    told = found.headers.get("content-type", "").partition(";")[0]
    if found.status_code >= 400 and method != "HEAD":
        assert told in ("application/json", "application/problem+json", "text/html"), found.text
        assert len(found.content) <= MOST_REFUSED, len(found.content)
    if told.endswith("json") and method != "HEAD" and found.text.strip() and not path.startswith("/version"):
        told_so = found.json()
        assert found.status_code < 400 or max(map(len, map(str, told_so.values()))) > 10
    assert "Traceback" not in found.text
    assert 'File "' not in found.text
    assert desk.ask("GET", "/ping").status_code == 200


def bear_spoilt(desk: Desk, path: str, body: bytes) -> None:
    bear(desk, "POST", path, body, "application/json", {})


ASKED = st.sampled_from(["/predict", "/predict?explain=true", "/feedback", "/invocations", "/v2/models/reviews/infer"])
PROPERTIES: dict[str, tuple[Callable[..., None], SearchStrategy[Any]]] = {
    "all protocols answer the same": (agree_on, st.tuples(TEXTS)),
    "a CSV of any quoting is the texts that were written": (agree_on_csv, st.tuples(TEXTS, QUOTING, st.booleans())),
    "any label is taken or refused": (give_feedback, st.tuples(st.text(max_size=40), LABELS)),
    "nothing that is sent brings out a fault": (bear, st.tuples(METHODS, WHERE, BODIES, KINDS, HEADERS)),
    "a spoilt request is refused in few words": (bear_spoilt, st.tuples(ASKED, spoilt())),
}


def hold(desk: Desk, name: str, examples: int, **more: Any) -> int:
    """Try a property on so many inputs; how many it were."""
    check, inputs = PROPERTIES[name]
    cases = 0

    @settings(max_examples=examples, **more)
    @given(inputs)
    def each(drawn: tuple[Any, ...]) -> None:
        nonlocal cases
        cases += 1
        check(desk, *drawn)

    each()
    return cases


@pytest.mark.parametrize("name", PROPERTIES)
def test_for_any_request(desk: Desk, name: str) -> None:
    hold(desk, name, 50 if name.startswith(("a ", "all", "any")) else 200)


# Long


@pytest.mark.long
def test_twenty_thousand_cases_bring_out_no_fault(turned: Project, tmp_path: Path, desk: Desk) -> None:
    cases = sum(hold(desk, name, 2_500, derandomize=False) for name in PROPERTIES)
    cases += schemathesis(turned, tmp_path, "--max-examples", "600")
    assert cases >= LONG
