"""State on servers: the registry and Prefect's runs in PostgreSQL, artifacts and data in S3.

Only the tools' own variables name the servers; the name of the project's folder needs escaping.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from ratchet.project import faults
from ratchet.project.errors import Refusal
from ratchet.project.paths import places
from ratchet.servers.remote import reachable
from ratchet.servers.remote import s3 as bucket
from tests.support.killed_project import of_folder
from tests.support.project import Project, bring_small, refused
from tests.support.service import metrics, served, until
from tests.support.stores import BINARIES, Postgres, object_store, postgres
from tests.support.unit_file import Unit

pytestmark = pytest.mark.skipif(BINARIES is None, reason="no PostgreSQL here: apt-get install postgresql")


@dataclass(frozen=True)
class Stores:
    """The running servers, and the variables that name them."""

    database: Postgres
    s3: Any
    environment: dict[str, str]

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        listing = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for entry in listing.get("Contents", ())]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with postgres() as database, object_store(tmp_path_factory.mktemp("s3")) as address:
        for name in ("mlflow", "prefect"):
            database.sql("postgres", f"create database {name}")
        account = {"AWS_ACCESS_KEY_ID": "team", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "eu-west-1"}
        s3 = boto3.client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="team",
            aws_secret_access_key="secret",
        )
        for name in ("models", "data"):
            s3.create_bucket(Bucket=name)
        addresses = {
            "MLFLOW_TRACKING_URI": database.address("mlflow"),
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": "s3://models/ratchet",
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": database.address("prefect", "postgresql+asyncpg"),
            "AWS_ENDPOINT_URL": address,
        }
        yield Stores(database, s3, account | addresses)


@pytest.fixture(scope="module")
def team(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose loop has turned once on the stores; version 1 stays in the registry."""
    project = Project(tmp_path_factory.mktemp("team") / "a team [new] project")
    project.environment |= stores.environment
    added = dvc(project, "remote", "add", "--default", "team", "s3://data/reviews")
    assert added.returncode == 0, added.stderr
    bring_small(project)
    done = project.make("run")
    assert done.status == 0, done.text
    return project


def dvc(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(project.root / ".venv" / "bin" / "dvc"), *words]
    return subprocess.run(command, cwd=project.root, env=project.environment, capture_output=True, text=True)


def test_models_are_in_the_bucket_and_not_in_the_folder(team: Project, stores: Stores) -> None:
    ((place,),) = stores.database.sql("mlflow", "select artifact_location from experiments where name = 'reviews'")
    assert place == "s3://models/ratchet/reviews"
    kinds = {key.rpartition("/")[2] for key in stores.keys("models", "ratchet/reviews/")}
    assert {"MLmodel", "model-card.md", "evaluation.json"} <= kinds
    for name in ("mlruns", "mlartifacts", "state/artifacts", "state/mlflow.db", "state/prefect/prefect.db"):
        assert not (team.root / name).exists()
    flows = stores.database.sql("prefect", "select name from flow order by name")
    assert flows == [["build"], ["deploy"], ["evaluate"], ["lifecycle"], ["optimise"]]


def test_a_clone_without_local_state_predicts_with_the_same_champion(
    team: Project, stores: Stores, tmp_path: Path
) -> None:
    """The files in git are copied; the data comes from the DVC remote, the model from the bucket."""
    other = Project(tmp_path / "clone")
    for name in ("data.dvc", "params.yaml", ".dvc/config"):
        shutil.copy2(team.root / name, other.root / name)
    other.environment |= stores.environment
    fetched = other.make("data")
    assert fetched.status == 0, fetched.text
    assert "pulled from the remote" in fetched.text
    assert other.bytes_of("data") == team.bytes_of("data")
    assert re.match(r"good  \d.*\(version [12], linear\)", other.make("predict", "TEXT=a splendid warm film").text)


def test_new_data_is_pushed_and_a_failed_push_undoes_nothing(team: Project, stores: Stores) -> None:
    """An import pushes its data; a failed push is reported, and the next `make data` pushes again."""
    objects = stores.keys("data", "reviews/")
    assert len(objects) == 3
    config, pin = team.root / ".dvc" / "config", team.bytes_of("data.dvc")
    before = config.read_text()
    config.write_text(before.replace("s3://data/reviews", "s3://no-such-bucket/reviews"))
    try:
        done = team.make("data")
    finally:
        config.write_text(before)
    assert done.status == 0, done.text
    assert "pinned here, and not pushed. The bucket that the DVC remote 'team' names must be there" in done.text
    assert team.bytes_of("data.dvc") == pin
    for key in objects:
        stores.s3.delete_object(Bucket="data", Key=key)
    assert "Pushed version" in team.make("data").text
    assert stores.keys("data", "reviews/") == objects


