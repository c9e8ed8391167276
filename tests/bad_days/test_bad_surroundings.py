"""Faults around a project: disks, rights, ports, servers, damaged files.

Each ends in one clear sentence in good time, and leaves existing files byte for byte.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratchet import setup_venv
from ratchet.data.versions import dvc_cache
from ratchet.project import faults
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places, places
from ratchet.state import ledger
from tests.support.project import SMALL, Done, Project, refused, small_table

KEPT = ("data", "data.dvc", "params.yaml", "state/ledger.jsonl", "state/mlflow.db")
NAMESPACE = ["unshare", "--mount", "--propagation", "private"]


# The disk


def can_mount() -> bool:
    try:
        return (
            subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode == 0
        )
    except OSError:
        return False


needs_mounts = pytest.mark.skipif(not can_mount(), reason="this user may not mount: no private mount namespace here")


def in_namespace(project: Project, script: str, *words: str) -> Done:
    """Run a shell script in a private mount namespace, with `make` and its words as "$@"."""
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", script, "sh", "make", *words],
        cwd=project.root,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    return Done(done.returncode, done.stdout + done.stderr)


def on_a_full_disk(project: Project, left: int, back: Path, *words: str) -> Done:
    """Run a command with the project on a disk of its own with `left` KB free; its files come back in `back`/after."""
    script = f"""
