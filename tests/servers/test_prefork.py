"""Processes that begin as copies of a warm one: each runs as it was asked to, and ends with whoever asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.project import Project

TASK = """
import json, os, sys, time
from ratchet.marker import VALUE
said = [sys.argv[1:], sys.stdin.read(), dict(os.environ), os.getcwd(), __name__, VALUE, os.getpid()]
print(json.dumps(said), flush=True)
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
    asked = prefork.ask(["task", *words], [file.fileno() for file in files], env, folder)
    for file in files:
        file.close()
    return asked

def is_cold():
    try:
        return ask("0").wait()
    except prefork.Cold:
        return "cold"

def said():
    while not (text := open("out.txt").read()).endswith("\\n"):
        time.sleep(0.01)
    return json.loads(text)

def change(value):
    with open("ratchet/marker.py", "w") as file:
        file.write(f"VALUE = {value}\\n")

def value():
    while is_cold() == "cold":
        time.sleep(0.01)
    return said()[-2]

found = None
if __name__ == "__main__" and len(sys.argv) == 1:
    with prefork.standing_by("tiny"):
        {body}
    {after}
    print(json.dumps(found))
"""
USE = """
import json, sys, threading
from flows.published import flow_process
flow_process.load()
threads, before = threading.active_count(), set(sys.modules)
from flows.registry.registry import Registry
from ratchet.project import problem
from ratchet.data.versions import dvc_repo
mine = problem.load()
registry = Registry(mine.name, mine.here)
champion = registry.champion()
registry.load(champion).probabilities(["a fine film"], mine.settings.build.candidates)
with dvc_repo.repository(mine.here) as repository:
    repository.cache.local
print(json.dumps([champion.number, threads, len(before), sorted(set(sys.modules) - before)]))
"""
GONE = 20
"""Seconds within which a process has ended."""


@pytest.fixture
def project(project: Project) -> Project:
    project.write("tiny.py", "def load():\n    import ratchet.marker\n")
    project.write("ratchet/marker.py", "VALUE = 1\n")
    project.write("task.py", TASK)
    project.write("in.txt", "asked")
    return project


def begin(project: Project, body: str, after: str = "pass") -> subprocess.Popen[str]:
    """A program with a warm process beside it, which does that."""
    project.write("asks.py", ASK.replace("{body}", body.replace("\n", "\n        ")).replace("{after}", after))
    return subprocess.Popen(
        [str(project.root / ".venv" / "bin" / "python"), "asks.py"],
        cwd=project.root,
        env=project.environment | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def done(project: Project, body: str, after: str = "pass") -> Any:
    process = begin(project, body, after)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0, out
    return json.loads(out)


def is_gone(pid: int) -> bool:
    deadline = time.monotonic() + GONE
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def of_copy(project: Project) -> int:
    """The process that the task runs in, once it runs."""
    path, deadline = Path(project.root / "out.txt"), time.monotonic() + GONE
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(json.loads(path.read_text())[-1])


def test_a_copy_runs_a_module_with_its_own_streams_environment_folder_and_status(project: Project) -> None:
    words, asked, environment, folder, name, value, pid = done(
        project, "ask('7', 'two words', folder='/usr').wait(); found = said()"
    )
    assert value == 1
    assert (words, asked, folder, name) == (["7", "two words"], "asked", "/usr", "__main__")
    assert {key: value for key, value in environment.items() if key != "LC_CTYPE"} == {"ONLY": "this"}
    assert (project.root / "err.txt").read_text() == "trouble\n"
    assert is_gone(pid)


def test_how_it_ended_is_told_as_of_any_process(project: Project) -> None:
    body = "found = [ask('0').wait(), ask('7').wait(), ask('fall').wait()]\n"
    body += "one = ask('stay'); said(); one.kill(); found += [one.wait(), one.wait()]"
    assert done(project, body) == [0, 7, -9, -9, -9]


def test_nobody_stands_by_outside_the_block(project: Project) -> None:
    assert done(project, "pass", "found = is_cold()") == "cold"


def test_a_copy_ends_with_whoever_asked_for_it_and_the_others_go_on(project: Project) -> None:
    asker = "import asks; one = asks.ask('stay'); asks.said(); import os; os.kill(os.getpid(), 9)"
    body = f"dead = subprocess.run([sys.executable, '-c', {asker!r}], close_fds=False)\n"
    body += "found = [dead.returncode, said()[-1], is_cold()]"
    status, pid, after = done(project, body)
    assert (status, after) == (-9, 0)
    assert is_gone(pid)


def test_changed_code_is_loaded_before_anybody_is_given_a_copy(project: Project) -> None:
    """Nobody ever runs what was there before; while another copy is at work there is none to be had."""
    body = "found = [value()]; change(2); found += [value()]\n"
    body += "one = ask('stay'); said(); change(3); found += [is_cold()]; one.kill(); one.wait(); found += [value()]"
    assert done(project, body) == [1, 2, "cold", 3]


def test_code_that_changes_while_it_is_loaded_is_loaded_again(project: Project) -> None:
    load = "import ratchet.marker, asks\n    asks.change(2) if ratchet.marker.VALUE == 1 else None\n"
    project.write("tiny.py", f"def load():\n    {load}")
    assert done(project, "found = [value()]") == [2]


def test_what_a_turn_needs_is_loaded_before_and_no_thread_runs(original: Project) -> None:
    """Half of a turn's time went into loading MLflow, which nobody loaded ahead any more; a copy loses threads."""
    done = original.python(USE, MLFLOW_TRACKING_URI=original.tracking_uri)
    assert done.status == 0, done.text
    number, threads, before, late = json.loads(done.text.splitlines()[-1])
    assert (number, threads) == (1, 1)
    assert len(late) < before / 50, late


@pytest.mark.parametrize("how", ["in order", "killed"])
def test_all_end_with_the_program_that_began_them(project: Project, how: str) -> None:
    process = begin(project, "one = ask('stay'); said()" + ("" if how == "in order" else "; time.sleep(600)"))
    copy = of_copy(project)
    if how == "killed":
        os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)
    assert is_gone(copy)
    assert not [each for each in psutil.process_iter() if of_folder(each, project.root)]


def of_folder(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
