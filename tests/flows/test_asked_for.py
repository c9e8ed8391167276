"""What begins a turn while `make up` runs, from end to end: schedule, audited accuracy, drift. And made-up traffic."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.support.people import ask_of, say, texts_of
from tests.support.project import SMALL, Project, copied, refused
from tests.support.registered import registry
from tests.support.up import api, ended, runs, showing, until

TRIGGERS = SMALL + "optimise: {labels: 0, accuracy: 0.99, drift: true, schedule: '0 3 * * 1', every: 7, cooldown: 0}\n"
"""Labels begin no turn here."""
EACH_MINUTE = SMALL + "optimise: {labels: 0, drift: false, schedule: '* * * * *', every: 1, cooldown: 0}\n"


def up_with(project: Project, params: str) -> Iterator[Project]:
    """Run `make up` with these params.yaml."""
    project.write("params.yaml", params)
    with showing(project, "up"):
        yield project


@pytest.fixture(scope="module")
def up(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    yield from up_with(copied(original, tmp_path_factory.mktemp("asked") / "project"), TRIGGERS)


@pytest.fixture
def each_minute(own: Project) -> Iterator[Project]:
    yield from up_with(own, EACH_MINUTE)


def planned(project: Project, flow: str) -> list[dict[str, Any]]:
    """Return the runs that Prefect has scheduled, first one first."""
    query = {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_ASC"}
    return [run for run in api(project, "flow_runs/filter", query) if run["auto_scheduled"]]


def moments(planned: list[dict[str, Any]]) -> list[datetime]:
    return [datetime.fromisoformat(run["expected_start_time"]) for run in planned]


def look(project: Project) -> None:
    """Run `optimise` as its button in Prefect does, to its end."""
    deployment = api(project, "deployments/name/optimise/optimise")["id"]
    run = api(project, f"deployments/{deployment}/create_flow_run", {"parameters": {}})
    assert ended(project, run["id"])["state_type"] == "COMPLETED"


def traffic(project: Project) -> list[tuple[str, str | None]]:
    """Return the texts that the service answered and logged, each with the source of its label, if it has one."""
    with closing(sqlite3.connect(project.root / "state" / "predictions.db")) as log:
        return log.execute(
            "select text, source from predictions left join feedback on prediction = id where route = 'predict'"
        ).fetchall()


def live(project: Project) -> int:
    return int(registry(project)["aliases"]["champion"])


def test_schedule_and_every_plan_turns_and_looks_as_params_yaml_says(up: Project) -> None:
    turns = until(lambda: planned(up, "lifecycle"), "turns planned by optimise.schedule")
    assert {run["parameters"]["trigger"] for run in turns} == {"schedule 0 3 * * 1"}
    assert all(run["parameters"]["learn"] is True for run in turns), "waiting labels are taken in first"
    assert {(at.weekday(), at.hour, at.minute) for at in moments(turns)} == {(0, 3, 0)}, "Mondays at three"
    looks = until(lambda: planned(up, "optimise"), "looks planned by optimise.every")
    assert {run["parameters"]["trigger"] for run in looks} == {"look every 7 minutes"}
    assert {later - earlier for earlier, later in pairwise(moments(looks))} == {timedelta(minutes=7)}


def test_an_accuracy_that_the_audit_measures_below_what_is_asked_begins_a_turn(up: Project) -> None:
    """40 of 40 audited answers are wrong, so the accuracy is surely below 0.99; too few texts to see a drift."""
    wrong = ask_of(up.root / "state" / "predictions.db", texts_of("holdout", 40), "good", version=live(up))
    say(up.root / "state" / "predictions.db", wrong, "bad", "audit")
    look(up)
    (turn,) = until(lambda: runs(up, "lifecycle"), "a turn that the accuracy asked for")
    assert re.fullmatch(r"accuracy at most 0\.\d{3}, below 0\.99", turn["parameters"]["trigger"])
    assert "model" not in turn["parameters"], "all candidates are trained"
    assert ended(up, turn["id"])["state_type"] == "COMPLETED"


def test_a_drift_begins_a_turn_that_names_what_moved(up: Project) -> None:
    before = {run["id"] for run in runs(up, "lifecycle")}
    log = up.root / "state" / "predictions.db"
    strange = [f"Order {n} came late, the parcel was open and {n % 7} screws were missing" for n in range(300)]
    ask_of(log, strange, "bad", version=live(up))
    say(log, ask_of(log, texts_of("train", 5, "something else to learn"), version=live(up)), "good")
    look(up)
    turn = until(lambda: [run for run in runs(up, "lifecycle") if run["id"] not in before], "a turn for drift")[-1]
    assert re.search(r"drift of .*text length", turn["parameters"]["trigger"])
    assert ended(up, turn["id"])["state_type"] == "COMPLETED"
    starts = json.loads((up.root / "state" / "pace.json").read_text())["starts"]
    assert len(starts) == len(runs(up, "lifecycle")), (
        "each turn that began by itself is counted for the budget of a day"
    )


def test_made_up_traffic_is_answered_and_half_of_it_labelled(up: Project) -> None:
    done = up.make("traffic", "N=30")
    assert done.status == 0, done.text
    assert "Asked about 30 made-up texts, " in done.text
    assert "; 15 of them are labelled." in done.text
    answers = until(lambda: len(rows := traffic(up)) == 30 and rows, "30 answers in the log")
    table = (up.root / "data" / "table.csv").read_text(encoding="utf-8")
    assert not [text for text, _ in answers if text in table], "none is a text of the table"
    assert sum(source == "user" for _, source in answers) == 15
    refused(up.make("traffic", "N=0"), "from 1 to 100,000", "0")


@pytest.mark.long
def test_the_clock_alone_begins_looks_and_turns(each_minute: Project) -> None:
    """Within a minute or two each; a turn that has no labels to learn from ends before it trains."""

    def completed(flow: str) -> list[dict[str, Any]]:
        return [run for run in planned(each_minute, flow) if run["state_type"] == "COMPLETED"]

    look_run = until(lambda: completed("optimise"), "a look by optimise.every")[0]
    assert look_run["parameters"]["trigger"] == "look every 1 minutes"
    turn = until(lambda: completed("lifecycle"), "a turn by optimise.schedule")[0]
    assert turn["parameters"]["trigger"] == "schedule * * * * *"
    assert live(each_minute) == 1, "nothing was there to learn from"


def test_traffic_needs_a_service(turned: Project) -> None:
    refused(turned.make("traffic"), "none runs", "make up")
