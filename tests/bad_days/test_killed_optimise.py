"""SIGKILL at any write of `optimise`: the next one reaches the same result as an undisturbed one."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.people import Loop, driven, texts_of
from tests.support.project import SMALL, Project, copied

STRUCK = """
import os, re, signal, sys
from prefect.context import refresh_global_settings_context

refresh_global_settings_context()
events = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "open", "subprocess.Popen"}
at, root, seen = sys.argv[1], os.getcwd(), []

def count(event, args):
    if event not in events or not isinstance(args[0], str):
        return
    if event == "subprocess.Popen":
        if os.path.basename(args[0]) != "git":
            return
    elif not args[0].startswith(root):
        return
    if event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        return
    what = " ".join(args[1][3:5]) if event == "subprocess.Popen" else os.path.relpath(args[0], root)
    seen.append(f"{event} {what}")
    if str(len(seen)) == at or re.match(at, seen[-1]):
        os.kill(os.getpid(), signal.SIGKILL)

from ratchet.console.cli import main
sys.addaudithook(count)
status = main(["optimise"])
print("WROTE", status, *seen, sep="\\n", flush=True)
"""
"""`make optimise` in a fork, killed just before its write of that number below the project, or before the first write
that matches a pattern."""
NEVER = "never"
FILES = ((os.devnull, os.O_RDONLY), *2 * (("state/struck.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND),))
BEGIN = """prefork.run_in_fork(
    ["struck", {at!r}], [os.open(name, flags, 0o644) for name, flags in {files}],
    dict(os.environ), os.getcwd()).wait()"""


@pytest.fixture(scope="module")
def loop(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """A project with waiting labels: corrections, audits, one of a forgotten answer; data.dvc is committed to git."""
    project = copied(original, tmp_path_factory.mktemp("cut off") / "project")
    project.write("params.yaml", SMALL + "optimise: {commit: true}\n")
    project.write("struck.py", STRUCK)
    for words in (
        ("init", "-q"), ("config", "user.name", "Ada"), ("config", "user.email", "ada@example.org"),
        ("add", "data.dvc"), ("commit", "-q", "-m", "Begin"),
    ):  # fmt: skip
        subprocess.run(["git", "-C", str(project.root), *words], check=True)
    with driven(project) as loop:
        loop.said(loop.asked(texts_of("train", 12)), "bad")
        loop.said(loop.asked(texts_of("holdout", 2)), "good", "audit")
        loop.said(["f" * 32], "good")
        loop.save()
        yield loop


def reached(loop: Loop) -> dict[str, object]:
    """Return everything that optimise makes of feedback, without times and the reason in the ledger's line."""
    log_command = ["git", "-C", str(loop.root), "log", "--format=%an", "--name-only", "--", "data.dvc"]
    status_command = ["git", "-C", str(loop.root), "status", "--porcelain", "--", "data.dvc"]
    git_output = [
        subprocess.run(words, capture_output=True, text=True, check=True).stdout
        for words in (log_command, status_command)
    ]
    lines = [{name: value for name, value in line.items() if name not in ("at", "why")} for line in loop.changes]
    stray = sorted(path.name for path in loop.root.rglob("*.new") if ".venv" not in path.parts)
    files = loop.project.bytes_of("data.dvc", "data", "state/quarantine", "params.yaml")
    return {"files": files, "pace": loop.pace, "ledger": lines, "git": git_output, "stray": stray}


def kill_optimise(loop: Loop, at: str) -> list[str]:
    """Kill `make optimise` at a write; returns the list of its writes, empty where it was killed."""
    loop.restore()
    (loop.root / "state" / "struck.txt").unlink(missing_ok=True)
    status = loop.call(BEGIN.format(at=at, files=FILES))
    output = (loop.root / "state" / "struck.txt").read_text()
    assert status in (0, -9), output
    return output.partition("WROTE\n0\n")[2].splitlines()


@pytest.fixture(scope="module")
def undisturbed(loop: Loop) -> tuple[dict[str, object], list[str]]:
    """The result of an undisturbed optimise, and its writes."""
    writes = kill_optimise(loop, NEVER)
    result = reached(loop)
    assert len(loop.kept) == 14
    assert len(loop.aside) == 1
    assert result["git"] == ["Ada\n\ndata.dvc\nAda\n\ndata.dvc\n", ""]
    return result, writes


def survives(loop: Loop, whole: dict[str, object], at: str) -> bool:
    """Kill `make optimise` at a write, run it again, and compare; returns whether the kill met it."""
    killed = not kill_optimise(loop, at)
    loop.optimise()
    assert reached(loop) == whole, at
    return killed


@pytest.mark.parametrize(
    "moment",
    [
        r"open state/quarantine/feedback/.*new", r"open state/change.json.new", r"os.rename data.dvc.new",
        r"subprocess.Popen commit", r"open state/pace.json.new",
        *(pytest.param(moment, marks=pytest.mark.long) for moment in (
            r"open data.new/feedback.csv", r"os.rename data.new", r"open state/ledger.jsonl",
            r"os.remove state/change.json",
        )),
    ],
)  # fmt: skip
def test_an_optimise_that_was_killed_is_made_up_for(
    loop: Loop, undisturbed: tuple[dict[str, object], list[str]], moment: str
) -> None:
    assert survives(loop, undisturbed[0], moment), "\n".join(undisturbed[1])


@pytest.mark.long
def test_a_kill_at_every_write_is_made_up_for(loop: Loop, undisturbed: tuple[dict[str, object], list[str]]) -> None:
    whole, writes = undisturbed
    killed = sum(survives(loop, whole, str(number)) for number in range(1, len(writes) + 1))
    print(f"{killed} kill points of optimise: {json.dumps(writes)}")
