"""Repairs after a kill: every prefix of a move, notes, identities of processes, sessions, locked databases."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient

from flows.registry.registry import Registry
from flows.registry.snapshot import CHALLENGER, CHAMPION, PREVIOUS
from flows.registry.store import keep_on_disk, make_store
from flows.runs import champion, recovery
from ratchet.maintenance import migrations
from ratchet.project import durable
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.servers import process_id, servers
from ratchet.servers.servers import Server, ServerRecord
from ratchet.state import ledger, lock, pending_move, sqlite_file
from ratchet.state.ledger import Move
from ratchet.state.pending_move import PendingMove
from ratchet.training import job as training
from ratchet.training.job import Job
from tests.support.power import Disk
from tests.support.project import ROOT

FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
CHANGES = ("set_registered_model_alias", "delete_registered_model_alias", "update_registered_model")
PROMOTED = PendingMove(
    Move("reviews", "promoted", 1, 2, "tests", "it is better", {"model": "linear"}), "Live: version 2"
)
ROLLED_BACK = PendingMove(
    Move("reviews", "rolled back", 2, 1, "tests", "by hand", {"model": "linear"}), "Live: version 1"
)


@pytest.fixture
def here(tmp_path: Path) -> Places:
    (tmp_path / "state").mkdir()
    return Places(ROOT, tmp_path / "state", "127.0.0.1", 1, 2, 3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a registry with three versions of one model, none of them live."""
    path = tmp_path_factory.mktemp("made") / "mlflow.db"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        registry = Registry("reviews", Places(ROOT, path.parent, "127.0.0.1", 1, 2, 3))
        registry.client.create_registered_model("reviews")
        run = registry.begin("a run", {})
        registry.end(run)
        for _ in range(3):
            registry.client.create_model_version("reviews", "models/none", run)
    return path


