"""Verbs without make and without a fresh interpreter: what they print and their status are as with both.

One process of each worker has loaded other people's packages (tests/support/preloaded.py), and a copy of it does each
verb (tests/support/forked.py): that spares the six to ten seconds of imports that each command pays.
"""

from __future__ import annotations

import atexit
import os
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import IO

from ratchet.servers import prefork

TYPED = set(re.findall(r"^export RATCHET_(\w+) := \$\(value", (prefork.ROOT / "Makefile").read_text(), re.M))
"""Variables that the Makefile hands on unread."""
VERBS = {
    "run", "status", "data", "build", "evaluate", "deploy", "optimise", "predict", "traffic", "history", "lineage",
    "trace", "rollback", "approve", "backup", "restore", "prune", "move", "services",
}  # fmt: skip
"""Those that end by themselves."""
STAYING = {"up", "ui", "serve"}
"""Those that run until they are ended."""
INTERPRETER = ("LD_PRELOAD", "PYTHONPATH", "PYTHONHASHSEED", "PYTHONWARNINGS", "PATH")
"""What an interpreter reads when it begins."""
SECONDS = 600
SESSION = "RATCHET_TEST_SESSION"
"""Set where a copy leads a session of its own."""


@cache
def request_file() -> str:
    """The number of the file that requests go to; the warm process ends with this one."""
    stack = ExitStack()
    atexit.register(stack.close)
    stack.enter_context(prefork.fork_server("tests.support.preloaded"))
    return os.environ.pop(prefork.VARIABLE, "")


def verb(root: Path, environment: Mapping[str, str], words: Sequence[str]) -> tuple[int, str] | None:
    """Status and output of `make words` in a project; None where only make itself gives the same."""
    env = typed(root, environment, words)
    if env is None:
        return None
    done = run(request_file(), ["ratchet", words[0]], root, root, env)
    if done is None:
        return None
    status, text = done
    return (2, f"{text}make: *** [Makefile: {words[0]}] Error {status}\n") if status else (0, text)


def typed(root: Path, environment: Mapping[str, str], words: Sequence[str]) -> dict[str, str] | None:
    """The environment of the command that `make words` comes to; None where only make itself gives the same."""
    given = dict(word.partition("=")[::2] for word in words[1:])
    ready, lock = root / ".venv" / ".ready", root / "requirements.lock"
    plain = (
        words[:1] and words[0] in VERBS | STAYING
        and all("=" in word for word in words[1:])
        and all(re.fullmatch(r"[A-Z_]+", name) and value == value.strip() for name, value in given.items())
        and not any(set("$\\\n") & set(value) for value in given.values())
        and all(environment.get(name) == os.environ.get(name) for name in INTERPRETER)
        and ready.exists() and lock.exists() and ready.stat().st_mtime >= lock.stat().st_mtime
    )  # fmt: skip
    if not plain or not request_file():
        return None
    env = dict(environment)
    handed = {f"RATCHET_{name}": given.pop(name, env.pop(name, "")) for name in TYPED}
    return env | handed | given | {"PYTHONDONTWRITEBYTECODE": "1", "MAKELEVEL": "1"}


def program(code: str, root: Path, folder: Path, environment: Mapping[str, str]) -> tuple[int, str] | None:
    """Status and output of `python -c code` on the project's code; None where a fresh interpreter is the point."""
    plain = re.search(r"^ *(import|from) .*(mlflow|prefect|flows)", code, re.MULTILINE) and "sys." not in code
    if not plain or {"LD_PRELOAD", "OVERHEARD"} & set(environment):
        return None
    return run(request_file(), ["-c", code], root, folder, environment)


def process(code: str, *words: str) -> tuple[int, str]:
    """Status and output of `python -c code words` on the code of these tests."""
    copy = run(request_file(), ["-c", code, *words], prefork.ROOT, prefork.ROOT, os.environ)
    if copy is not None:
        return copy
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=prefork.ROOT)
    return done.returncode, done.stdout + done.stderr


def run(number: str, words: Sequence[str], root: Path, folder: Path, env: Mapping[str, str]) -> tuple[int, str] | None:
    """What a copy came to that was asked for in that folder; None where none is to be had."""
    copy = Begun.ask(number, words, root, folder, env)
    if copy is None:
        return None
    late = threading.Timer(SECONDS, copy.kill)
    late.start()
    try:
        text, _ = copy.communicate()
    finally:
        late.cancel()
    assert copy.returncode is not None
    return copy.returncode, text


def begun(root: Path, environment: Mapping[str, str], words: Sequence[str]) -> Begun | None:
    """`make words` at work in a project, in a session of its own; None where only make itself does the same."""
    env = typed(root, environment, words)
    copy = Begun.ask(request_file(), ["ratchet", words[0]], root, root, env | {SESSION: "1"}) if env else None
    with suppress(ProcessLookupError):  # it has ended already
        while copy and os.getsid(copy.pid) != copy.pid:
            os.sched_yield()
    return copy


def service(root: Path, environment: Mapping[str, str], out: IO[bytes]) -> Begun | None:
    """`python -m ratchet.serving` at work in a project."""
    return Begun.ask(
        request_file(), ["ratchet.serving", "flows.registry.follower"], root, root, environment, out=out.fileno()
    )


def spoken_to(root: Path, environment: Mapping[str, str], code: str) -> Begun | None:
    """`python -c code` at work in a project, which reads what it is told."""
    told, tell = os.pipe()
    with open(told, "rb") as file:
        copy = Begun.ask(request_file(), ["-c", code], root, root, environment, told=file.fileno())
    if copy is None:
        os.close(tell)
    else:
        copy.stdin = open(tell, "w", encoding="utf-8")  # noqa: SIM115
    return copy


class Begun:
    """A copy at work, to be asked as subprocess.Popen is.

    stdout: what it prints on both streams, where no file was given. stdin: what it reads, where it is spoken to.
    """

    stdin: IO[str] | None = None

    def __init__(self, copy: prefork.Child, stdout: IO[str] | None) -> None:
        self.pid = copy.pid
        self.stdout = stdout
        self._copy = copy

    @classmethod
    def ask(
        cls,
        number: str,
        words: Sequence[str],
        root: Path,
        folder: Path,
        env: Mapping[str, str],
        *,
        out: int | None = None,
        told: int | None = None,
    ) -> Begun | None:
        """None where no copy is to be had. out, told: the files that it prints to and reads."""
        if not number:
            return None
        os.environ[prefork.VARIABLE] = number
        read, write = (None, os.dup(out)) if out is not None else os.pipe()
        try:
            with open(os.devnull, "rb") as nothing:
                files = [nothing.fileno() if told is None else told, write, write]
                known = {**env, prefork.VARIABLE: number}
                copy = prefork.run_in_fork(["tests.support.forked", str(root), *words], files, known, str(folder))
        except prefork.NoForkServer:
            if read is not None:
                os.close(read)
            return None
        finally:
            os.close(write)
            del os.environ[prefork.VARIABLE]
        return cls(copy, None if read is None else open(read, encoding="utf-8"))

    @property
    def returncode(self) -> int | None:
        return self._copy.returncode

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None and not select.select([self._copy._line], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("a copy", timeout or 0)
        return self._copy.wait()

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        assert self.stdout is not None
        if self.stdin is not None:
            self.stdin.close()
        with self.stdout:
            text = self.stdout.read()
        self.wait(timeout)
        return text, None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
