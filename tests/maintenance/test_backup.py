"""Backup, restore and prune: an archive is whole and can be restored in any folder; prune keeps all that is needed."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from ratchet.maintenance import backup
from ratchet.state import ledger, lock, retention
from ratchet.state.retention import Run, Version
from tests.support.project import Project, copied, refused
from tests.support.up import wait_for

KEPT = ("data", "data.dvc", "params.yaml", ".dvc/config", "state/ledger.jsonl", "state/mlflow.db", "state/artifacts")
DANGLING = """
import json, mlflow, os
client = mlflow.MlflowClient()
from urllib.parse import unquote, urlparse
missing = []
experiment = client.get_experiment_by_name("reviews").experiment_id
for run in client.search_runs([experiment]):
    for file in client.list_artifacts(run.info.run_id):
        mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path=file.path)
for model in client.search_logged_models([experiment]):
    if str(model.status) != "READY":  # MLflow's status of a model that was being written during the backup
        continue
    if not os.path.isdir(unquote(urlparse(model.artifact_location).path)):
        missing.append(model.model_id)
versions = sorted(int(v.version) for v in client.search_model_versions("name = 'reviews'"))
for version in versions:
    mlflow.pyfunc.load_model(f"models:/reviews/{version}").predict(["a splendid film"])
runs = len(client.search_runs([experiment]))
print(json.dumps({"versions": versions, "missing": missing, "runs": runs}))
"""

ANOTHER_VERSION = """
from ratchet.problem import problem
from ratchet.project.paths import places, settle
settle(places())
from flows.registry.registry import Registry
current = problem.load()
registry = Registry(current.name, current.here)
tags = {"model": "linear", "data_version": current.pin.version}
saved = next((current.here.state / "artifacts" / "reviews" / "models").glob("*/artifacts/data/saved"))
with registry.run("a build", tags) as parent, registry.run("linear", tags, parent) as run_id:
    model_id = registry.log_model(run_id, "linear", saved, ("bad", "good"), current.task)
registry.set_challenger(registry.register(run_id, model_id, tags, "never live"))
"""


@pytest.fixture(scope="module")
def kept(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with champion version 1, versions 2 and 3 that never went live, and a backup taken during a build."""
    project = copied(original, tmp_path_factory.mktemp("kept") / "project")
    assert project.make("predict", "TEXT=a splendid film").status == 0
    added = project.python(ANOTHER_VERSION)
    assert added.status == 0, added.text
    building = project.start("build", "MODEL=majority")
    wait_for(building, "Prepared")
    done = project.make("backup", f"TO={archive(project)}")
    rest, _ = building.communicate()
    assert building.returncode == 0, rest
    assert done.status == 0, done.text
    return project


def archive(project: Project) -> Path:
    return project.root.parent / "kept.tar.zst"


def registry_report(project: Project) -> dict:
    """Versions that load, models without files, and the number of runs."""
    done = project.python(DANGLING, MLFLOW_TRACKING_URI=project.tracking_uri)
    assert done.status == 0, done.text
    (line,) = re.findall(r"^\{.*\}$", done.text, re.MULTILINE)
    return json.loads(line)


# Backup and restore


def test_a_backup_taken_during_a_build_works_in_another_folder(kept: Project, tmp_path: Path) -> None:
    (tmp_path / "another place").mkdir()
    other = Project(tmp_path / "another place" / "project")
    back = other.make("restore", f"FROM={archive(kept)}")
    assert back.status == 0, back.text
    assert "from the cache" in back.text
    assert "live       version 1 (linear) since" in other.make("status").text
    assert re.match(r"good  \d", other.make("predict", "TEXT=a splendid warm film").text)
    assert "promoted after nothing" in other.make("history").text
    assert other.bytes_of("data", "data.dvc", "params.yaml") == kept.bytes_of("data", "data.dvc", "params.yaml")
    assert str(kept.root) not in artifact_places(other)
    report = registry_report(other)
    assert set(report["versions"]) >= {1, 2}
    assert report["missing"] == []
    with closing(sqlite3.connect(other.root / "state" / "prefect" / "prefect.db")) as connection:
        assert connection.execute("select count(*) from flow_run").fetchone()[0] >= 6
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)


def artifact_places(project: Project) -> str:
    columns = {"runs": "artifact_uri", "logged_models": "artifact_location", "model_versions": "storage_location"}
    with closing(sqlite3.connect(project.root / "state" / "mlflow.db")) as connection:
        return " ".join(
            row[0] for table, column in columns.items() for row in connection.execute(f"select {column} from {table}")
        )


