"""The loop while `make up` runs: it turns by itself, waits for a person where it should, and bears a mistyped file."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from tests.bad_days.test_bad_labels import ANOTHER
from tests.flows.test_loop import registry, showing
from tests.support.people import say_of, texts_of
from tests.support.project import SMALL, Project, copied, refused

PATIENCE = 180
"""Seconds until a run has ended on a machine that does other things, too."""
MANUAL = SMALL + "deploy: {approval: manual}\noptimise: {labels: 40, cooldown: 0, drift: false}\n"
NEXT = (
    ANOTHER
    + """
number = max(int(each.version) for each in client.search_model_versions("name='reviews'"))
champion = client.get_model_version_by_alias("reviews", "champion").version
client.set_model_version_tag("reviews", str(number), "decision", "promote")
client.set_model_version_tag("reviews", str(number), "decided_against", champion)
client.set_registered_model_alias("reviews", "challenger", str(number))
"""
)
"""One more version, which has passed the gate against what is live."""


@pytest.fixture(scope="module")
def up(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = copied(original, tmp_path_factory.mktemp("up") / "project")
    project.write("params.yaml", MANUAL)
    project.environment |= {"RATCHET_HOST": "0.0.0.0", "RATCHET_TOKEN": "s3cret"}  # opens the service alone
    with showing(project, "up"):
        yield project


def api(project: Project, path: str, asked: dict[str, Any] | None = None) -> Any:
    """What Prefect's API answers; with a token where it is asked to change something, as its own clients do."""
    address, body = f"http://127.0.0.1:{project.environment['PREFECT_PORT']}/api", None
    headers = {"Content-Type": "application/json"}
    if asked is not None:
        client, body = uuid4().hex, json.dumps(asked).encode()
        with urllib.request.urlopen(f"{address}/csrf-token?client={client}", timeout=30) as reply:
            headers |= {"Prefect-Csrf-Client": client, "Prefect-Csrf-Token": json.load(reply)["token"]}
    with urllib.request.urlopen(urllib.request.Request(f"{address}/{path}", body, headers), timeout=30) as reply:
        return json.load(reply)


def runs(project: Project, flow: str, *states: str) -> list[dict[str, Any]]:
    """The runs of a flow that began by themselves or through the API, newest first; of these states, or of any."""
    asked: dict[str, Any] = {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_DESC"}
    found = [
        run for run in api(project, "flow_runs/filter", asked) if run["deployment_id"] and not run["auto_scheduled"]
    ]
    return [run for run in found if not states or run["state_type"] in states]


def until(happened: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := happened()):
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.1)
    return found


def ended(project: Project, run: str) -> dict[str, Any]:
    """That run, once it has ended."""
    final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    return until(
        lambda: (found := api(project, f"flow_runs/{run}"))["state_type"] in final and found, f"the end of {run}"
    )


def passed(project: Project) -> int:
    """A version has passed the gate and is deployed; its number."""
    done = project.python(NEXT, MLFLOW_TRACKING_URI=project.tracking_uri)
    assert done.status == 0, done.text
    deployment = api(project, "deployments/name/deploy/deploy")["id"]
    run = api(project, f"deployments/{deployment}/create_flow_run", {"parameters": {}})
    assert ended(project, run["id"])["state_type"] == "COMPLETED"
    return int(registry(project)["aliases"]["challenger"])


def test_the_service_can_be_opened_to_the_network_and_the_uis_stay_closed(up: Project) -> None:
    """Of each address of this machine: whoever reaches Prefect's API runs code."""
    found = {
        (name, address): is_open(address, int(up.environment[name]))
        for address in addresses()
        for name in ("SERVE_PORT", "PREFECT_PORT", "MLFLOW_PORT")
    }
    assert ("MLFLOW_PORT", "127.0.0.1") in found
    assert len(addresses()) > 1, "a machine with no address but loopback shows nothing"
    assert found == {(name, address): name == "SERVE_PORT" or address == "127.0.0.1" for name, address in found}, found


def addresses() -> list[str]:
    """Those of this machine."""
    return sorted(
        each.address for them in psutil.net_if_addrs().values() for each in them if each.family == socket.AF_INET
    )


def is_open(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((address, port)) == 0


def test_clicks_at_one_moment_each_begin_their_run(up: Project) -> None:
    """As several people, or one beside a run that writes: Prefect over SQLite answers two of three with 503."""
    deployment = api(up, "deployments/name/evaluate/evaluate")["id"]
    later = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2100-01-01T00:00:00Z"}}

    def click(_: int) -> str:
        asked = {"parameters": {"version": 77}, "state": later}
        return str(api(up, f"deployments/{deployment}/create_flow_run", asked)["id"])

    with ThreadPoolExecutor(4) as people:
        begun = set(people.map(click, range(24)))
    assert len(begun) == 24
    assert {run["id"] for run in runs(up, "evaluate", "SCHEDULED")} == begun
    api(up, "flow_runs/bulk_delete", {"flow_runs": {"id": {"any_": sorted(begun)}}})
    assert runs(up, "evaluate") == []


def test_a_promotion_waits_paused_and_resume_puts_it_live(up: Project) -> None:
    number = passed(up)
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
    number = passed(up)
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