set -e
cp -a "{project.root}/." "{back}/before"
mount -t tmpfs -o size=128m tmpfs "{project.root}"
cp -a "{back}/before/." "{project.root}"
cd "{project.root}"
free=$(df --output=avail -k . | tail -1)
head -c $(( (free - {left}) * 1024 )) /dev/zero > ballast
status=0
"$@" || status=$?
rm ballast
cp -a . "{back}/after"
exit $status
"""
    for name in ("before", "after"):
        (back / name).mkdir(parents=True)
    return in_namespace(project, script, *words)


FULL = {
    "data": (3000, ("data", "SOURCE=big.csv", "TEXT=text", "LABEL=label")),
    "data, laid out": (300, ("data", "SOURCE=big.csv", "TEXT=text", "LABEL=label")),
    "build": (0, ("build", "MODEL=majority")),
    "build, halfway": (500, ("build", "MODEL=majority")),
    "predict": (300, ("predict", "FILE=big.csv", "OUT=out.csv")),
    "backup": (300, ("backup",)),
}


@needs_mounts
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.long) if "halfway" in n else n for n in FULL])
def test_a_full_disk_is_named_and_nothing_is_half_written(whole: Project, tmp_path: Path, name: str) -> None:
    left, words = FULL[name]
    (whole.root / "big.csv").write_text(small_table(20_000), encoding="utf-8")
    before = whole.bytes_of(*KEPT[:4])
    done = on_a_full_disk(whole, left, tmp_path, *words)
    refused(done, "The disk must have room", "Free some")
    after = tmp_path / "after"
    assert {path: (after / path).read_bytes() for path in before} == before
    assert not (after / "out.csv").exists()
    assert not list((after / "state").glob("backups/*"))
    assert not list(after.glob("*.new"))


READ_ONLY = {
    "state": ("state", ("status",)),
    "project": (".", ("data", "SOURCE=reviews.csv", "TEXT=text", "LABEL=label")),
    "project, build": (".", ("build",)),
}


@needs_mounts
@pytest.mark.parametrize("name", READ_ONLY)
def test_a_read_only_folder_is_named(whole: Project, name: str) -> None:
    folder, words = READ_ONLY[name]
    before = whole.bytes_of(*KEPT)
    script = f'set -e; mount --bind {folder} {folder}; mount -o remount,bind,ro {folder}; cd "$PWD"; "$@"'
    refused(in_namespace(whole, script, *words), "read-only file system", "RATCHET_STATE=")
    assert whole.bytes_of(*KEPT) == before


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv here (util-linux)")
@pytest.mark.parametrize("name", ["state/mlflow.db", "params.yaml", "data/table.csv", "in.csv"])
def test_a_file_without_permission_is_named(whole: Project, name: str) -> None:
    """The superuser may read everything, so the command runs without that capability."""
    whole.write("in.csv", "text\nfine\n")
    words = {"data/table.csv": ("build",), "in.csv": ("predict", "FILE=in.csv", "OUT=out.csv")}.get(name, ("status",))
    path = whole.root / name
    capabilities = ["--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        done = subprocess.run(
            ["setpriv", *capabilities, "make", *words],
            cwd=whole.root, env=whole.environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    finally:
        path.chmod(mode)
    refused(Done(done.returncode, done.stdout + done.stderr), Path(name).name, "ermission")


# Addresses


@pytest.mark.parametrize("port", ["PREFECT_PORT=abc", "MLFLOW_PORT=70000", "SERVE_PORT=-1", "PREFECT_PORT=4200.0"])
def test_a_port_that_is_none_is_refused(whole: Project, port: str) -> None:
    refused(whole.make("status", port), port.partition("=")[0], port.partition("=")[2], "1 to 65535")


@pytest.mark.parametrize("host", ["203.0.113.1", "no.such.host.invalid"])
def test_an_address_of_another_machine_cannot_be_listened_on(whole: Project, host: str) -> None:
    passwords = {"PREFECT_SERVER_API_AUTH_STRING": "a:b", "MLFLOW_AUTH_ADMIN_PASSWORD": "twelve letters"}
    for verb in ("ui", "optimise"):
        done = whole.make(verb, f"RATCHET_UI_HOST={host}", **passwords)
        refused(done, "RATCHET_UI_HOST must be an address of this machine", host)
    done = whole.make("serve", f"RATCHET_HOST={host}", RATCHET_TOKEN="s3cret")
    refused(done, "RATCHET_HOST must be an address of this machine", host)


@pytest.fixture
def hung() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield server.getsockname()[1]


@pytest.mark.parametrize("server", ["prefect", "mlflow"])
def test_a_stranger_on_a_port_is_named_with_what_to_type(whole: Project, hung: int, server: str) -> None:
    name = f"{server.upper()}_PORT"
    done = whole.make("ui", **{name: str(hung)})
    refused(done, f"Port {hung} must be free for {server}", f"(process {os.getpid()})")
    assert re.search(rf"make ui {name}=\d+", done.text)


@pytest.mark.parametrize("verb", ["run", "build", "predict", "status", "rollback"])
def test_a_registry_that_nobody_serves_is_found_at_once(whole: Project, verb: str) -> None:
    words = ("TEXT=x",) if verb == "predict" else ()
    done = whole.make(verb, *words, MLFLOW_TRACKING_URI="http://me:secret@127.0.0.1:1")
    refused(done, "MLflow must answer", "http://127.0.0.1:1", "MLFLOW_TRACKING_URI")
    assert "secret" not in done.text


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "PREFECT_API_URL"])
def test_a_server_that_hangs_is_found_before_anything_is_trained(whole: Project, hung: int, variable: str) -> None:
    started = time.monotonic()
    done = whole.make("build", **{variable: f"http://127.0.0.1:{hung}/api"})
    refused(done, "must answer within 8 s", "timed out", str(hung))
    assert time.monotonic() - started < 30  # 9 s were measured; the machine may be busy
    assert "Trained" not in done.text


def test_a_prefect_server_that_is_not_there_is_found_at_once(whole: Project) -> None:
    refused(whole.make("build", PREFECT_API_URL="http://127.0.0.1:1/api"), "Prefect must answer", "refused")


def test_a_registry_whose_address_is_a_slip_is_not_taken_for_an_empty_one(whole: Project) -> None:
    done = whole.make("status", MLFLOW_TRACKING_URI="htp//registry:5000")
    refused(done, "htp//registry:5000", "sqlite")
    assert not (whole.root / "htp").exists()


def test_a_failed_flow_says_in_prefect_what_to_do(own: Project) -> None:
    """The state's message is the sentence of the terminal, and the run's name ends in it; so do the parent's."""
    own.write("params.yaml", SMALL.replace("label: label", "label: label, positive: great"))
    done = own.make("run")
    refused(done, "`data.positive`", "great")
    (sentence,) = [line for line in done.text.splitlines() if "`data.positive`" in line]
    with sqlite3.connect(own.root / "state" / "prefect" / "prefect.db") as connection:
        failed = connection.execute(
            "select flow_run.name, flow_run_state.message from flow_run join flow_run_state "
            "on flow_run_state.flow_run_id = flow_run.id where flow_run_state.type = 'FAILED'"
        ).fetchall()
    connection.close()
    assert dict(failed) == {f"{flow}, make run: {sentence}": sentence for flow in ("lifecycle", "build")}