def test_a_restore_keeps_the_replaced_state(kept: Project, tmp_path: Path) -> None:
    project = copied(kept, tmp_path / "project")
    project.write("params.yaml", (project.root / "params.yaml").read_text() + "# changed since\n")
    (project.root / "data" / "table.csv").write_text("changed by hand")
    (project.root / "data.dvc").write_text((project.root / "data.dvc").read_text().replace("d", "e", 1))
    before = project.bytes_of("data", "params.yaml", "data.dvc", "state/ledger.jsonl", "state/predictions.db")
    back = project.make_really("restore", f"FROM={archive(kept)}")
    assert back.status == 0, back.text
    (aside,) = (project.root / "state" / "backups").glob("before-restore-*")
    for name, content in before.items():
        copy = aside / name.removeprefix("state/") if name.startswith("state/") else aside / "project" / name
        assert copy.read_bytes() == content, name
    assert project.bytes_of("data", "params.yaml", "data.dvc") == kept.bytes_of("data", "params.yaml", "data.dvc")
    assert project.make("status").status == 0


def member(name: str, content: bytes = b"abc", kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.size = 0 if kind != tarfile.REGTYPE else len(content)
    info.linkname = "/etc/passwd"
    return info, content


def write_tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], number: int = 1) -> Path:
    about = {"format": number, "made": "2026", "version": "0", "state": "/x", "root": "/", "bytes": 3}
    first = member("ratchet-backup.json", json.dumps(about).encode())
    with tarfile.open(path, "w:gz") as tar:
        for info, content in (first, *members):
            tar.addfile(info, io.BytesIO(content))
    return path


def damaged_archive(kept: Project, folder: Path, kind: str) -> Path:
    whole = archive(kept).read_bytes()
    path = folder / "bad.tar.gz"
    if kind in ("cut", "flipped", "garbage", "nothing"):
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        path = folder / "bad.tar.zst"
        path.write_bytes({"cut": whole[:-200], "flipped": flipped, "garbage": b"x" * 1000, "nothing": b""}[kind])
    elif kind == "foreign":
        with tarfile.open(path, "w:gz") as tar:
            info, content = member("hello")
            tar.addfile(info, io.BytesIO(content))
    elif kind == "of another format":
        write_tar(path, number=9)
    else:
        manifest = member("manifest.json", b'{"files": {}}')
        entries = {
            "climbing out": member("state/../../hurt"),
            "absolute": member("/tmp/hurt"),
            "a link": member("state/x", kind=tarfile.SYMTYPE),
            "a stranger": member("project/Makefile"),
            "not in its manifest": member("state/x"),
        }
        write_tar(path, entries[kind], manifest)
    return path


@pytest.mark.parametrize(
    "kind",
    ["cut", "flipped", "garbage", "nothing", "foreign", "of another format", "climbing out", "absolute", "a link",
     "a stranger", "not in its manifest"],
)  # fmt: skip
def test_a_damaged_or_foreign_archive_changes_nothing(kept: Project, tmp_path: Path, kind: str) -> None:
    before = kept.bytes_of(*KEPT)
    refused(kept.make("restore", f"FROM={damaged_archive(kept, tmp_path, kind)}"), "bad.tar")
    assert kept.bytes_of(*KEPT) == before
    assert not (kept.root / "state" / "restoring").exists()
    assert not (kept.root.parent / "hurt").exists()
    assert not Path("/tmp/hurt").exists()


def test_a_restore_needs_a_file_and_is_refused_while_a_loop_turns(kept: Project) -> None:
    refused(kept.make("restore"), "FROM names a backup")
    refused(kept.make("restore", "FROM=absent.tar.zst"), "absent.tar.zst")
    with lock.one_at_a_time(kept.root / "state", "make run", lambda died: None):
        os.environ.pop(lock.HELD, None)
        refused(kept.make("restore", f"FROM={archive(kept)}"), "Only one loop turns at a time", "make run")


