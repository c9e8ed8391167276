"""The same data version, params, lock and seed give the same model: its answers are the same to the last bit."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import models
from flows.registry.snapshot import DETAILS
from ratchet.judging.metrics import digest
from ratchet.training import job
from ratchet.training.job import Job
from tests.support.project import SMALL, Project, bring_small


def test_a_digest_tells_any_two_answers_apart() -> None:
    first = np.array([[0.25, 0.75], [0.5, 0.5]])
    expected = digest(("a", "b"), first)
    assert expected == digest(["a", "b"], np.asfortranarray(first))
    assert expected != digest(("a", "c"), first)
    assert expected != digest(("a", "b"), np.nextafter(first, 1))
    assert expected != digest(("a", "b"), first.reshape(1, 4))


def digests(project: Project) -> dict[str, str]:
    """By version: model, and the digest of its answers on the holdout."""
    with closing(sqlite3.connect(project.root / "state" / "mlflow.db")) as database:
        rows = database.execute("select version, value from model_version_tags where key = ?", (DETAILS,)).fetchall()
    return {str(version): json.loads(value)["predictions_digest"] for version, value in rows}


def card(project: Project) -> str:
    with closing(sqlite3.connect(project.root / "state" / "mlflow.db")) as database:
        return str(database.execute("select description from model_versions where version = 1").fetchone()[0])


def forget_all_but_data(project: Project) -> None:
    for path in (project.root / "state").iterdir():
        if path.name != "dvc":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_a_model_trained_again_answers_as_the_champion_did(turned: Project, tmp_path: Path) -> None:
    """In a process of its own, with hashes of strings salted anew; held against the tag that evaluate wrote."""
    (cached,) = (turned.root / "state" / "cache").glob("prepared-*.parquet")
    ready = pl.read_parquet(cached)
    sides = [ready.filter(pl.col("split") == side) for side in ("train", "validation")]
    job.write_rows(sides[:1], sides[1], tmp_path)
    linear, labels = models.get("linear"), tuple(sorted(ready["label"].unique()))
    trained = job.train(Job("linear", asdict(linear.Params()), labels, 0, 4.0), tmp_path, lambda _: None)
    texts = ready.filter(pl.col("split") == "holdout")["text"].to_list()
    again = digest(labels, models.load(trained.saved).predict(texts))
    assert digests(turned)["1"] == again
    assert f"digest `{again}`" in card(turned)


@pytest.mark.long
@pytest.mark.parametrize("model", ["linear", "lstm"])
def test_a_model_made_again_in_another_project_answers_alike(tmp_path: Path, model: str) -> None:
    answers = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        project = bring_small(Project(tmp_path / name / "project"), 1500)
        project.write("params.yaml", SMALL.replace("[majority, linear]", f"[{model}]"))
        done = project.make("run")
        assert done.status == 0, done.text
        answers.append(digests(project)["1"])
        forget_all_but_data(project)
        assert project.make("run").status == 0
        answers.append(digests(project)["1"])
    assert len(set(answers)) == 1