# Damaged files


def test_a_damaged_object_is_never_used_and_never_in_the_way(own: Project) -> None:
    version = re.search(r"md5: (\w+)\.dir", (own.root / "data.dvc").read_text())
    assert version
    here = Places(own.root, own.root / "state", "127.0.0.1", 1, 2, 3)
    before = own.bytes_of("data")
    table = max(dvc_cache.of_version(here, version[1]), key=lambda path: path.stat().st_size)
    listing = dvc_cache.path_of(here, f"{version[1]}.dir")
    for damage, path in ((flip, table), (truncate, listing)):
        shutil.rmtree(own.root / "data")
        damage(path)
        lost = own.make("data")
        refused(lost, "neither DVC's cache nor a remote has it whole", "damaged objects are in")
        assert not (own.root / "data").exists()
        again = own.make("data", "SOURCE=reviews.csv", "TEXT=text", "LABEL=label")
        assert again.status == 0, again.text
        assert own.bytes_of("data") == before


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)  # as DVC leaves its objects: it then asks no more about them


def truncate(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size // 2)
    path.chmod(0o444)


@pytest.mark.parametrize("cut", [0, 90])
def test_a_data_dvc_that_is_cut_off_is_refused(whole: Project, cut: int) -> None:
    path = whole.root / "data.dvc"
    before = path.read_bytes()
    path.write_bytes(before[:cut])
    try:
        refused(whole.make("build"), "data.dvc must pin data/ by its hash", "git checkout data.dvc")
        path.write_bytes(before + b"<<<<<<< HEAD\n")
        refused(whole.make("data"), "data.dvc", "merge conflict")
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("damage", ["cut", "garbage", "newer"])
def test_a_registry_that_cannot_be_read_is_refused(whole: Project, damage: str) -> None:
    path = whole.root / "state" / "mlflow.db"
    before = path.read_bytes()
    if damage == "newer":
        with sqlite3.connect(path) as connection:
            connection.execute("update alembic_version set version_num = 'ffffffffffff'")
        connection.close()
    else:
        path.write_bytes(before[: len(before) // 2] if damage == "cut" else b"no database at all" * 100)
    damaged = path.read_bytes()
    try:
        refused(whole.make("build"), "mlflow.db", "make restore FROM=")
        assert path.read_bytes() == damaged
    finally:
        path.write_bytes(before)


def test_garbage_in_what_can_be_made_again_is_passed_over(own: Project) -> None:
    state = own.root / "state"
    with open(state / "ledger.jsonl", "ab") as file:
        file.write(b'\xff\xfe garbage\n[1]\n{"problem": 1}\n')
    (state / "last-turn.json").write_bytes(b"\xff\xff")
    (state / "servers").mkdir()
    (state / "servers" / "prefect.json").write_bytes(b"\xff{")
    (state / "servers" / "mlflow.json").write_text("[]")
    (state / "loop.lock").write_bytes(b"\xff\xff")
    (state / "quarantine").mkdir(exist_ok=True)
    (state / "quarantine" / "reviews.csv").write_bytes(b"\x00\xff")
    for path in (state / "cache").glob("*.parquet"):
        os.truncate(path, 300)
    history, status = own.make("history"), own.make("status")
    assert "3 damaged or torn lines" in history.text
    assert "promoted after nothing" in history.text
    assert re.search(r"live +version 1 \(linear\) since", status.text)
    code = """
from ratchet.problem import problem
from ratchet.data.prepare import rows
from ratchet.servers import servers
from ratchet.state import turn
current = problem.load()
print(len(rows.load_prepared(current)), turn.recall(current.here), servers.running_record(current.here, "prefect"),
      servers.running_record(current.here, "mlflow"))
"""
    assert own.python(code).text.split() == ["600", "None", "None", "None"]


def test_a_registry_that_is_not_the_ledgers_is_not_called_a_beginning(own: Project) -> None:
    (own.root / "state" / "mlflow.db").unlink()
    assert "the ledger says version 1" in own.make("status").text


def test_a_deleted_state_is_a_fresh_start(own: Project) -> None:
    shutil.rmtree(own.root / "state")
    assert "live       nothing yet" in own.make("status").text
    assert "already there" in own.make("data").text


# All else


def test_an_unknown_error_is_one_sentence_and_a_log(own: Project) -> None:
    broken = own.root / "flows" / "registry" / "registry.py"
    broken.write_text(broken.read_text() + '\nraise KeyError("odd")\n')
    done = own.make("status")
    assert done.status != 0
    assert "Traceback" not in done.text
    assert "`make status` met an error that Ratchet does not know. Received: KeyError: 'odd'." in done.text
    log = own.root / "state" / "logs" / "errors.log"
    assert str(log) in done.text
    written = log.read_text()
    for part in ("make status", "ratchet 0.1.0", "mlflow 3.", "Traceback (most recent call last)", "KeyError: 'odd'"):
        assert part in written


def test_faults_are_recognised_however_they_are_wrapped() -> None:
    here = places()
    for number, words in ((errno.ENOSPC, "room"), (errno.EROFS, "read-only"), (errno.EACCES, "permission")):
        cause = OSError(number, os.strerror(number), "/a/file")
        try:
            try:
                raise cause
            except OSError as error:
                raise RuntimeError("a tool's own words") from error
        except RuntimeError as wrapped:
            fault_refusal = faults.recognise(ExceptionGroup("several", [ValueError("another"), wrapped]), here)
        assert fault_refusal is not None
        assert words in str(fault_refusal)
        assert "/a/file" in str(fault_refusal)
    for fault, words in (
        (sqlite3.OperationalError("database or disk is full"), "room"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "read-only"),
        (sqlite3.DatabaseError("database disk image is malformed"), "whole SQLite file"),
        (sqlite3.OperationalError("database is locked"), "half a minute"),
        (RuntimeError("HTTPConnectionPool: Max retries exceeded with url"), "must answer"),
    ):
        fault_refusal = faults.recognise(fault, here)
        assert fault_refusal is not None, fault
        assert words in str(fault_refusal)
    refusal = Refusal("A rule.", "this", "Do that.")
    assert faults.recognise(refusal, here) is refusal
    assert faults.recognise(KeyError("odd"), here) is None


def test_a_moment_that_is_none_costs_its_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger.append(path, ledger.Move("p", "promoted", None, 1, "t", "why"))
    line = json.loads(path.read_text())
    with open(path, "a") as file:
        file.write(json.dumps(line | {"at": "yesterday"}) + "\n")
    assert len(ledger.read(path)) == ledger.unreadable(path) == 1


def test_an_environment_without_its_mark_is_set_up_again(own: Project) -> None:
    """After a kill during set-up, make sets the environment up again; a half-made one does not count as ready."""
    venv = own.root / ".venv"
    venv.unlink()
    (venv / "bin").mkdir(parents=True)
    dry_run = subprocess.run(["make", "-n", "status"], cwd=own.root, capture_output=True, text=True, check=True)
    assert "ratchet.setup_venv" in dry_run.stdout
    (venv / ".ready").write_text(setup_venv.fingerprint()[:-100])
    code = "from ratchet import setup_venv; print(setup_venv.is_ready())"
    result = subprocess.run(["python3", "-c", code], cwd=own.root, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
