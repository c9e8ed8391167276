"""The service follows the registry: swaps, rollbacks and trials of a challenger, under load and with no restart."""

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

MORE = """
from ratchet.project import problem
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
ALIAS = """
import sys, mlflow
client = mlflow.MlflowClient()
for words in {words!r}:
    getattr(client, words[0] + "_registered_model_alias")("reviews", *words[1:])
"""


def move(project: Project, *words: tuple[str, ...]) -> None:
    """Move aliases as MLflow's UI does it: ("set", alias, version) or ("delete", alias)."""
    done = project.python(ALIAS.format(words=words), MLFLOW_TRACKING_URI=project.tracking_uri)
    assert done.status == 0, done.text


@pytest.fixture(scope="module")
def two(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose version 1 is live; 2 always gives the commonest class, 3 is 1 once more."""
    project = copied(original, tmp_path_factory.mktemp("two") / "project")
    done = project.python(MORE, RATCHET_ROOT=str(project.root))
    assert "VERSION 3" in done.text, done.text
    return project


@pytest.fixture
def pair(two: Project, tmp_path: Path) -> Project:
    return copied(two, tmp_path / "project")


def version(http: httpx.Client) -> str:
    found: str = ask(http, "Film 1 is splendid")["version"]
    return found


class Load:
    """Requests from some threads, one soon after the other, each with another text; counts what came back."""

    def __init__(self, address: str, threads: int = 2) -> None:
        self.statuses: Counter[int] = Counter()
        self.versions: Counter[str] = Counter()
        self._address, self._ended = address, threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        with httpx.Client(base_url=self._address, timeout=30) as client:
            turn = 0
            while not self._ended.wait(0.005):
                turn += 1
                answer = client.post("/predict", json={"texts": [f"Film {number} {turn} is warm"]})
                self.statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    self.versions[answer.json()["version"]] += 1


def test_it_follows_the_alias_whoever_moves_it_and_no_request_fails(pair: Project):
    with served(pair) as service, asked(service) as http:
        with Load(service.address) as load:
            until(lambda: metrics(http)["ratchet_registry_looked_at_timestamp_seconds"], "the registry was looked at")
            move(pair, ("set", "previous", "1"), ("set", "champion", "2"))
            until(lambda: version(http) == "2", "version 2 answers")
            assert metrics(http)["ratchet_version{role=champion}"] == 2
            assert pair.make("rollback").status == 0
            until(lambda: version(http) == "1", "version 1 answers again")
        move(pair, ("set", "champion", "2"))
        moved = time.monotonic()
        until(lambda: version(http) == "2", "version 2 answers once more")
        assert time.monotonic() - moved < 2, "the alias is followed within 2 s"
    assert set(load.statuses) == {200}
    assert set(load.versions) == {"1", "2"}
    assert "instead of version 1" in service.said
    assert {row[0] for row in logged(pair, "select distinct version from predictions")} == {1, 2}


def test_a_version_that_cannot_be_served_is_refused_and_the_old_one_goes_on(pair: Project):
    damage(pair)
    with served(pair) as service, asked(service) as http:
        move(pair, ("set", "champion", "2"))
        until(lambda: metrics(http)["ratchet_version_refused{role=champion}"] == 1, "version 2 is refused")
        assert version(http) == "1"
        assert metrics(http)["ratchet_version{role=champion}"] == 1
        move(pair, ("set", "champion", "1"))
        until(lambda: metrics(http)["ratchet_version_refused{role=champion}"] == 0, "all is well again")
    assert "Refused as champion" in service.said
    lines = [json.loads(line) for line in (pair.root / "state" / "ledger.jsonl").read_text().rstrip("\n").split("\n")]
    (refused,) = [line for line in lines if line.get("kind") == "refused"]
    assert refused["version"] == 2
    assert "Version 1 goes on answering" in refused["why"]
    assert "v2 refused by the prediction service" in pair.make("history").text


def damage(project: Project) -> None:
    """What is stored of version 2 can no longer be read."""
    for path in project.root.glob("state/artifacts/reviews/models/*/artifacts/data/saved/model.json"):
        if json.loads(path.read_text())["model"] == "majority":
            path.write_text("{}")


def test_a_challenger_that_cannot_be_served_holds_up_no_champion(pair: Project):
    damage(pair)
    canary(pair, "{share: 0.3}")
    with served(pair) as service, asked(service) as http:
        move(pair, ("set", "challenger", "2"))
        until(lambda: metrics(http)["ratchet_version_refused{role=challenger}"] == 1, "version 2 is refused")
        move(pair, ("set", "champion", "3"))
        until(lambda: version(http) == "3", "version 3 answers")
        assert metrics(http)["ratchet_version_refused{role=challenger}"] == 1
    lines = [json.loads(line) for line in (pair.root / "state" / "ledger.jsonl").read_text().rstrip("\n").split("\n")]
    assert len([line for line in lines if line.get("kind") == "refused"]) == 1, "said once, however often it is tried"


def test_what_answered_for_another_problem_is_not_called_refused(pair: Project):
    """A project goes from one problem to the next: its last lineup is the old one's."""
    before = (pair.root / "state" / "ledger.jsonl").read_bytes()
    pair.write("params.yaml", (pair.root / "params.yaml").read_text().replace("reviews", "tickets"))
    with served(pair) as service, asked(service) as http:
        until(lambda: metrics(http)["ratchet_registry_looked_at_timestamp_seconds"], "the registry was looked at")
        assert http.get("/ping").status_code == 404
    assert (pair.root / "state" / "ledger.jsonl").read_bytes() == before
    assert "Refused" not in service.said


@pytest.mark.parametrize("part", ["manifest.json", "arrays.npz", "more.json"])
def test_a_bundle_that_was_tampered_with_is_never_served_and_is_made_anew(pair: Project, part: str):
    folder = bundle_of(pair)
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / part).write_bytes(b"x" + whole.get(part, b"")[1:])
    with served(pair) as service, asked(service) as http:
        until(lambda: http.get("/ping").status_code == 200, "a whole bundle answers")
        assert version(http) == "1"
    assert "Refused as champion: A bundle is served as it was packed, or not at all." in service.said
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole


