"""Canary: with `deploy.canary.share`, a challenger answers requests only after it has passed the gate."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import httpx

from tests.support.project import Project, copied
from tests.support.service import ask, metrics, served, until

REGISTER = """
from ratchet.problem import problem
from ratchet.project.paths import places, settle
settle(places())
from flows.registry.registry import Registry
current = problem.load()
registry = Registry(current.name, current.here)
live, experiment = registry.champion(), registry.experiment()
run = registry.client.search_runs([experiment], "tags.model = 'majority'")[0].info.run_id
(model,) = registry.client.search_logged_models([experiment], f"source_run_id = '{run}'")
tags = {key: value for key, value in live.tags.items() if key != "bundle"}
version = registry.register(run, model.model_id, tags | {"model": "majority", "decision": "waiting for evaluate"}, "")
registry.set_challenger(version)
print("VERSION", version.number)
"""


def decide(project: Project, decision: str) -> None:
    """Write the gate's decision on version 2 into the registry."""
    with closing(sqlite3.connect(project.root / "state" / "mlflow.db", timeout=30)) as database, database:
        database.execute("update model_version_tags set value = ? where version = 2 and key = 'decision'", (decision,))


def last_look(http: httpx.Client) -> float:
    return metrics(http)["ratchet_registry_looked_at_timestamp_seconds"]


def test_a_challenger_gets_canary_traffic_only_after_it_has_passed_the_gate(original: Project, tmp_path: Path) -> None:
    project = copied(original, tmp_path / "project")
    assert "VERSION 2" in project.python(REGISTER, RATCHET_ROOT=str(project.root)).text
    params = (project.root / "params.yaml").read_text()
    project.write("params.yaml", params + "deploy: {canary: {share: 1.0}}\n")
    with served(project) as service, httpx.Client(base_url=service.address, timeout=30) as http:
        for decision in ("waiting for evaluate", "kept champion", "refused", "refused on live traffic"):
            decide(project, decision)
            decided = time.time()
            until(lambda: last_look(http) > decided, decision)  # noqa: B023
            assert "ratchet_version{role=challenger}" not in metrics(http), decision
            assert {ask(http, f"Film {number}")["version"] for number in range(20)} == {"1"}, decision
        decide(project, "promote")
        until(lambda: ask(http, "Film 1")["version"] == "2", "the challenger that has passed answers")
        since = metrics(http)["ratchet_champion_live_since_timestamp_seconds{version=1}"]
        age = metrics(http)["ratchet_champion_age_seconds{version=1}"]
        assert abs(age - (time.time() - since)) < 5
