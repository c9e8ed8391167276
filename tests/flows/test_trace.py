"""`make trace`: from a prediction to the version, run, bundle, data, commit and decision that it came from."""

from __future__ import annotations

import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from ratchet.monitoring.log import database, predictions
from tests.support.project import Project, refused


def lines_of(text: str) -> dict[str, str]:
    """Return a command's output in two columns as text by name."""
    return dict(re.findall(r"^(\S.*?)  +(\S.*)$", text, re.MULTILINE))


def log_prediction(log: Path, text: str | None, label: str | None = None, version: int = 1) -> str:
    """Log a prediction as the service does, with a person's label where one is given; returns its id."""
    (name,) = predictions.identities(1)
    row = (name, time.time(), "reviews", version, "champion", "/predict", "good", 0.9, 15, "0" * 16, text, 0.0021)
    with database.connected(log) as connection:
        connection.execute(predictions.INSERT, row)
        if label is not None:
            connection.execute(predictions.FEEDBACK, (name, label, "user", time.time(), None))
    return name


def test_a_prediction_is_walked_back_to_its_data_and_decision(turned: Project) -> None:
    predicted = turned.make("predict", "TEXT=a splendid warm film")
    assert predicted.status == 0, predicted.text
    command = re.search(r"^Where it comes from: make (trace) (ID=[0-9a-f]{32})$", predicted.text, re.MULTILINE)
    assert command, predicted.text
    done = turned.make(*command.groups())
    assert done.status == 0, done.text
    trace = lines_of(done.text)
    label, sure = re.match(r"(\w+)  (\S+% sure)", predicted.text).groups()  # type: ignore[union-attr]
    assert trace["prediction"] == f"{label}, {sure}"
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d UTC by make predict, answered by the champion", trace["asked"])
    assert trace["text"] == "20 characters, which were not kept"
    assert trace["feedback"] == "none"
    assert trace["version"].startswith("1 of reviews (linear), champion")
    assert (turned.root / "state" / "bundles" / trace["bundle"] / "manifest.json").exists()
    assert "/runs/" in trace["run"]
    assert trace["decision"].startswith("Promoted: ")
    data = re.search(r"md5: (\w+\.dir)", (turned.root / "data.dvc").read_text())
    assert data
    assert trace["data"].startswith(data[1].removesuffix(".dir")[:8])
    lineage = lines_of(turned.make("lineage", "VERSION=1").text)
    assert {name: trace[name] for name in lineage} == lineage, "the same words for the same version"


def test_text_and_feedback_are_shown_as_they_were_kept(turned: Project) -> None:
    log = turned.root / "state" / "predictions.db"
    name = log_prediction(log, "a [bold]warm[/bold] film $5", label="bad")
    trace = lines_of(turned.make("trace", f"ID={name}").text)
    assert trace["text"] == "a [bold]warm[/bold] film $5"
    assert trace["feedback"] == "bad: wrong"
    assert trace["asked"].endswith("UTC by /predict, answered by the champion, in 2.1 ms")


@pytest.mark.parametrize("word", ["", "ID=", "ID=0123", "ID=$(touch hurt); '\"", "ID=" + "f" * 32])
def test_an_id_that_nothing_has_is_told_where_ids_come_from(turned: Project, word: str) -> None:
    params = (turned.root / "params.yaml").read_text()
    turned.write("params.yaml", params + "deploy: {log: {days: 12}}\n")
    refused(turned.make(*("trace", word) if word else ("trace",)), "of the last 12 days (`deploy.log.days`)")
    turned.write("params.yaml", params)
    assert not (turned.root / "hurt").exists()


def test_a_deleted_version_is_traced_by_the_ledger(own: Project) -> None:
    name = log_prediction(own.root / "state" / "predictions.db", None)
    with closing(sqlite3.connect(own.root / "state" / "mlflow.db")) as connection:
        (run,) = connection.execute("select run_id from model_versions where version = 1").fetchone()
    code = "import mlflow; mlflow.MlflowClient().delete_model_version('reviews', '1')"
    assert own.python(code, MLFLOW_TRACKING_URI=own.tracking_uri).status == 0
    done = own.make("trace", f"ID={name}")
    assert done.status == 0, done.text
    trace = lines_of(done.text)
    assert trace["prediction"] == "good, 90.0% sure"
    assert trace["version"].startswith("1 of reviews, which somebody has deleted in MLflow since")
    assert trace["live"].startswith("since ")
    assert trace["decision"].startswith("Promoted: ")
    assert trace["data"] == own.ledger[0]["evidence"]["data_version"]  # type: ignore[index]
    assert re.fullmatch(r"[0-9a-f]{40}|unknown", trace["commit"])
    assert run not in done.text