def test_the_service_answers_from_the_bucket_and_logs_into_postgresql(team: Project, stores: Stores) -> None:
    """No bundle and no log is on this disk at the start; NUL is the only character that PostgreSQL cannot store."""
    shutil.rmtree(team.root / "state" / "bundles")
    stores.database.sql("postgres", "create database answers")
    where = {"RATCHET_PREDICTIONS": stores.database.address("answers")}
    with served(team, **where) as service, httpx.Client(base_url=service.address, timeout=30) as http:
        until(lambda: http.get("/ping").status_code == 200, "the champion came from the bucket")
        texts = ["a splendid warm film", "dull?\0 '; drop table predictions; --", "%s {}"]
        rows = http.post("/predict", json={"texts": texts}).json()["predictions"]
        wrong = {"id": rows[0]["id"], "label": "bad"}
        assert http.post("/feedback", json=wrong).status_code == 200
        assert http.post("/feedback", json={"id": "never", "label": "bad"}).status_code == 404
        assert "a splendid warm film" in http.get("/").text
        assert metrics(http)["ratchet_log_written"] == 3
    kept = stores.database.sql("answers", "select text from predictions order by id")
    assert [text for (text,) in kept] == [text.replace("\0", "\ufffd") for text in texts]
    assert stores.database.sql("answers", "select prediction, label, source from feedback") == [
        [rows[0]["id"], "bad", "user"]
    ]
    traced = team.make("trace", f"ID={rows[0]['id']}", **where)
    assert "a splendid warm film" in traced.text, traced.text
    assert "3 of its latest answers are logged" in team.make("status", **where).text
    refused(team.make("serve", RATCHET_PREDICTIONS="postgresql://me:secret@127.0.0.1:1/none"), "RATCHET_PREDICTIONS")
    refused(team.make("predict", "TEXT=x", RATCHET_PREDICTIONS="mysql://me@host/none"), "PostgreSQL")


MADE = ("back", "never live", "of somebody else")
MORE_VERSIONS = """
import json, os, mlflow
from ratchet.problem import problem
from ratchet.project.paths import places, settle
settle(places())
from flows.registry.registry import Registry
current = problem.load()
registry = Registry(current.name, current.here)
first = registry.champion()
mlflow.artifacts.download_artifacts(f"models:/{first.problem}/{first.number}", dst_path=current.here.work)
saved = next(current.here.work.rglob("model.json")).parent
made = {}
for state in {MADE}:
    with registry.run("linear", {"model": "linear"}) as run_id:
        model_id = registry.log_model(run_id, "linear", saved, ("bad", "good"), current.task)
    if state == "of somebody else":
        registry.log(run_id, tags={"state": state})
    registry.register(run_id, model_id, {"model": "linear"}, "")
    made[state] = model_id
registry.client.set_registered_model_alias(current.name, "previous", "2")
del os.environ["MLFLOW_DEFAULT_ARTIFACT_ROOT"]
made["place"] = registry.client.get_experiment(Registry("another", places()).experiment()).artifact_location
print(json.dumps(made))
"""


@pytest.fixture(scope="module")
def more(team: Project) -> dict[str, Any]:
    """Three more versions (the previous one, one never live, a colleague's), and the artifact location of an experiment
    created without a bucket."""
    done = team.python(MORE_VERSIONS.replace("{MADE}", repr(MADE)))
    assert done.status == 0, done.text
    return dict(json.loads(done.text.strip().splitlines()[-1]))


def test_without_a_bucket_artifacts_lie_below_the_state(team: Project, more: dict[str, Any]) -> None:
    """MLflow's client by itself would put them into ./mlruns."""
    assert more["place"] == (team.root / "state" / "artifacts" / "another").as_uri()


