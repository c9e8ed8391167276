"""The fork server: a child runs the requested module in the requested surroundings, and ends with its requester."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from ratchet.servers import prefork
from tests.support.project import ROOT, Project

TASK = """
import json, os, sys, time
from ratchet.marker import VALUE
report = [sys.argv[1:], sys.stdin.read(), dict(os.environ), os.getcwd(), __name__, VALUE, os.getpid()]
print(json.dumps(report), flush=True)
print("trouble", file=sys.stderr, flush=True)
if sys.argv[1] == "stay":
    time.sleep(600)
if sys.argv[1] == "fall":
    os.kill(os.getpid(), 9)
sys.exit(int(sys.argv[1]))
"""
ASK = """
import json, os, subprocess, sys, time
from ratchet.servers import prefork

def ask(*words, env={"ONLY": "this"}, folder="/"):
    files = [open(name, mode) for name, mode in (("in.txt", "r"), ("out.txt", "w"), ("err.txt", "w"))]
    child = prefork.run_in_fork(["task", *words], [file.fileno() for file in files], env, folder)
    for file in files:
        file.close()
    return child

def cold_or_status():
    try:
        return ask("0").wait()
    except prefork.NoForkServer:
        return "cold"

def read_report():
    while not (text := open("out.txt").read()).endswith("\\n"):
        time.sleep(0.01)
    return json.loads(text)

def change(value):
    with open("ratchet/marker.py", "w") as file:
        file.write(f"VALUE = {value}\\n")

def value():
    while cold_or_status() == "cold":
        time.sleep(0.01)
    return read_report()[-2]

result = None
if __name__ == "__main__" and len(sys.argv) == 1:
    with prefork.fork_server("tiny"):
        {body}
    {after}
    print(json.dumps(result))
"""
USE = """
import json, sys, threading
from flows.published import flow_process
flow_process.load()
threads, before = threading.active_count(), set(sys.modules)
from flows.registry.registry import Registry
from ratchet.problem import problem
from ratchet.data.versions import dvc_repo
mine = problem.load()
registry = Registry(mine.name, mine.here)
champion = registry.champion()
registry.load(champion).outputs(["a fine film"], mine.settings.build.candidates)
with dvc_repo.repository(mine.here) as repository:
    repository.cache.local
print(json.dumps([champion.number, threads, len(before), sorted(set(sys.modules) - before)]))
"""
TIMEOUT_SECONDS = 20
"""Within this time a process has started or ended."""


@pytest.fixture
def project(project: Project) -> Project:
    project.write("tiny.py", "def load():\n    import ratchet.marker\n")
    project.write("ratchet/marker.py", "VALUE = 1\n")
    project.write("task.py", TASK)
    project.write("in.txt", "asked")
    return project


def begin(project: Project, body: str, after: str = "pass") -> subprocess.Popen[str]:
    """Start a program that runs `body` with a fork server and `after` without one."""
    project.write("asks.py", ASK.replace("{body}", body.replace("\n", "\n        ")).replace("{after}", after))
    return subprocess.Popen(
        [str(project.root / ".venv" / "bin" / "python"), "asks.py"],
        cwd=project.root,
        env=project.environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def run(project: Project, body: str, after: str = "pass") -> Any:
    process = begin(project, body, after)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0, out
    return json.loads(out)


def is_gone(pid: int) -> bool:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def child_pid(project: Project) -> int:
    """The process id of the child, once it runs."""
    path = Path(project.root / "out.txt")
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(json.loads(path.read_text())[-1])


def test_a_child_runs_a_module_with_its_own_streams_environment_folder_and_status(project: Project) -> None:
    words, text, environment, folder, name, value, pid = run(
        project, "ask('7', 'two words', folder='/usr').wait(); result = read_report()"
    )
    assert value == 1
    assert (words, text, folder, name) == (["7", "two words"], "asked", "/usr", "__main__")
    assert {key: value for key, value in environment.items() if key != "LC_CTYPE"} == {"ONLY": "this"}
    assert (project.root / "err.txt").read_text() == "trouble\n"
    assert is_gone(pid)


def test_the_return_code_is_that_of_any_process(project: Project) -> None:
    body = "result = [ask('0').wait(), ask('7').wait(), ask('fall').wait()]\n"
    body += "child = ask('stay'); read_report(); child.kill(); result += [child.wait(), child.wait()]"
    assert run(project, body) == [0, 7, -9, -9, -9]


def test_there_is_no_fork_server_outside_the_block(project: Project) -> None:
    assert run(project, "pass", "result = cold_or_status()") == "cold"


def test_a_child_ends_with_its_requester_and_the_others_go_on(project: Project) -> None:
    asker = "import asks; child = asks.ask('stay'); asks.read_report(); import os; os.kill(os.getpid(), 9)"
    body = f"dead = subprocess.run([sys.executable, '-c', {asker!r}], close_fds=False)\n"
    body += "result = [dead.returncode, read_report()[-1], cold_or_status()]"
    status, pid, after = run(project, body)
    assert (status, after) == (-9, 0)
    assert is_gone(pid)


def test_changed_code_is_loaded_before_the_next_fork(project: Project) -> None:
    """No request runs old code; while another child runs, the fork server turns requests down."""
    body = "result = [value()]; change(2); result += [value()]\n"
    body += "child = ask('stay'); read_report(); change(3); result += [cold_or_status()]; child.kill(); child.wait()\n"
    body += "result += [value()]"
    assert run(project, body) == [1, 2, "cold", 3]


def test_code_that_changes_while_it_is_loaded_is_loaded_again(project: Project) -> None:
    load = "import ratchet.marker, asks\n    asks.change(2) if ratchet.marker.VALUE == 1 else None\n"
    project.write("tiny.py", f"def load():\n    {load}")
    assert run(project, "result = [value()]") == [2]


def test_all_that_a_turn_needs_is_loaded_ahead_without_threads(original: Project) -> None:
    """Half of a turn's time once went into loading MLflow, which was no longer loaded ahead; a fork loses threads."""
    done = original.python(USE, MLFLOW_TRACKING_URI=original.tracking_uri)
    assert done.status == 0, done.text
    number, threads, before, late = json.loads(done.text.splitlines()[-1])
    assert (number, threads) == (1, 1)
    assert len(late) < before / 50, late


@pytest.mark.parametrize("how", ["in order", "killed"])
def test_all_children_end_with_the_program_that_started_the_server(project: Project, how: str) -> None:
    process = begin(project, "child = ask('stay'); read_report()" + ("" if how == "in order" else "; time.sleep(600)"))
    pid = child_pid(project)
    if how == "killed":
        os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)
    assert is_gone(pid)
    assert not [process for process in psutil.process_iter() if runs_in(process, project.root)]


def runs_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def test_a_link_to_nowhere_among_the_code_is_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Emacs locks a file with one while a person edits it."""
    monkeypatch.setattr(prefork, "ROOT", tmp_path)
    (tmp_path / "ratchet").mkdir()
    (tmp_path / "ratchet" / "code.py").write_text("")
    before = prefork.stamp()
    assert "code.py" in before
    (tmp_path / "ratchet" / ".#code.py").symlink_to("me@host.1:2")
    assert prefork.stamp() == before


def test_output_that_cannot_be_written_is_a_failure() -> None:
    code = (
        "import sys; from ratchet.servers.prefork import leave; sys.stdout = open('/dev/full', 'w'); print(); leave(0)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == prefork.UNFLUSHED
