"""The page at /label: which texts people are asked about, and the source of their labels."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.data.prepare import split
from ratchet.monitoring import label_queue
from ratchet.monitoring.labels import audit_sample
from ratchet.problem import data_pin, settings
from ratchet.problem.data_pin import SplitSpec
from ratchet.problem.problem import Problem
from ratchet.project.paths import Places
from tests.support.project import Project, copied
from tests.support.service import ask, logged, metrics, served, until

SPEC = SplitSpec(by="group", salt="reviews")


@pytest.fixture(scope="module")
def project(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copied(original, tmp_path_factory.mktemp("labelled") / "project")


@contextmanager
def client(project: Project, **environment: str) -> Iterator[httpx.Client]:
    with served(project, **environment) as service, httpx.Client(base_url=service.address, timeout=30) as http:
        yield http


def texts_of(project: Project) -> dict[str, list[str]]:
    """Texts that the model is unsure of, by kind: `audit`, `train` (may be trained on), `neither`."""
    spec = SplitSpec.from_json((project.root / "data" / "split.json").read_text())
    words = ("splendid", "dull", "warm", "grim", "witty", "clumsy", "moving", "tedious", "bright", "flat")
    pairs = [f"{first} and {second}" for first in words for second in words if first != second]
    texts = [f"Film {number} is {pairs[number % 90]} {pairs[number % 89]}" for number in range(400)]
    by_kind: dict[str, list[str]] = {"audit": [], "train": [], "neither": []}
    audited = audit_sample.is_audited(texts, spec, 0.02)
    trainable = audit_sample.may_train(texts, spec)
    for text, is_audited, may_train in zip(texts, audited, trainable, strict=True):
        by_kind["audit" if is_audited else "train" if may_train else "neither"].append(text)
    return by_kind


def predict_and_queue(project: Project, http: httpx.Client, *texts: str) -> dict[str, str]:
    """Predict the texts, write the queue, and return the prediction ids by text."""
    before = metrics(http)["ratchet_log_written"]
    rows = ask(http, *texts)["predictions"]
    until(lambda: metrics(http)["ratchet_log_written"] == before + len(texts), "all texts are logged")
    refresh(project)
    return {text: row["id"] for text, row in zip(texts, rows, strict=True)}


def refresh(project: Project) -> None:
    here = Places(project.root, project.root / "state", "127.0.0.1", 0, 0, 0)
    label_queue.refresh(Problem(here, settings.load(here.params), data_pin.pinned(here)))


def read_queue(project: Project) -> dict[str, Any]:
    queue: dict[str, Any] = json.loads((project.root / "state" / "queue.json").read_text())
    return queue


def offered_text(http: httpx.Client, path: str = "/label") -> str:
    """The text that the page asks about; empty where there is none."""
    answer = http.get(path)
    assert answer.status_code == 200, answer.text
    paragraph = re.search(r'<p class="text" dir="auto">(.*?)</p>', answer.text, re.DOTALL)
    return html.unescape(paragraph[1]) if paragraph else ""


def post_label(http: httpx.Client, prediction: str, label: str) -> httpx.Response:
    return http.post("/label", data={"id": prediction, "label": label})


def test_audits_come_first_without_an_answer_and_each_label_has_the_source_of_its_offer(project: Project) -> None:
    kinds = texts_of(project)
    texts = [*kinds["audit"][:2], *kinds["train"][:3], *kinds["neither"][:3]]
    with client(project) as http:
        assert "Nothing waits for a label now" in http.get("/label").text
        ids = predict_and_queue(project, http, *texts)
        queue = read_queue(project)
        chances = dict(queue["chosen"])
        assert set(queue["audit"]) == {ids[text] for text in kinds["audit"][:2]}
        assert set(chances) == {ids[text] for text in kinds["train"][:3]}
        assert "5 texts wait for a label." in http.get("/").text
        first = offered_text(http)
        page = http.get("/label").text
        assert ids[first] == queue["audit"][0]
        assert "Drawn at random" in page
        assert "%" not in page.partition("<main")[2]
        assert page.index('value="bad"') < page.index('value="good"')
        skipped = offered_text(http, f"/label?after={ids[first]}")
        assert ids[skipped] == queue["audit"][1]
        assert offered_text(http) == first, "a skipped text is asked about again"

        assert post_label(http, ids[first], "bad").headers["location"] == f"/label?said={ids[first]}"
        thanks_page = http.get(f"/label?said={ids[first]}").text
        assert "You said: bad. Thank you." in thanks_page
        assert offered_text(http, f"/label?id={ids[first]}") == first, "a label can be changed"
        assert offered_text(http) == skipped
        post_label(http, ids[skipped], "good")
        third = offered_text(http)
        assert third in kinds["train"]
        assert "by how unsure the model is" in http.get("/label").text
        post_label(http, ids[third], "good")
        fourth = offered_text(http)
        http.post("/feedback", json={"id": ids[fourth], "label": "bad"})
        assert offered_text(http) not in {first, skipped, third, fourth, ""}
    feedback = {
        prediction: (label, source, chance)
        for prediction, label, source, chance in logged(
            project, "select prediction, label, source, chance from feedback"
        )
    }
    assert feedback[ids[first]] == ("bad", "audit", None)
    assert feedback[ids[skipped]] == ("good", "audit", None)
    assert feedback[ids[third]] == ("good", "chosen", chances[ids[third]])
    assert feedback[ids[fourth]] == ("bad", "user", None)
    assert 0 < chances[ids[third]] <= 1


def test_a_corrected_audit_text_stays_in_the_audit_and_a_form_cannot_name_the_source(project: Project) -> None:
    kinds = texts_of(project)
    corrected, other = kinds["audit"][2], kinds["neither"][4]
    with client(project) as http:
        ids = predict_and_queue(project, http, corrected, other)
        http.post("/feedback", json={"id": ids[corrected], "label": "bad"})
        refresh(project)
        assert ids[corrected] in read_queue(project)["audit"]
        http.post("/label", data={"id": ids[other], "label": "bad", "source": "audit", "chance": "1"})
        post_label(http, ids[corrected], "bad")
        http.post("/feedback", json={"id": ids[corrected], "label": "bad"})
        rows = logged(project, "select source from feedback where prediction in (?, ?)", ids[other], ids[corrected])
        assert sorted(rows) == [("audit",), ("user",)]


def test_missing_texts_and_a_damaged_queue_are_no_offers(project: Project) -> None:
    path, (text,) = project.root / "state" / "queue.json", texts_of(project)["train"][9:10]
    with client(project) as http:
        ids = predict_and_queue(project, http, text)
        path.write_text(json.dumps({"problem": "reviews", "at": 0, "audit": ["0" * 32], "chosen": [[ids[text], 0.5]]}))
        assert offered_text(http) == text
        assert "1 text waits for a label." in http.get("/label").text
        for damaged in ("{", "[]", '{"problem": "reviews", "at": 0, "audit": 7, "chosen": []}', '{"problem": "films"}'):
            path.write_text(damaged)
            assert offered_text(http) == ""
        path.unlink()
        assert offered_text(http) == ""


def test_an_answer_has_no_address_if_texts_are_not_kept(original: Project, tmp_path: Path) -> None:
    project = copied(original, tmp_path / "project")
    params = project.root / "params.yaml"
    params.write_text(params.read_text() + "deploy: {log: {texts: hash}}\n")
    with client(project, RATCHET_TOKEN="s3cret") as http:
        assert http.get("/label").status_code == 401
        http.auth = ("", "s3cret")
        answer = http.post("/", data={"text": "splendid and warm"})
        assert (answer.status_code, "splendid" in answer.text) == (200, True)
        trace = re.search(r"make trace ID=(\w{32})", answer.text)
        assert trace
        redirect = http.post("/correct", data={"id": trace[1], "label": "bad"})
        assert redirect.headers["location"] == "/?thanks=bad"
        assert "Texts are not kept here" in http.get("/?thanks=bad").text
        assert "You said" not in http.get("/?thanks=nonsense").text
        assert "The text is not kept" in http.get(f"/?id={trace[1]}").text
        assert http.get(f"/?id={'0' * 32}").status_code == 404
        assert "Nothing waits for a label now" in http.get("/label").text


@given(st.lists(st.text(max_size=8), min_size=1, max_size=30), st.floats(0, 0.1), st.floats(0, 0.1))
def test_the_audit_is_within_the_holdout_and_grows_with_its_share(
    texts: list[str], share: float, increase: float
) -> None:
    import polars as pl

    frame = split.assign_sides(
        pl.DataFrame({"text": texts, "group": [None] * len(texts)}, schema_overrides={"group": pl.String}), SPEC
    )
    audited = audit_sample.is_audited(texts, SPEC, share)
    larger = audit_sample.is_audited(texts, SPEC, share + increase)
    assert set(frame.filter(pl.Series(audited))["split"]) <= {"holdout"}
    assert (audit_sample.may_train(texts, SPEC) == (frame["split"] == "train").to_numpy()).all()
    assert (larger | ~audited).all()
    assert audit_sample.is_audited(texts, SPEC, 1).tolist() == (frame["split"] == "holdout").to_list()


def test_the_audit_has_its_share_of_the_texts() -> None:
    texts = [f"text {number}" for number in range(20_000)]
    assert audit_sample.is_audited(texts, SPEC, 0.02).mean() == pytest.approx(0.02, abs=0.004)
    assert not audit_sample.is_audited(texts, SPEC, 0).any()