def test_rollback_and_prune_in_the_bucket(team: Project, stores: Stores, more: dict[str, Any]) -> None:
    """Prune leaves a colleague's version alone, though this project does not need it."""
    assert "Version 2 (linear) of reviews is live again, instead of version 1" in team.make("rollback").text
    assert "rolled back" in team.make("history").text
    before = stores.keys("models")
    done = team.make("prune", "DAYS=0", "CONFIRM=yes")
    assert done.status == 0, done.text
    assert re.search(r"0\.[1-9] MB  2 runs in MLflow, and 1 versions never live", done.text)  # 1: of the majority
    after = stores.keys("models")
    files = {state: [key for key in before if f"/{more[state]}/" in key] for state in MADE}
    assert all(files.values())
    assert not set(files["never live"]) & set(after)
    assert {*files["back"], *files["of somebody else"]} <= set(after)
    query = "select version from model_versions where current_stage != 'Deleted_Internal' order by version"
    assert stores.database.sql("mlflow", query) == [["1"], ["2"], ["4"]]


def test_a_backup_names_the_stores_that_it_leaves_out(team: Project, tmp_path: Path) -> None:
    done = team.make("backup", f"TO={tmp_path / 'all.tar.zst'}")
    assert done.status == 0, done.text
    for variable in (
        "MLFLOW_TRACKING_URI", "MLFLOW_DEFAULT_ARTIFACT_ROOT", "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    ):  # fmt: skip
        assert f"{variable} names is not in it" in done.text
    assert "word@" not in done.text


# Moving there


def test_a_registry_in_the_state_folder_is_moved(own: Project, stores: Stores) -> None:
    """Runs, versions, aliases and artifacts stay as they were; the champion is loaded from the bucket."""
    stores.database.sql("postgres", "create database moved")
    own.environment |= stores.environment | {"MLFLOW_TRACKING_URI": stores.database.address("moved")}
    own.environment["MLFLOW_DEFAULT_ARTIFACT_ROOT"] = "s3://models/moved"
    before = own.bytes_of("state/mlflow.db", "state/artifacts")
    done = own.make_really("move")
    assert done.status == 0, done.text
    assert own.bytes_of("state/mlflow.db", "state/artifacts") == before
    for table in ("experiments", "runs", "metrics", "params", "tags", "logged_models", "registered_model_aliases"):
        rows = f"select count(*) from {table}"
        with closing(sqlite3.connect(own.root / "state" / "mlflow.db")) as connection:
            assert stores.database.sql("moved", rows) == [[str(*connection.execute(rows).fetchone())]]
    counter = "select nextval(pg_get_serial_sequence('experiments', 'experiment_id'))"
    assert stores.database.sql("moved", counter) == [["2"]]  # 0 and 1 were there
    shutil.rmtree(own.root / "state" / "artifacts")
    assert re.match(r"good  \d.*\(version 1, linear\)", own.make("predict", "TEXT=a splendid warm film").text)
    refused(own.make("move"), "A registry is moved to an empty database", "has reviews")


# As services


REOPEN_RUN = """
update flow_run_state set type = 'RUNNING', name = 'Running'
where id in (select state_id from flow_run where id = '{}');
update flow_run set state_type = 'RUNNING', state_name = 'Running', end_time = null where id = '{}'
"""


def test_a_service_runs_by_its_unit_and_leaves_no_process(team: Project, stores: Stores) -> None:
    """`make services` with the team's variables; then the unit's command in the environment that systemd would give."""
    flows = "select flow_run.id from flow_run join flow on flow.id = flow_id where flow.name in ('build', 'deploy')"
    (ours,), (theirs,) = stores.database.sql("prefect", flows)[:2]
    for run in (ours, theirs):  # one run of this project, by its state, and one of a colleague
        stores.database.sql("prefect", REOPEN_RUN.format(run, run))
    (team.root / "state" / "open-runs" / ours).touch()
    assert team.make("services").status == 0
    unit = Unit.read(next((team.root / "state" / "services").glob("*project.service")))
    with unit.started(team.home) as service:
        mlflow = f"http://127.0.0.1:{team.environment['MLFLOW_PORT']}"
        prefect = f"http://127.0.0.1:{team.environment['PREFECT_PORT']}/api"
        wait_for_lines(service, "Ctrl-C ends them all")
        assert answer(f"{mlflow}/health") == b"OK"
        ((run,),) = stores.database.sql("mlflow", "select run_id from model_versions where version = 1")
        card = answer(f"{mlflow}/get-artifact?path=model-card.md&run_uuid={run}")
        assert b"reviews" in card
        states = {run: json.loads(answer(f"{prefect}/flow_runs/{run}"))["state"]["type"] for run in (ours, theirs)}
        assert states == {ours: "CRASHED", theirs: "RUNNING"}
        shown = "\n".join(" ".join(process.cmdline()) for process in processes(team.root))
        assert "mlflow server" in shown
        assert "word@127" not in shown
    assert service.returncode == 0
    assert processes(team.root) == []
    for port in ("PREFECT_PORT", "MLFLOW_PORT"):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(team.environment[port]))) != 0


