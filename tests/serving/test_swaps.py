"""The service follows the registry: swaps, rollbacks, canary and shadow, under load and without a restart."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.support.project import Project, copied
from tests.support.service import ask, asked, bundle_of, logged, metrics, served, until

REGISTER_TWO = """
from ratchet.problem import problem
from ratchet.project.paths import places, settle
settle(places())
from flows.registry.registry import Registry
current = problem.load()
registry = Registry(current.name, current.here)
live, experiment = registry.champion(), registry.experiment()
for name in ("majority", "linear"):
    run = registry.client.search_runs([experiment], f"tags.model = '{name}'")[0].info.run_id
    (model,) = registry.client.search_logged_models([experiment], f"source_run_id = '{run}'")
    tags = {key: value for key, value in live.tags.items() if key != "bundle"} | {"model": name}
    print("VERSION", registry.register(run, model.model_id, tags, "").number)
"""
MOVE_ALIASES = """
import sys, mlflow
client = mlflow.MlflowClient()
for verb, *arguments in {moves!r}:
    getattr(client, verb + "_registered_model_alias")("reviews", *arguments)
"""


def move(project: Project, *moves: tuple[str, ...]) -> None:
    """Move aliases as MLflow's UI does. A move is ("set", alias, version) or ("delete", alias)."""
    done = project.python(MOVE_ALIASES.format(moves=moves), MLFLOW_TRACKING_URI=project.tracking_uri)
    assert done.status == 0, done.text


