"""Watching as a user meets it: traffic is logged, `make optimise` looks, and each face shows what it found."""

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
found = live.classifier.predict_proba(texts)
rows = [
    (name, time.time(), "reviews", 1, "champion", "POST /predict", live.labels[row.argmax()], float(row.max()),
     len(text), predictions.digest(text), text if "KEEP" == "whole" else None, 0.001)
    for name, text, row in zip(predictions.identities(len(texts)), texts, found)
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
    """Texts of the kind that the model was judged on."""
    return [line.rpartition(",")[0] for line in small_table(rows, seed).splitlines()[1:]]


def trained_on(project: Project) -> list[str]:
    """Texts of the table that the model has learnt from."""
    (cache,) = (project.root / "state" / "cache").glob("prepared-*.parquet")
    return pl.read_parquet(cache).filter(pl.col("split") == "train")["text"].to_list()


def looked(project: Project) -> dict[str, object]:
    """What the look that is taken now leaves for the next."""
    done = project.make("optimise")
    assert done.status == 0, done.text
    found: dict[str, object] = json.loads((project.root / "state" / "watch.json").read_text())
    assert str(found["verdict"]) in done.text
    return found


def artifact(project: Project) -> str:
    """The newest drift report in Prefect's database."""
    with closing(sqlite3.connect(project.root / "state" / "prefect" / "prefect.db")) as connection:
        (text,) = connection.execute(
            "select data from artifact where key = 'drift-report' order by created desc limit 1"
        ).fetchone()
    return str(json.loads(text))


def page(project: Project) -> str:
    """The page with the version's run in MLflow, the same as that of the state."""
    (kept,) = (project.root / "state" / "artifacts").rglob("watch/drift.html")
    text = kept.read_text(encoding="utf-8")
    assert text == (project.root / "state" / "reports" / "drift.html").read_text(encoding="utf-8")
    return text


def test_traffic_of_the_same_kind_is_steady_and_every_face_says_so(project: Project) -> None:
    """Somebody who asks the same thing 900 times is one text; and texts that it was trained on are none."""
    send(project, reviews(399, seed=2))
    send(project, trained_on(project))
    send(project, ["Film 3 of 1234 is witty dull flat"] * 900)
    found = looked(project)
    assert found["verdict"] == "Steady: the last 400 distinct texts look like the holdout."
    assert {"words", "unknown words", "predicted label"} <= set(found["effects"])  # type: ignore[call-overload]
    assert artifact(project).splitlines()[0] == found["verdict"]
    assert f"<h1>{found['verdict']}</h1>" in page(project)
    status = project.make("status").text
    assert "watched    Steady: the last 400 distinct texts" in status.replace("\n" + " " * 11, " ")
    assert "by estimate" in status


def test_the_service_shows_the_last_look_to_prometheus(project: Project) -> None:
    with served(project) as running:
        asked = urllib.request.urlopen(f"{running.address}/metrics", timeout=30).read().decode()
    families = {family.name: family for family in text_string_to_metric_families(asked)}
    assert families["ratchet_drifted"].samples[0].value == 0
    assert families["ratchet_watched_texts"].samples[0].value == 400
    low, value, high = (
        next(s.value for s in families["ratchet_accuracy_estimated"].samples if s.labels["bound"] == bound)
        for bound in ("low", "value", "high")
    )
    assert 0.5 < low < value < high <= 1


def test_traffic_of_another_kind_is_called_by_its_name(project: Project) -> None:
    send(project, [f"Order {n} came late, the parcel was open and {n % 7} screws were missing" for n in range(900)])
    found = looked(project)
    assert str(found["verdict"]).startswith("Drifted: ")
    assert "text length" in found["called"]  # type: ignore[operator]
    assert artifact(project).splitlines()[0] == found["verdict"]
    assert "screws" not in artifact(project)
    assert "screws" not in page(project)


def test_where_only_hashes_are_kept_the_rest_is_compared_also_for_a_version_of_before(project: Project) -> None:
    """A reference of before right labels were kept gets those of the pinned rows, which are the ones it was made of."""
    (path,) = (project.root / "state" / "artifacts").rglob("reference.json")
    known = json.loads(path.read_text())
    path.write_text(json.dumps({name: known[name] for name in ("characters", "label", "score")}))
    send(project, reviews(1_000, seed=3), keep="hash")
    found = looked(project)
    assert set(found["effects"]) == {  # type: ignore[call-overload]
        "text length", "predicted label", "confidence", "predicted label since it went live",
    }  # fmt: skip
    assert "deploy.log.texts" in artifact(project)
    assert found["figures"]["holdout"]["rows"] == len(known["label"])  # type: ignore[index]