@pytest.fixture
def registry(here: Places, made: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    shutil.copy(made, here.state)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{here.state / 'mlflow.db'}")
    return Registry("reviews", here)


def aliases(registry: Registry) -> dict[str, int]:
    model = registry.client.get_registered_model("reviews")
    return {name: int(version) for name, version in model.aliases.items()}


class Killed(BaseException):
    """The process is gone."""


def cut_off(here: Places, registry: Registry, pending: PendingMove, change: int, of: int) -> None:
    """Make the move, which is `of` changes, and kill it before the change of that number; `of` itself completes."""
    changes_left = iter(range(change))

    def mortal(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(changes_left, None) is None:
                raise Killed
            return real(*args, **kwargs)

        return call

    changes = [(ledger, "append_once"), *((MlflowClient, name) for name in CHANGES)]
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in changes:
            patch.setattr(owner, name, mortal(getattr(owner, name)))
        with pytest.raises(Killed) if change < of else nullcontext():
            champion.carry_out(here, registry, pending)
    assert next(changes_left, None) is None, "the move is more changes than were made here"
    assert pending_move.read(here) == pending


@pytest.mark.parametrize("change", range(6))
def test_a_promotion_cut_off_before_any_change_is_finished_once(here: Places, registry: Registry, change: int) -> None:
    registry.client.set_registered_model_alias("reviews", CHAMPION, "1")
    registry.client.set_registered_model_alias("reviews", CHALLENGER, "2")
    cut_off(here, registry, PROMOTED, change, of=5)
    sentences: list[str] = []
    for _ in range(2):
        with recovery.alone(here, "tests", sentences.append):
            pass
    assert aliases(registry) == {CHAMPION: 2, PREVIOUS: 1}
    assert ledger.read(here.ledger) == (PROMOTED.move,)
    assert registry.client.get_registered_model("reviews").description == "Live: version 2"
    assert sentences == ["What was cut off is done now: Version 2 (linear) of reviews is live."]


@pytest.mark.parametrize("change", range(5))
def test_a_rollback_cut_off_before_any_change_keeps_the_way_back(here: Places, registry: Registry, change: int) -> None:
    """The challenger is another version, and keeps its alias."""
    for alias, version in ((CHAMPION, "2"), (PREVIOUS, "1"), (CHALLENGER, "3")):
        registry.client.set_registered_model_alias("reviews", alias, version)
    cut_off(here, registry, ROLLED_BACK, change, of=4)
    with recovery.alone(here, "tests", print) as recovered:
        assert recovered.move == ROLLED_BACK.move
    assert aliases(registry) == {CHAMPION: 1, PREVIOUS: 2, CHALLENGER: 3}
    assert ledger.read(here.ledger) == (ROLLED_BACK.move,)
    assert pending_move.read(here) is None


def test_a_move_to_a_version_that_is_gone_is_given_up_and_said(here: Places, registry: Registry) -> None:
    pending_move.write(here, PendingMove(Move("reviews", "promoted", None, 9, "tests", "why"), "page"))
    sentences: list[str] = []
    with recovery.alone(here, "tests", sentences.append) as recovered:
        assert recovered.move is None
    assert "version 9 of reviews was to go live, and is no longer in MLflow" in sentences[0]
    assert pending_move.read(here) is None
    assert ledger.read(here.ledger) == ()


def test_runs_of_this_state_are_closed_and_those_of_others_left(here: Places, registry: Registry) -> None:
    mine = registry.begin("mine", {})
    others = registry.client.create_run(registry.experiment(), tags={"state": "elsewhere"}).info.run_id
    (here.state / "loop.lock").write_text('{"pid": 1, "what": "make run", "since": "2026-01-01T00:00:00"}\n')
    assert not lock.is_clean(here.state)
    recovery.catch_up(here, "tests", print)
    assert lock.is_clean(here.state)
    assert registry.client.get_run(mine).info.status == "KILLED"
    assert registry.client.get_run(others).info.status == "RUNNING"


def test_no_two_builds_have_one_number_though_the_clock_went_back(
    here: Places, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers, now = [], time.time()
    for hours in (0, -5, -3, *range(-20, -12)):
        monkeypatch.setattr("flows.registry.registry.time.time", lambda hours=hours: now + 3600 * hours)
        numbers.append(registry.next_build())
        registry.end(registry.begin("a build", {"build": str(numbers[-1])}))
    assert numbers == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]


def test_a_models_files_are_on_the_disk_before_a_version_is_made(here: Places, registry: Registry) -> None:
    """MLflow leaves them to the system; a power cut would leave a champion with nothing in its files."""
    other = Registry("other", here)
    model = registry.client.create_logged_model(other.experiment(), name="linear")
    name = f"{model.artifact_location.partition('/state/')[2]}/data/model.json"
    with Disk(here.state) as disk:
        (here.state / name).parent.mkdir(parents=True)
        (here.state / name).write_text("{}")
        keep_on_disk(here, str(model.artifact_location))
    assert [left[name] for left in disk.ends] == [b"{}", b"{}"]


def test_a_recovery_that_fails_is_tried_again_by_the_next(here: Places) -> None:
    (here.state / "loop.lock").write_text("torn")
    deaths: list[bool] = []

    def fail(died: bool) -> None:
        deaths.append(died)
        raise Refusal("A rule.", "another", "Again.")

    for _ in range(2):
        with pytest.raises(Refusal), lock.one_at_a_time(here.state, "tests", fail):
            raise AssertionError("the block must not run")
    with lock.one_at_a_time(here.state, "tests", deaths.append):
        assert lock.holder(here.state)
    with lock.one_at_a_time(here.state, "tests", deaths.append):
        pass
    assert deaths == [True, True, True, False]


def test_a_version_that_was_rolled_back_from_is_known_as_such_until_it_is_live_again() -> None:
    promoted, back = PROMOTED.move, ROLLED_BACK.move
    assert not ledger.was_taken_back((promoted,), 2)
    assert ledger.was_taken_back((promoted, back), 2)
    assert not ledger.was_taken_back((promoted, back), 1)
    assert not ledger.was_taken_back((promoted, back, replace(promoted, action="rolled back")), 2)


@settings(max_examples=20)
@given(cut=st.integers(0, 40), before=st.none() | st.dictionaries(st.text(max_size=5), st.integers(), max_size=3))
def test_a_note_is_the_old_one_or_the_new_one(tmp_path_factory: pytest.TempPathFactory, cut: int, before) -> None:
    path = tmp_path_factory.mktemp("note") / "note.json"
    if before is not None:
        durable.write_json(path, before)
    path.with_name("note.json.new").write_text('{"torn": "and longer than that'[:cut])
    assert durable.read_json(path) == before
    durable.write_json(path, {"whole": 1})
    assert durable.read_json(path) == {"whole": 1}
    assert list(path.parent.iterdir()) == [path]


def test_a_process_is_told_from_another_with_its_number() -> None:
    birth = process_id.birth(os.getpid())
    assert process_id.lives(os.getpid(), birth)
    assert not process_id.lives(os.getpid(), birth + "0")
    assert not process_id.lives(os.getpid(), "")
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_id.birth(child.pid) == ""  # it ended, and nobody has seen it off
    child.wait()
    assert process_id.birth(child.pid) == ""


@pytest.mark.skipif(FAKETIME is None, reason="no faketime here: apt-get install faketime")
@pytest.mark.parametrize("shift", ["-1d", "+365d"])
def test_a_clock_that_jumps_makes_no_process_another(shift: str) -> None:
    pid = os.getpid()
    code = "import sys; from ratchet.servers import process_id; print(process_id.birth(int(sys.argv[1])))"
    env = os.environ | {"LD_PRELOAD": str(FAKETIME), "FAKETIME": shift, "PYTHONPATH": str(ROOT)}
    output = subprocess.run([sys.executable, "-c", code, str(pid)], cwd=ROOT, env=env, capture_output=True, text=True)
    assert output.stdout.strip() == process_id.birth(pid)


def test_moves_made_while_the_clock_was_wrong_keep_their_order(here: Places) -> None:
    times = ["2026-03-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00"]
    for number, at in enumerate(times, 1):
        ledger.append(here.ledger, Move("reviews", "promoted", None, number, "tests", "why", at=at))
    moves = ledger.read(here.ledger)
    assert [move.after for move in moves] == [1, 2, 3]


def sleeper(here: Places) -> Server:
    """A server that only sleeps."""
    return Server("sleeper", (sys.executable, "-c", "import time; time.sleep(600)"), None, "", {})


def started(here: Places) -> tuple[subprocess.Popen[bytes], int]:
    """Start a server under its watcher; returns the watcher, and the server's process id."""
    watcher = servers.start(here, sleeper(here))
    while len(members := servers.session(watcher.pid)) < 2:
        time.sleep(0.01)
    return watcher, next(pid for pid in members if pid != watcher.pid)


def test_a_server_whose_watcher_was_killed_is_ended_by_the_next_command(here: Places) -> None:
    watcher, server = started(here)
    watcher.kill()
    watcher.communicate()
    assert process_id.birth(server)
    assert servers.left_over_servers(here) == ["sleeper"]
    sentences: list[str] = []
    with recovery.alone(here, "tests", sentences.append):
        assert process_id.birth(server) == ""
    assert sentences == ["The sleeper server that a killed command left is ended."]
    assert servers.left_over_servers(here) == []


def test_a_server_whose_watcher_was_killed_ends_with_its_command_too(here: Places) -> None:
    with servers.started(here, sleeper(here)) as watcher:
        assert watcher is not None
        while len(members := servers.session(watcher.pid)) < 2:
            time.sleep(0.01)
        watcher.kill()
    assert [pid for pid in members if process_id.birth(pid)] == []


def test_the_session_of_a_number_that_was_given_out_again_is_left_alone(here: Places) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        record = ServerRecord("sleeper", stranger.pid, "an earlier birth", 1, "dead", 0, "")
        durable.write_json(servers.record_path(here, "sleeper"), record.__dict__)
        recovery.catch_up(here, "tests", print)
        assert process_id.birth(stranger.pid)
        assert servers.left_over_servers(here) == []
    finally:
        stranger.kill()
        stranger.wait()


def test_a_database_whose_making_was_cut_off_is_made_anew(here: Places) -> None:
    path = here.state / "some.db"
    server = Server("some", (), None, "", {}, path)
    servers.begin_database(server)
    path.write_bytes(b"half of it")
    path.with_name("some.db-wal").write_bytes(b"and more")
    servers.begin_database(server)
    assert [file.name for file in here.state.iterdir()] == ["some.db.making"]


def lock_database(path: Path) -> sqlite3.Connection:
    """Hold an exclusive lock on a database."""
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("create table if not exists t (x)")
    connection.commit()
    connection.execute("begin exclusive")
    return connection


def test_what_a_kill_left_beside_a_new_registry_is_cleared_away(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.touch()
    path.with_name("mlflow.db.123").hardlink_to(path)
    path.with_name("mlflow.db.124-journal").touch()
    make_store(path)
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_kill_left_half_written_in_a_database_is_taken_back(tmp_path: Path) -> None:
    path, copy = tmp_path / "some.db", tmp_path / "copy.db"
    code = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("create table t (x)")
connection.execute("insert into t values (1)")
connection.execute("pragma cache_size = 1")
connection.execute("begin immediate")
connection.executemany("insert into t values (?)", (("x" * 1000,) for _ in range(500)))
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert path.with_name("some.db-journal").exists()
    migrations.snapshot(path, copy)
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("select x from t").fetchall() == [(1,)]


def test_a_locked_database_is_waited_for_and_then_named(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    sqlite_file.wait_until_free(path)
    assert not path.exists()
    with (
        closing(lock_database(path)),
        pytest.raises(Refusal, match=r"mlflow\.db must become free.*another program holds it"),
    ):
        sqlite_file.wait_until_free(path, patience=0.2)
    sqlite_file.wait_until_free(path, patience=0.2)


def test_a_candidate_is_taken_up_only_for_the_very_same_job(tmp_path: Path) -> None:
    import polars as pl

    rows = pl.DataFrame({"text": ["good film", "bad film"] * 20, "label": ["good", "bad"] * 20})
    training.write_rows([rows.head(30)], rows.tail(10), tmp_path)
    job = Job("majority", {}, ("bad", "good"), 0, 1.0)
    assert training.finished(job, tmp_path) is None
    trained = training.train(job, tmp_path, lambda _: None)
    (tmp_path / "linear.123").mkdir()
    training.clear_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["majority"]
    finished = training.finished(job, tmp_path)
    assert finished is not None
    assert (finished.seconds, finished.curve) == (trained.seconds, trained.curve)
    assert finished.outputs.tolist() == trained.outputs.tolist()
    assert training.finished(Job("majority", {}, ("bad", "good"), 1, 1.0), tmp_path) is None
