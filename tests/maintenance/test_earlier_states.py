"""A registry, a state and a backup that an earlier commit left go on working with today's code.

cdfea63.tar.xz was made by `.venv/bin/python -m tests.maintenance.earlier_state cdfea63 FOLDER`, with the code of that
commit and the packages of requirements.lock, which were the same then; that module says what happens in it and what the
archive holds. In the end version 1 is live again after version 2, version 3 was refused, and one label waits. The
figures that are expected here are those that the earlier commands printed, told.json in the archive.
"""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from ratchet.maintenance import backup
from tests.maintenance.earlier_state import bring
from tests.support.project import Project, copy_tree
from tests.support.service import ask, asked, served, until

KEPT = Path(__file__).with_name("cdfea63.tar.xz")
LINES = ("problem", "live", "how good", "why", "watched", "before", "not live", "data", "labels", "set aside")
"""Of `make status`, those about what is kept; the others are about what runs and what comes next."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the earlier commit left, laid out."""
    folder = tmp_path_factory.mktemp("kept")
    with tarfile.open(KEPT) as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def told(kept: Path) -> dict[str, Any]:
    """What the earlier commands said."""
    return dict(json.loads((kept / "told.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def restored(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of today after a restore of the earlier backup; each test leaves version 1 live."""
    project = Project(tmp_path_factory.mktemp("restored") / "project")
    backup_file = project.root.parent / "backup.tar.gz"
    backup_file.write_bytes(gzip.compress((kept / "backup.tar").read_bytes(), 1))
    done = project.make("restore", f"FROM={backup_file}")
    assert done.status == 0, done.text
    assert re.search(r"data/ holds version [0-9a-f]{8}: from the cache", done.text)
    return project


def of_status(text: str) -> dict[str, str]:
    """What `make status` says of what is kept, without how long ago that was."""
    found = dict(re.findall(r"^(\S.*?)  +(\S.*)$", text, re.MULTILINE))
    return {name: re.sub(r" UTC, for .*", " UTC", found[name]) for name in LINES}


def without_addresses(text: str) -> str:
    return re.sub(r"http://127\.0\.0\.1:\d+", "", text)


def answer(text: str) -> str:
    """What `make predict` says, but for the id, which is another each time."""
    return text.partition("Where it comes from")[0]


def goes_on(project: Project, told: dict[str, Any]) -> None:
    """All that is kept is told in the words of then, and every answer is the one of then."""
    status = project.make("status")
    assert status.status == 0, status.text
    assert of_status(status.text) == of_status(told["status"])
    then = told["history"].partition("Today")[0]
    assert project.make("history").text.startswith(then)
    for text, said in zip(told["asked"], told["predict"], strict=True):
        assert answer(project.make("predict", f"TEXT={text}").text) == answer(said)


def test_a_backup_of_then_tells_and_answers_as_it_did(restored: Project, told: dict[str, Any]) -> None:
    goes_on(restored, told)
    for number, lineage in enumerate(told["lineage"], 1):
        assert without_addresses(restored.make("lineage", f"VERSION={number}").text) == without_addresses(lineage)
    for name in ("mlflow.db", "prefect/prefect.db", "predictions.db"):
        with closing(sqlite3.connect(restored.root / "state" / name)) as connection:
            assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
            assert connection.execute("pragma foreign_key_check").fetchall() == []


def test_a_prediction_of_then_is_traced_to_its_version_and_label(restored: Project, told: dict[str, Any]) -> None:
    done = restored.make("trace", f"ID={told['corrected']}")
    assert done.status == 0, done.text
    assert without_addresses(told["trace"]) in without_addresses(done.text)
    assert "feedback       office: wrong" in done.text


def test_the_service_answers_with_the_champion_of_then(restored: Project, told: dict[str, Any]) -> None:
    with served(restored) as service, asked(service) as http:
        assert answers(http, told, "1") == figures(told["served"])
        late = http.post("/feedback", json={"id": told["served"]["predictions"][1]["id"], "label": "workshop"})
        assert late.status_code == 200, late.text


def answers(http: httpx.Client, told: dict[str, Any], version: str) -> list[dict[str, Any]]:
    """What the service answers once that version does."""

    def is_live() -> bool:
        return bool(http.post("/predict", json={"texts": ["the bell"]}).json().get("version") == version)

    until(is_live, f"version {version} answers")
    return figures(ask(http, *told["asked"]))


def figures(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers, but for their ids."""
    return [{name: value for name, value in one.items() if name != "id"} for one in found["predictions"]]


def test_the_previous_champion_of_then_comes_back_and_goes_again(restored: Project, told: dict[str, Any]) -> None:
    assert "Version 2 (linear) of tickets is live again" in restored.make("rollback").text
    then = answer(told["second"][-1])
    assert then != answer(told["predict"][-1]), "the two versions differ on that text"
    assert answer(restored.make("predict", f"TEXT={told['asked'][-1]}").text) == then
    assert "Version 1 (linear) of tickets is live again" in restored.make("rollback").text
    assert "live       version 1 (linear)" in restored.make("status").text
    assert [move["after"] for move in restored.ledger] == [1, 2, 1, 2, 1]


@pytest.fixture(scope="module")
def left(kept: Path, told: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Today's code over the very state that was left, caches and bundles as well.

    An upgrade leaves the folder where it is. Here it is another one, so MLflow's database is told so; what MLflow and
    DVC keep in files knows the old folder still, and nothing may read it there.
    """
    project = Project(tmp_path_factory.mktemp("left") / "project")
    copy_tree(kept / "left", project.root)
    backup.relocate(project.root / "state" / "mlflow.db", {told["state"]: project.root / "state"})
    return project


def test_a_state_as_it_was_left_tells_and_answers_as_it_did(left: Project, told: dict[str, Any]) -> None:
    """The service begins with the version that it answered with last and goes on, both from bundles of then."""
    goes_on(left, told)
    bundles = left.bytes_of("state/bundles")
    with served(left) as service, asked(service) as http:
        assert answers(http, told, "1") == figures(told["served"])
    now = left.bytes_of("state/bundles")
    assert {name for name in bundles if now.get(name) != bundles[name]} <= {"state/bundles/lineup.json"}


@pytest.mark.long
def test_the_next_turn_is_judged_against_the_champion_of_then(left: Project, told: dict[str, Any]) -> None:
    """The gate remembers version 2, and the label that waited is taken in."""
    bring(left, 1500)
    done = left.make("run")
    assert done.status == 0, done.text
    assert re.search(r"Promoted: The challenger is right on \S+ of \d+ holdout rows, v1 on ", done.text), done.text
    assert "after 1 earlier challenger more than" in done.text
    assert "1 new label: 1 by users to learn from" in done.text
    history = left.make("history").text
    assert history.startswith(told["history"].partition("Today")[0])
    assert "v4 (linear) promoted after v1" in history
    assert "Version 1 (linear) of tickets is live again" in left.make("rollback").text
