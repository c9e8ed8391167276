"""The loop while `make up` runs: turns that begin by themselves, approvals, and a mistyped params.yaml."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.people import say_of, texts_of
from tests.support.project import SMALL, Project, copied, refused
from tests.support.registered import ANOTHER, registry
from tests.support.up import addresses, api, ended, runs, showing, until

MANUAL = SMALL + "deploy: {approval: manual}\noptimise: {labels: 40, cooldown: 0, drift: false}\n"
NEXT = (
    ANOTHER
    + """
number = max(int(version.version) for version in client.search_model_versions("name='reviews'"))
champion = client.get_model_version_by_alias("reviews", "champion").version
client.set_model_version_tag("reviews", str(number), "decision", "promote")
client.set_model_version_tag("reviews", str(number), "decided_against", champion)
client.set_registered_model_alias("reviews", "challenger", str(number))
"""
)
"""Adds a version that has passed the gate against the champion."""


@pytest.fixture(scope="module")
def up(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = copied(original, tmp_path_factory.mktemp("up") / "project")
    project.write("params.yaml", MANUAL)
    project.environment |= {"RATCHET_HOST": "0.0.0.0", "RATCHET_TOKEN": "s3cret"}  # opens the service alone
    with showing(project, "up"):
        yield project


def deploy_next(project: Project) -> int:
    """Add a version that has passed the gate, and deploy it; returns its number."""
    done = project.python(NEXT, MLFLOW_TRACKING_URI=project.tracking_uri)
    assert done.status == 0, done.text
    deployment = api(project, "deployments/name/deploy/deploy")["id"]
    run = api(project, f"deployments/{deployment}/create_flow_run", {"parameters": {}})
    assert ended(project, run["id"])["state_type"] == "COMPLETED"
    return int(registry(project)["aliases"]["challenger"])


def test_the_service_can_be_opened_to_the_network_and_the_uis_stay_closed(up: Project) -> None:
    """Of each address of this machine: whoever reaches Prefect's API runs code."""
    is_reachable = {
        (name, address): is_open(address, int(up.environment[name]))
        for address in addresses()
        for name in ("SERVE_PORT", "PREFECT_PORT", "MLFLOW_PORT")
    }
    assert ("MLFLOW_PORT", "127.0.0.1") in is_reachable
    assert len(addresses()) > 1, "a machine with no address but loopback shows nothing"
    assert is_reachable == {
        (name, address): name == "SERVE_PORT" or address == "127.0.0.1" for name, address in is_reachable
    }, is_reachable


def is_open(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((address, port)) == 0


def test_clicks_at_one_moment_each_begin_their_run(up: Project) -> None:
    """As several people, or one beside a run that writes: Prefect over SQLite answers two of three with 503."""
    deployment = api(up, "deployments/name/evaluate/evaluate")["id"]
    later = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2100-01-01T00:00:00Z"}}

    def click(_: int) -> str:
        body = {"parameters": {"version": 77}, "state": later}
        return str(api(up, f"deployments/{deployment}/create_flow_run", body)["id"])

    with ThreadPoolExecutor(4) as people:
        begun = set(people.map(click, range(24)))
    assert len(begun) == 24
    assert {run["id"] for run in runs(up, "evaluate", "SCHEDULED")} == begun
    api(up, "flow_runs/bulk_delete", {"flow_runs": {"id": {"any_": sorted(begun)}}})
    assert runs(up, "evaluate") == []


def test_a_promotion_waits_paused_and_resume_puts_it_live(up: Project) -> None:
    number = deploy_next(up)
    assert registry(up)["aliases"] == {"champion": 1, "challenger": number}
    (waiting,) = runs(up, "deploy", "PAUSED")
    assert waiting["name"] == f"reviews v{number} waits for approval: Resume lets it through"
    status = up.make("status").text
    assert "passed, and waits for a person: make approve" in " ".join(status.split())
    assert f"next       make approve, which puts version {number} live" in status
    api(up, f"flow_runs/{waiting['id']}/resume", {})
    assert ended(up, waiting["id"])["state_type"] == "COMPLETED"
    assert registry(up)["aliases"] == {"champion": number, "previous": 1}
    assert (up.ledger[-1]["after"], up.ledger[-1]["by"]) == (number, "approved in the Prefect UI")
    assert runs(up, "deploy", "PAUSED") == []


def test_make_approve_does_it_from_a_terminal_and_nothing_waits_any_more(up: Project) -> None:
    number = deploy_next(up)
    (waiting,) = runs(up, "deploy", "PAUSED")
    done = up.make_really("approve")
    assert done.status == 0, done.text
    assert f"Live: version {number} of reviews." in done.text
    assert api(up, f"flow_runs/{waiting['id']}")["state_type"] == "CANCELLED"
    assert (up.ledger[-1]["after"], up.ledger[-1]["by"]) == (number, "make approve")
    again = up.make("approve")
    assert "Nothing waits to be let through." in again.text


def test_a_mistyped_params_yaml_is_said_once_and_mended_the_loop_turns_by_itself(up: Project) -> None:
    log = Path(up.root / "state" / "logs" / "flows.log")
    up.write("params.yaml", MANUAL.replace("labels: 40", "labbels: 40"))
    say_of(up.root / "state" / "predictions.db", texts_of("train", 45), "good")
    until(lambda: "Labels are not looked for" in log.read_text(), "the watcher's complaint")
    refused(up.make("status"), "labbels")
    assert runs(up, "optimise") == []
    up.write("params.yaml", MANUAL)
    (turn,) = until(lambda: runs(up, "lifecycle"), "a turn of its own")
    assert turn["parameters"] == {"trigger": "45 new labels", "learn": True, "model": "linear"}
    assert ended(up, turn["id"])["state_type"] == "COMPLETED"
    pace = json.loads((up.root / "state" / "pace.json").read_text())
    assert (pace["run"], pace["kept"], pace["learned"], len(pace["starts"])) == (turn["id"], 45, 45, 1)
    assert log.read_text().count("Labels are not looked for") == 1
    status = " ".join(up.make("status").text.split())
    assert "0 new" in status
    assert "next nothing needs doing; the last turn trained one kind of model, make run trains them all" in status


def test_a_loop_that_somebody_paused_begins_no_turn_whatever_asks_for_one(up: Project) -> None:
    before = len(runs(up, "lifecycle"))
    loop, look = (api(up, f"deployments/name/{name}/{name}")["id"] for name in ("lifecycle", "optimise"))
    api(up, f"deployments/{loop}/pause_deployment", {})
    say_of(up.root / "state" / "predictions.db", texts_of("train", 90)[45:], "good")
    run = api(up, f"deployments/{look}/create_flow_run", {"parameters": {}})
    assert ended(up, run["id"])["state_type"] == "COMPLETED"
    assert len(runs(up, "lifecycle")) == before
    assert "45 new" in up.make("status").text, "they wait"