def test_a_restore_needs_the_uis_closed(kept: Project) -> None:
    """The test plays a running server of this project: it has a record, lives and answers."""
    code = """
import http.server, json, os, pathlib, threading
from ratchet.servers.process_id import birth
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
me = os.getpid()
note = {"name": "mlflow", "pid": me, "born": birth(me), "owner": me, "owner_born": birth(me),
        "port": server.server_port, "url": f"http://127.0.0.1:{server.server_port}/"}
path = pathlib.Path("state/servers/mlflow.json")
path.parent.mkdir(exist_ok=True)
path.write_text(json.dumps(note))
os.environ["RATCHET_FROM"] = ARCHIVE
from ratchet.console.cli import main
print("status", main(["restore"]))
path.unlink()
"""
    before = kept.bytes_of(*KEPT)
    done = kept.python(code.replace("ARCHIVE", repr(str(archive(kept)))))
    assert "status 1" in done.text, done.text
    assert "running: mlflow" in done.text
    assert kept.bytes_of(*KEPT) == before


@pytest.mark.parametrize("moves", [4, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 2, 3, 6, 8, 10, 12, 14))])
def test_the_next_command_finishes_a_killed_restore(kept: Project, tmp_path: Path, moves: int) -> None:
    """The process is killed with SIGKILL at its rename number `moves`."""
    project = copied(kept, tmp_path / "project")
    before = project.bytes_of("state/ledger.jsonl", "data.dvc")
    code = """
import os, signal
from ratchet.maintenance import backup
from ratchet.console.cli import main
left, replace = [MOVES], os.replace
def counted(*words):
    replace(*words)
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
backup.os.replace = counted
os.environ["RATCHET_FROM"] = ARCHIVE
main(["restore"])
"""
    done = project.python(code.replace("MOVES", str(moves)).replace("ARCHIVE", repr(str(archive(kept)))))
    assert done.status == -signal.SIGKILL, done.text
    status = project.make("status")
    assert status.status == 0, status.text
    assert "Finished a restore that was cut off" in status.text
    assert "live       version 1 (linear)" in status.text
    (aside,) = (project.root / "state" / "backups").glob("before-restore-*")
    assert (aside / "ledger.jsonl").read_bytes() == before["state/ledger.jsonl"]
    assert (aside / "project" / "data.dvc").read_bytes() == before["data.dvc"]
    assert not (project.root / "state" / "restoring").exists()
    assert project.bytes_of("data", "data.dvc") == kept.bytes_of("data", "data.dvc")
    assert re.match(r"good  \d", project.make("predict", "TEXT=a splendid warm film").text)


def test_a_backup_overwrites_nothing_and_lists_its_files(kept: Project) -> None:
    content = archive(kept).read_bytes()
    refused(kept.make("backup", f"TO={archive(kept)}"), "overwrites nothing")
    assert archive(kept).read_bytes() == content
    refused(kept.make("backup", "TO=all.zip"), ".tar.zst")
    done = kept.make_really("backup")
    assert done.status == 0, done.text
    assert "on the same disk" in done.text
    (made,) = (kept.root / "state" / "backups").glob("reviews-*.tar.zst")
    zipped = kept.make("backup", "TO=all.tar.gz")
    assert zipped.status == 0, zipped.text
    with tarfile.open(kept.root / "all.tar.gz") as tar:
        names = tar.getnames()
        about = json.load(tar.extractfile("ratchet-backup.json") or io.BytesIO())
        manifest = json.load(tar.extractfile("manifest.json") or io.BytesIO())["files"]
    (kept.root / "all.tar.gz").unlink()
    made.unlink()
    assert about["version"] == "0.1.0"
    assert set(names) == {*manifest, "ratchet-backup.json", "manifest.json"}
    for name in ("state/mlflow.db", "state/prefect/prefect.db", "state/predictions.db", "state/ledger.jsonl",
                 "project/params.yaml", "project/data.dvc", "project/.dvc/config"):  # fmt: skip
        assert name in names
    assert any(name.startswith("state/dvc/cache/files/md5/") for name in names)
    assert any(name.startswith("state/artifacts/reviews/models/") for name in names)
    assert not [name for name in names if name.startswith(("state/logs", "state/backups", "state/work"))]