def wait_for_lines(service: subprocess.Popen[str], words: str) -> None:
    assert service.stdout is not None
    output = ""
    while words not in output:
        line = service.stdout.readline()
        assert line, output
        output += line


def answer(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as reply:
        return bytes(reply.read())


def processes(folder: Path) -> list[Any]:
    import psutil

    return [process for process in psutil.process_iter() if of_folder(process, folder)]


# Faults


def test_a_store_that_fails_during_a_run_is_named() -> None:
    for message, rule in (
        ("server closed the connection unexpectedly", "servers that a run talks to must answer"),
        ('Could not connect to the endpoint URL: "http://127.0.0.1:9000/models"', "servers that a run talks to"),
        ("An error occurred (NoSuchBucket) when calling the PutObject operation", "The bucket that artifacts are in"),
        ("An error occurred (AccessDenied) when calling the PutObject operation", "must know the keys"),
        ("Unable to locate credentials", "must know the keys"),
    ):
        assert rule in str(faults.recognise(RuntimeError(message), places()))


def test_a_wrong_password_is_refused_first_and_is_not_shown(team: Project, stores: Stores) -> None:
    wrong = stores.database.address("mlflow", password="sesame")
    done = team.make("build", MLFLOW_TRACKING_URI=wrong)
    refused(done, "PostgreSQL must let in the user that MLFLOW_TRACKING_URI names", "/mlflow")
    assert "sesame" not in done.text
    assert "Trained" not in done.text


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "PREFECT_SERVER_DATABASE_CONNECTION_URL"])
def test_an_unusable_database_is_refused_in_one_sentence(
    stores: Stores, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = stores.database
    kind = "postgresql+asyncpg" if variable.startswith("PREFECT") else "postgresql"
    database.sql("postgres", "drop role if exists guest", "create role guest login password 'guest'")
    with socket.socket() as hung:
        hung.bind(("127.0.0.1", 0))
        hung.listen()
        cases = {
            "must let in the user": database.address("mlflow", kind, password="sesame"),
            "must have the database": database.address("sesame", kind),
            "must be allowed to make tables": database.address("postgres", kind, user="guest", password="guest"),
            "must name a PostgreSQL database": f"{kind}://x:y@127.0.0.1:port/mlflow",
            "must answer within 1 s": f"{kind}://x:y@127.0.0.1:{hung.getsockname()[1]}/mlflow",
            "Received: [Errno 111]": f"{kind}://x:y@127.0.0.1:1/mlflow",
        }
        monkeypatch.setattr(reachable, "PATIENCE", 1)
        for words, address in cases.items():
            monkeypatch.setenv(variable, address)
            check = reachable.prefect_store if variable.startswith("PREFECT") else reachable.registry
            with pytest.raises(Refusal) as caught:
                check()
            assert words in str(caught.value)
            assert variable in str(caught.value)
            assert "sesame@" not in str(caught.value)
        monkeypatch.setenv(variable, stores.environment[variable])
        check()


def test_an_unusable_bucket_is_refused_in_one_sentence(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stores.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bucket, "PATIENCE", 1)
    with socket.socket() as hung:
        hung.bind(("127.0.0.1", 0))
        hung.listen()
        cases = {
            "must be there": {"MLFLOW_DEFAULT_ARTIFACT_ROOT": "s3://no-such-bucket/x"},
            "must answer within 1 s": {"MLFLOW_S3_ENDPOINT_URL": "http://127.0.0.1:1"},
            "TimeoutError": {"MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{hung.getsockname()[1]}"},
            "must be one that can be used": {"MLFLOW_S3_ENDPOINT_URL": "127.0.0.1:9000"},
            "must know the keys": {
                "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true",
            },
        }  # fmt: skip
        for words, changes in cases.items():
            with monkeypatch.context() as patch:
                for name, value in changes.items():
                    patch.setenv(name, value)
                with pytest.raises(Refusal) as caught:
                    reachable.artifacts(places())
                assert words in str(caught.value)
                assert "MLFLOW_DEFAULT_ARTIFACT_ROOT" in str(caught.value)
        reachable.artifacts(places())