def test_it_starts_without_a_champion_and_takes_the_first(brought: Project, tmp_path: Path):
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


def canary(project: Project, says: str) -> None:
    text = (project.root / "params.yaml").read_text()
    project.write("params.yaml", f"{text.partition('deploy:')[0]}deploy: {{canary: {says}}}\n")


def test_a_challenger_gets_its_share_by_key_with_no_restart(pair: Project):
    with served(pair) as service, asked(service) as http:
        move(pair, ("set", "challenger", "2"))
        canary(pair, "{share: 0.3}")
        until(lambda: metrics(http).get("ratchet_version{role=challenger}") == 2, "the challenger is loaded")
        until(lambda: "2" in {ask(http, "a", key=f"user {key}")["version"] for key in range(20)}, "it has its share")
        first = {key: ask(http, "a", key=f"user {key}")["version"] for key in range(200)}
        again = {key: ask(http, "b", "c", key=f"user {key}")["version"] for key in range(200)}
        assert first == again
        assert 30 < Counter(first.values())["2"] < 90
        by_header = http.post("/predict", json={"texts": ["a"]}, headers={"ratchet-key": "user 7"}).json()["version"]
        assert by_header == first[7]
        assert ask(http, "one text", key=None)["version"] == ask(http, "one text")["version"]
        own = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}]}
        assert http.post("/v2/models/reviews/versions/2/infer", json=own).json()["model_version"] == "2"
        canary(pair, "{share: 0.0}")
        until(lambda: http.post("/v2/models/reviews/versions/2/infer", json=own).status_code == 404, "it has left")
        assert {ask(http, "a", key=f"user {key}")["version"] for key in range(50)} == {"1"}
    roles = dict(logged(pair, "select role, count(distinct version) from predictions group by role"))
    assert roles == {"champion": 1, "challenger": 1}


def test_in_the_shadow_both_predict_and_the_champion_answers(pair: Project):
    canary(pair, "{shadow: true}")
    with served(pair) as service, asked(service) as http:
        move(pair, ("set", "challenger", "2"))
        until(lambda: metrics(http).get("ratchet_version{role=challenger}") == 2, "the challenger is loaded")
        assert {ask(http, f"Film {number}")["version"] for number in range(20)} == {"1"}
    rows = logged(pair, "select role, version, count(*) from predictions group by role, version order by role")
    assert rows == [("champion", 1, 20), ("shadow", 2, 20)]
    pairs = logged(
        pair,
        "select count(*) from predictions a join predictions b on a.text = b.text and a.role < b.role",
    )
    assert pairs == [(20,)]


def test_damaged_params_change_nothing_and_mended_ones_hold(pair: Project):
    whole = (pair.root / "params.yaml").read_text()
    with served(pair) as service, asked(service) as http:
        pair.write("params.yaml", whole + "deploy: {limits: {texts: none}}\n")
        until(lambda: "params.yaml is not followed" in service.said, "it says so")
        assert len(ask(http, "a", "b")["predictions"]) == 2
        pair.write("params.yaml", whole + "deploy: {limits: {texts: 1}}\n")
        until(lambda: http.post("/predict", json={"texts": ["a", "b"]}).status_code == 413, "the new limit holds")


def test_another_problem_is_not_answered_for_until_it_is_started_anew(pair: Project):
    with served(pair) as service, asked(service) as http:
        pair.write("params.yaml", (pair.root / "params.yaml").read_text().replace("reviews", "tickets"))
        until(lambda: "goes on answering for reviews until it is started anew" in service.said, "it says so")
        assert ask(http, "a")["model"] == "reviews"