@pytest.fixture(scope="module")
def three_versions(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose version 1 is live; 2 always predicts the commonest class, 3 is the same model as 1."""
    project = copied(original, tmp_path_factory.mktemp("versions") / "project")
    done = project.python(REGISTER_TWO, RATCHET_ROOT=str(project.root))
    assert "VERSION 3" in done.text, done.text
    return project


@pytest.fixture
def project(three_versions: Project, tmp_path: Path) -> Project:
    return copied(three_versions, tmp_path / "project")


def version(http: httpx.Client) -> str:
    """The version that answers now."""
    return str(ask(http, "Film 1 is splendid")["version"])


class Load:
    """Requests with different texts from some threads while the block runs; counts statuses and versions."""

    def __init__(self, address: str, threads: int = 2) -> None:
        self.statuses: Counter[int] = Counter()
        self.versions: Counter[str] = Counter()
        self._address = address
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _send(self, number: int) -> None:
        with httpx.Client(base_url=self._address, timeout=30) as client:
            count = 0
            while not self._ended.wait(0.005):
                count += 1
                answer = client.post("/predict", json={"texts": [f"Film {number} {count} is warm"]})
                self.statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    self.versions[answer.json()["version"]] += 1


def test_the_service_follows_the_alias_within_two_seconds_and_no_request_fails(project: Project):
    with served(project) as service, asked(service) as http:
        with Load(service.address) as load:
            until(lambda: metrics(http)["ratchet_registry_looked_at_timestamp_seconds"], "the registry was looked at")
            move(project, ("set", "previous", "1"), ("set", "champion", "2"))
            until(lambda: version(http) == "2", "version 2 answers")
            assert metrics(http)["ratchet_version{role=champion}"] == 2
            assert project.make("rollback").status == 0
            until(lambda: version(http) == "1", "version 1 answers again")
        move(project, ("set", "champion", "2"))
        moved = time.monotonic()
        until(lambda: version(http) == "2", "version 2 answers once more")
        assert time.monotonic() - moved < 2, "the alias is followed within 2 s"
    assert set(load.statuses) == {200}
    assert set(load.versions) == {"1", "2"}
    assert "instead of version 1" in service.said
    assert {row[0] for row in logged(project, "select distinct version from predictions")} == {1, 2}


def test_a_damaged_version_is_refused_and_the_old_one_goes_on(project: Project):
    damage(project)
    with served(project) as service, asked(service) as http:
        move(project, ("set", "champion", "2"))
        until(lambda: metrics(http)["ratchet_version_refused{role=champion}"] == 1, "version 2 is refused")
        assert version(http) == "1"
        assert metrics(http)["ratchet_version{role=champion}"] == 1
        move(project, ("set", "champion", "1"))
        until(lambda: metrics(http)["ratchet_version_refused{role=champion}"] == 0, "all is well again")
    assert "Refused as champion" in service.said
    lines = [
        json.loads(line) for line in (project.root / "state" / "ledger.jsonl").read_text().rstrip("\n").split("\n")
    ]
    (refused,) = [line for line in lines if line.get("kind") == "refused"]
    assert refused["version"] == 2
    assert "Version 1 goes on answering" in refused["why"]
    assert "v2 refused by the prediction service" in project.make("history").text


def damage(project: Project) -> None:
    """Make the stored model of version 2 unreadable."""
    for path in project.root.glob("state/artifacts/reviews/models/*/artifacts/data/saved/model.json"):
        if json.loads(path.read_text())["model"] == "majority":
            path.write_text("{}")


def test_a_damaged_challenger_does_not_hold_up_the_champion(project: Project):
    damage(project)
    set_canary(project, "{share: 0.3}")
    with served(project) as service, asked(service) as http:
        move(project, ("set", "challenger", "2"))
        until(lambda: metrics(http)["ratchet_version_refused{role=challenger}"] == 1, "version 2 is refused")
        move(project, ("set", "champion", "3"))
        until(lambda: version(http) == "3", "version 3 answers")
        assert metrics(http)["ratchet_version_refused{role=challenger}"] == 1
    lines = [
        json.loads(line) for line in (project.root / "state" / "ledger.jsonl").read_text().rstrip("\n").split("\n")
    ]
    assert len([line for line in lines if line.get("kind") == "refused"]) == 1, (
        "reported once, however often it is tried"
    )


def test_the_lineup_of_another_problem_is_ignored_and_not_refused(project: Project):
    """After a change of problem, the last lineup is that of the old problem."""
    before = (project.root / "state" / "ledger.jsonl").read_bytes()
    project.write("params.yaml", (project.root / "params.yaml").read_text().replace("reviews", "tickets"))
    with served(project) as service, asked(service) as http:
        until(lambda: metrics(http)["ratchet_registry_looked_at_timestamp_seconds"], "the registry was looked at")
        assert http.get("/ping").status_code == 404
    assert (project.root / "state" / "ledger.jsonl").read_bytes() == before
    assert "Refused" not in service.said


@pytest.mark.parametrize("part", ["manifest.json", "arrays.npz", "more.json"])
def test_a_tampered_bundle_is_never_served_and_is_made_anew(project: Project, part: str):
    folder = bundle_of(project)
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / part).write_bytes(b"x" + contents.get(part, b"")[1:])
    with served(project) as service, asked(service) as http:
        until(lambda: http.get("/ping").status_code == 200, "a whole bundle answers")
        assert version(http) == "1"
    assert "Refused as champion: A bundle is served as it was packed, or not at all." in service.said
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == contents


def test_the_service_starts_without_a_champion_and_takes_the_first(brought: Project, tmp_path: Path):
    project = copied(brought, tmp_path / "project")
    with served(project) as service, asked(service) as http:
        answer = http.post("/predict", json={"texts": ["a"]})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "make run" in answer.json()["detail"]
        assert http.get("/ping").status_code == 404
        assert http.get("/v2/health/ready").status_code == 503
        assert project.make("run").status == 0
        until(lambda: http.get("/ping").status_code == 200, "the first champion answers")
        assert version(http) == "1"


def set_canary(project: Project, value: str) -> None:
    """Write `deploy.canary` in params.yaml, and drop the rest of `deploy`."""
    text = (project.root / "params.yaml").read_text()
    project.write("params.yaml", f"{text.partition('deploy:')[0]}deploy: {{canary: {value}}}\n")


def test_a_challenger_gets_its_share_of_the_keys_without_a_restart(project: Project):
    with served(project) as service, asked(service) as http:
        move(project, ("set", "challenger", "2"))
        set_canary(project, "{share: 0.3}")
        until(lambda: metrics(http).get("ratchet_version{role=challenger}") == 2, "the challenger is loaded")
        until(
            lambda: "2" in {ask(http, "a", key=f"user {key}")["version"] for key in range(20)},
            "the challenger has its share",
        )
        versions = {key: ask(http, "a", key=f"user {key}")["version"] for key in range(200)}
        later_versions = {key: ask(http, "b", "c", key=f"user {key}")["version"] for key in range(200)}
        assert versions == later_versions
        assert 30 < Counter(versions.values())["2"] < 90
        by_header = http.post("/predict", json={"texts": ["a"]}, headers={"ratchet-key": "user 7"}).json()["version"]
        assert by_header == versions[7]
        assert ask(http, "one text", key=None)["version"] == ask(http, "one text")["version"]
        request = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}]}
        assert http.post("/v2/models/reviews/versions/2/infer", json=request).json()["model_version"] == "2"
        set_canary(project, "{share: 0.0}")
        until(
            lambda: http.post("/v2/models/reviews/versions/2/infer", json=request).status_code == 404,
            "the challenger has left",
        )
        assert {ask(http, "a", key=f"user {key}")["version"] for key in range(50)} == {"1"}
    roles = dict(logged(project, "select role, count(distinct version) from predictions group by role"))
    assert roles == {"champion": 1, "challenger": 1}


def test_in_shadow_both_predict_and_the_champion_answers(project: Project):
    set_canary(project, "{shadow: true}")
    with served(project) as service, asked(service) as http:
        move(project, ("set", "challenger", "2"))
        until(lambda: metrics(http).get("ratchet_version{role=challenger}") == 2, "the challenger is loaded")
        assert {ask(http, f"Film {number}")["version"] for number in range(20)} == {"1"}
    rows = logged(project, "select role, version, count(*) from predictions group by role, version order by role")
    assert rows == [("champion", 1, 20), ("shadow", 2, 20)]
    pairs = logged(
        project,
        "select count(*) from predictions a join predictions b on a.text = b.text and a.role < b.role",
    )
    assert pairs == [(20,)]


def test_damaged_params_change_nothing_and_valid_ones_are_followed(project: Project):
    params = (project.root / "params.yaml").read_text()
    with served(project) as service, asked(service) as http:
        project.write("params.yaml", params + "deploy: {limits: {texts: none}}\n")
        until(lambda: "params.yaml is not followed" in service.said, "the log says so")
        assert len(ask(http, "a", "b")["predictions"]) == 2
        project.write("params.yaml", params + "deploy: {limits: {texts: 1}}\n")
        until(lambda: http.post("/predict", json={"texts": ["a", "b"]}).status_code == 413, "the new limit holds")


def test_a_change_of_the_problem_takes_effect_only_at_a_restart(project: Project):
    with served(project) as service, asked(service) as http:
        project.write("params.yaml", (project.root / "params.yaml").read_text().replace("reviews", "tickets"))
        until(lambda: "goes on answering for reviews until it is started anew" in service.said, "the log says so")
        assert ask(http, "a")["model"] == "reviews"
