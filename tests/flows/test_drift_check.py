"""The drift check as a user meets it: traffic is logged, `make optimise` checks it, and each page shows the result."""

from __future__ import annotations

import json
import sqlite3
import urllib.request
from contextlib import closing

import polars as pl
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.project import Project, copied, small_table
from tests.support.service import served

LOG = """
import sys, time
from ratchet.monitoring.log import predictions
from ratchet.project.paths import places
from ratchet.serving.answering import bundle
from ratchet.serving.answering import lineup

here, texts = places(), sys.stdin.read().splitlines()
live = bundle.open_bundle(here.bundles, lineup.read(here.lineup, "reviews").champion.digest)
probabilities = live.model.predict(texts)
rows = [
    (name, time.time(), "reviews", 1, "champion", "POST /predict", live.labels[row.argmax()], float(row.max()),
     len(text), predictions.digest(text), text if "KEEP" == "whole" else None, 0.001)
    for name, text, row in zip(predictions.identities(len(texts)), texts, probabilities)
]
with predictions.connected(here.predictions) as log:
    log.executemany(predictions.INSERT, rows)
"""


@pytest.fixture(scope="module")
def project(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return copied(original, tmp_path_factory.mktemp("watched") / "project")


def send(project: Project, texts: list[str], keep: str = "whole") -> None:
    """Log the champion's answers to texts as the service does."""
    path = project.write("sent.txt", "\n".join(texts))
    code = LOG.replace("KEEP", keep).replace("sys.stdin.read()", f"open({str(path)!r}).read()")
    done = project.python(code)
    path.unlink()
    assert done.status == 0, done.text


def reviews(rows: int, seed: int) -> list[str]:
    """Return texts of the kind that the model was judged on."""
    return [line.rpartition(",")[0] for line in small_table(rows, seed).splitlines()[1:]]


def trained_on(project: Project) -> list[str]:
    """Return the texts of the training rows."""
    (cache,) = (project.root / "state" / "cache").glob("prepared-*.parquet")
    return pl.read_parquet(cache).filter(pl.col("split") == "train")["text"].to_list()


def check(project: Project) -> dict[str, object]:
    """Run `make optimise`; returns the state that the check leaves for the next one."""
    done = project.make("optimise")
    assert done.status == 0, done.text
    state: dict[str, object] = json.loads((project.root / "state" / "watch.json").read_text())
    assert str(state["verdict"]) in done.text
    return state


def artifact(project: Project) -> str:
    """Return the newest drift report in Prefect's database."""
    with closing(sqlite3.connect(project.root / "state" / "prefect" / "prefect.db")) as connection:
        (text,) = connection.execute(
            "select data from artifact where key = 'drift-report' order by created desc limit 1"
        ).fetchone()
    return str(json.loads(text))


def page(project: Project) -> str:
    """Return the page with the version's run in MLflow, which is the same as that of the state."""
    (kept,) = (project.root / "state" / "artifacts").rglob("watch/drift.html")
    text = kept.read_text(encoding="utf-8")
    assert text == (project.root / "state" / "reports" / "drift.html").read_text(encoding="utf-8")
    return text


def test_traffic_of_the_same_kind_is_steady_and_every_face_says_so(project: Project) -> None:
    """One text that is sent 900 times counts once; texts of the training rows do not count."""
    send(project, reviews(399, seed=2))
    send(project, trained_on(project))
    send(project, ["Film 3 of 1234 is witty dull flat"] * 900)
    state = check(project)
    assert state["verdict"] == "Steady: the last 400 distinct texts look like the holdout."
    assert {"words", "unknown words", "predicted label"} <= set(state["effects"])  # type: ignore[call-overload]
    assert artifact(project).splitlines()[0] == state["verdict"]
    assert f"<h1>{state['verdict']}</h1>" in page(project)
    status = project.make("status").text
    assert "watched    Steady: the last 400 distinct texts" in status.replace("\n" + " " * 11, " ")
    assert "by estimate" in status


def test_the_service_shows_the_last_look_to_prometheus(project: Project) -> None:
    with served(project) as running:
        text = urllib.request.urlopen(f"{running.address}/metrics", timeout=30).read().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families["ratchet_drifted"].samples[0].value == 0
    assert families["ratchet_watched_texts"].samples[0].value == 400
    low, value, high = (
        next(s.value for s in families["ratchet_accuracy_estimated"].samples if s.labels["bound"] == bound)
        for bound in ("low", "value", "high")
    )
    assert 0.5 < low < value < high <= 1


def test_traffic_of_another_kind_is_called_by_its_name(project: Project) -> None:
    send(project, [f"Order {n} came late, the parcel was open and {n % 7} screws were missing" for n in range(900)])
    state = check(project)
    assert str(state["verdict"]).startswith("Drifted: ")
    assert "text length" in state["called"]  # type: ignore[operator]
    assert artifact(project).splitlines()[0] == state["verdict"]
    assert "screws" not in artifact(project)
    assert "screws" not in page(project)


def test_where_only_hashes_are_kept_the_rest_is_compared_also_for_a_version_of_before(project: Project) -> None:
    """A reference that was stored without right labels gets those of the pinned rows that it was made from."""
    (path,) = (project.root / "state" / "artifacts").rglob("reference.json")
    columns = json.loads(path.read_text())
    path.write_text(json.dumps({name: columns[name] for name in ("characters", "label", "score")}))
    send(project, reviews(1_000, seed=3), keep="hash")
    state = check(project)
    assert set(state["effects"]) == {  # type: ignore[call-overload]
        "text length", "predicted label", "confidence", "predicted label since it went live",
    }  # fmt: skip
    assert "deploy.log.texts" in artifact(project)
    assert state["figures"]["holdout"]["rows"] == len(columns["label"])  # type: ignore[index]