def test_only_paths_below_the_old_folder_are_relocated(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("create table runs (uri varchar(200), number integer, note text)")
        rows = [("file:///old%20place/state/a", 1, "/old place/state/b"), ("file:///old%20place/states/a", 2, None),
                ("s3://bucket/old place/state/a", 3, "see /old place/state/b")]  # fmt: skip
        connection.executemany("insert into runs values (?, ?, ?)", rows)
    backup.relocate(database, {"/old place/state": Path("/new/ä")})
    with closing(sqlite3.connect(database)) as connection:
        relocated = connection.execute("select * from runs order by number").fetchall()
    assert relocated == [("file:///new/%C3%A4/a", 1, "/new/ä/b"), *rows[1:]]


# Prune


def version(number: int, aliased: bool = False, created: float = 0, data: str = "d1") -> Version:
    return Version("reviews", number, f"run{number}", f"m{number}", data, aliased, created)


def run(number: int, parent: str = "", ended: float | None = 0, data: str = "d1") -> Run:
    return Run("reviews", f"run{number}", parent, (f"m{number}",), data, ended)


def test_versions_of_an_alias_or_of_the_ledger_are_never_chosen() -> None:
    versions = [
        version(1, data="d1"),
        version(2, data="d2"),
        version(3, aliased=True, data="d3"),
        version(4, created=9),
    ]
    runs = [run(1, "build", data="d1"), run(2, "build2", data="d2"), run(3, data="d3"), run(4), run(5, ended=9),
            run(6, ended=None), run(7), Run("reviews", "build", "", (), "d1", 0),
            Run("reviews", "build2", "", (), "d2", 0)]  # fmt: skip
    moves = [ledger.Move("reviews", "promoted", None, 1, "t", "w"), ledger.Move("other", "promoted", None, 2, "t", "w")]
    choice = retention.choose(versions, runs, moves, cutoff=5)
    assert [chosen.number for chosen in choice.versions] == [2]
    assert [chosen.id for chosen in choice.runs] == ["run2", "run7", "build2"]
    assert choice.data == {"d1", "d3"}


def test_prune_shows_first_and_then_removes_only_unneeded_files(kept: Project, tmp_path: Path) -> None:
    project = copied(kept, tmp_path / "project")
    age_in_prefect(project)
    lost = project.root / "state" / "artifacts" / "reviews" / "0123456789abcdef0123456789abcdef"
    (lost / "artifacts").mkdir(parents=True)
    stray = project.root / "state" / "dvc" / "cache" / "files" / "md5" / "ab" / ("c" * 30)
    stray.parent.mkdir()
    stray.write_bytes(b"of no version")
    log = project.root / "state" / "logs" / "long.log"
    log.write_bytes(b"old line\n" * 1_300_000)
    before = project.bytes_of(*KEPT)
    young = project.make("prune")
    assert young.status == 0, young.text
    assert "0 runs in MLflow" in young.text
    shown = project.make("prune", "DAYS=0")
    assert shown.status == 0, shown.text
    assert "and 1 versions never live" in shown.text
    assert "Nothing was removed" in shown.text
    assert project.bytes_of(*KEPT) == before
    refused(project.make("prune", "DAYS=soon"), "DAYS")
    refused(project.make("prune", "CONFIRM=perhaps"), "CONFIRM=perhaps")
    done = project.make_really("prune", "DAYS=0", "CONFIRM=yes")
    assert done.status == 0, done.text
    assert registry_report(project) == {"versions": [1, 3], "missing": [], "runs": 4}
    assert not lost.exists()
    assert not stray.exists()
    assert log.stat().st_size < 2_000_000
    assert "0 runs in MLflow, and 0 versions" in project.make("prune", "DAYS=0").text
    with closing(sqlite3.connect(project.root / "state" / "prefect" / "prefect.db")) as connection:
        names = {name for (name,) in connection.execute("select name from flow_run")}
        runs = {run for (run,) in connection.execute("select id from flow_run")}
        logged = {run for (run,) in connection.execute("select distinct flow_run_id from log")}
    assert "build majority, make build" not in names
    assert "lifecycle v1 linear: promoted, make run" in names
    assert logged <= runs
    assert "version 1 (linear)" in project.make("status").text
    assert "promoted after nothing" in project.make("history").text
    assert re.match(r"good  \d", project.make("predict", "TEXT=a splendid warm film").text)
    assert project.bytes_of("data", "data.dvc", "params.yaml", "state/ledger.jsonl").items() <= before.items()


def age_in_prefect(project: Project) -> None:
    """Let a run in Prefect have ended in 2020."""
    with closing(sqlite3.connect(project.root / "state" / "prefect" / "prefect.db")) as connection, connection:
        connection.execute(
            "update flow_run set end_time = '2020-01-01 00:00:00.000000' where name = 'build majority, make build'"
        )
