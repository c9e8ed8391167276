"""The lock of the loop: one holder at a time, whom the refusal of the others names."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from pathlib import Path

from ratchet.project.errors import Refusal
from ratchet.state import lock
from tests.support.project import ROOT


def test_a_second_thread_of_the_holder_has_to_wait(tmp_path: Path) -> None:
    """A thread in the holder's context and a process that the holder starts need not wait."""
    outcomes: list[object] = []

    def enter() -> None:
        try:
            with lock.one_at_a_time(tmp_path, "another", lambda died: "taken") as result:
                outcomes.append(result)
        except Refusal as refusal:
            outcomes.append(refusal.rule)

    def run_in_thread(work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    child = f"from pathlib import Path; from ratchet.state import lock; print(lock.is_mine(Path({str(tmp_path)!r})))"
    with lock.one_at_a_time(tmp_path, "make run", bool):
        run_in_thread(enter)
        run_in_thread(partial(copy_context().run, enter))
        done = subprocess.run([sys.executable, "-c", child], cwd=ROOT, capture_output=True, text=True, check=True)
    run_in_thread(enter)
    assert outcomes == ["Only one loop turns at a time.", None, "taken"]
    assert done.stdout.strip() == "True"


def test_a_second_process_is_refused_and_told_the_holder(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from ratchet.state import lock
from ratchet.project.errors import Refusal
try:
    with lock.one_at_a_time(Path({str(tmp_path)!r}), "the other", bool):
        print("got it")
except Refusal as refusal:
    print(refusal)
"""
    command = [sys.executable, "-c", code]
    with lock.one_at_a_time(tmp_path, "make run", bool):
        assert "make run" in (lock.holder(tmp_path) or "")
        env = {"PATH": "/usr/bin:/bin"}
        held = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout
        with lock.one_at_a_time(tmp_path, "a stage of it", bool):
            pass
    free = subprocess.run(
        command, cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    ).stdout
    assert "`make run`" in held
    assert free.strip() == "got it"
    assert lock.holder(tmp_path) is None
