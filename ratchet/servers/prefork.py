"""Processes that begin warm: one has loaded what they all need, and is copied (fork) for each.

A fresh interpreter pays ten seconds for Prefect, MLflow, Great Expectations, DVC and scikit-learn; a copy pays none.
Who starts the one process (`python -m ratchet.servers.prefork module`, whose `load` loads the rest) holds the end of a
socket, and so does every copy; a request names a module to run as `python -m` would. The copies end with whoever asked
for them, and all of them with the one process, which ends when its standard input does. It runs single-threaded, so a
copy is a whole one.

It knows the code that it has loaded: once a file has changed, a request is turned down, whoever asks starts a fresh
interpreter instead, and the process begins anew as soon as no copy of it is at work.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module

from ratchet.project.paths import ROOT

VARIABLE = "RATCHET_WARM"
"""The number of the file that requests go to, in the environment of who may ask."""
CODE = ("flows", "models", "expectations", "ratchet")
MOST = 200_000
"""Bytes of a request: an environment and a few words."""


class NoForkServer(Exception):
    """No copy is to be had: begin a fresh interpreter."""


@dataclass
class Child:
    """A copy at work. returncode: None while it is; negative where a signal ended it, as in subprocess."""

    pid: int
    returncode: int | None = None
    _line: socket.socket = field(default_factory=socket.socket, repr=False)

    def wait(self) -> int:
        """Return when it has ended."""
        if self.returncode is None:
            answer = self._line.recv(64)
            self.returncode = json.loads(answer)["status"] if answer else -signal.SIGKILL
            self._line.close()
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def ask(words: Sequence[str], files: Sequence[int], env: Mapping[str, str], folder: str) -> Child:
    """Have a module run in a copy.

    Args:
        words: the module and its arguments. files: what becomes its standard input, output and error.

    Raises:
        Cold: nobody is there to be copied, or what it has loaded is not the code of today.
    """
    if VARIABLE not in os.environ:
        raise NoForkServer
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # two answers never read as one
    request = json.dumps({"words": list(words), "env": dict(env), "folder": folder}).encode()
    try:
        with socket.socket(fileno=os.dup(int(os.environ[VARIABLE]))) as requests:
            socket.send_fds(requests, [request], [theirs.fileno(), *files])
        theirs.close()
        answer = mine.recv(64)
    except (OSError, ValueError):
        answer = b""
    if not answer or "pid" not in json.loads(answer):
        mine.close()
        raise NoForkServer
    return Child(json.loads(answer)["pid"], _line=mine)


@contextmanager
def standing_by(module: str) -> Iterator[None]:
    """The one process stands by while the block runs; in the block, and below it, `ask` finds it.

    module: has a function `load`, which loads all that the copies need and starts no thread.

    Where a system cannot tell the end of a process as Linux does, nobody stands by.
    """
    if not hasattr(os, "pidfd_open"):
        yield
        return
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        os.set_inheritable(ours.fileno(), True)
        command = [sys.executable, "-m", "ratchet.servers.prefork", str(theirs.fileno()), str(ours.fileno()), module]
        env = os.environ | {VARIABLE: str(ours.fileno())}
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, env=env, pass_fds=(ours.fileno(), theirs.fileno()), cwd=ROOT
        )
        theirs.close()
        os.environ[VARIABLE] = str(ours.fileno())
        try:
            yield
        finally:
            os.environ.pop(VARIABLE, None)
            process.communicate()


@dataclass
class RunningChild:
    """One at work, as the one process knows it. ended: becomes readable at its end. line: to who asked."""

    pid: int
    ended: int
    line: socket.socket


def serve(requests: socket.socket, loaded: str) -> list[str]:
    """Answer requests until standard input ends; returns in each copy alone, with the words it was asked for.

    loaded: the stamp of the code, from before it was loaded.
    """
    copies = dict[int, RunningChild]()
    with selectors.DefaultSelector() as waiting:
        waiting.register(0, selectors.EVENT_READ)
        waiting.register(requests, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fd == 0:
                    end_all(copies)
                    sys.exit(0)
                if key.fileobj is requests:
                    words = take(requests, waiting, copies, loaded)
                    if words is not None:
                        return words
                elif key.fd in copies:
                    see_off(waiting, copies, copies[key.fd])
                    break  # what else has come may be of a file that is closed now, and its number another's
            if not copies and stamp() != loaded:
                os.execv(sys.executable, sys.orig_argv)


def take(
    requests: socket.socket, waiting: selectors.BaseSelector, copies: dict[int, RunningChild], loaded: str
) -> list[str] | None:
    """Make a copy for one request; its words in the copy, None here."""
    content, files, _, _ = socket.recv_fds(requests, MOST, 4)
    if not content:
        return None
    line, request = socket.socket(fileno=files[0]), json.loads(content)
    pid = -1 if stamp() != loaded else os.fork()
    if pid == 0:
        become(request, files[1:], [line, *(copy.line for copy in copies.values())], list(copies), waiting)
        return list(request["words"])
    for file in files[1:]:
        os.close(file)
    with suppress(OSError):
        line.sendall(json.dumps({"pid": pid} if pid > 0 else {}).encode())
    if pid > 0:
        ended = os.pidfd_open(pid)
        copies[ended] = copies[line.fileno()] = RunningChild(pid, ended, line)
        waiting.register(ended, selectors.EVENT_READ)
        waiting.register(line, selectors.EVENT_READ)
    else:
        line.close()
    return None


def see_off(waiting: selectors.BaseSelector, copies: dict[int, RunningChild], copy: RunningChild) -> None:
    """Tell who asked how the copy ended; where who asked is gone, end it."""
    with suppress(ProcessLookupError):
        if not select_readable(copy.ended):
            os.kill(copy.pid, signal.SIGKILL)
    _, status = os.waitpid(copy.pid, 0)
    with suppress(OSError):
        copy.line.sendall(json.dumps({"status": os.waitstatus_to_exitcode(status)}).encode())
    for file in (copy.ended, copy.line.fileno()):
        waiting.unregister(file)
        del copies[file]
    os.close(copy.ended)
    copy.line.close()


def select_readable(file: int) -> bool:
    with selectors.DefaultSelector() as one:
        one.register(file, selectors.EVENT_READ)
        return bool(one.select(0))


def end_all(copies: Mapping[int, RunningChild]) -> None:
    for copy in {copy.pid: copy for copy in copies.values()}.values():
        with suppress(ProcessLookupError):
            os.kill(copy.pid, signal.SIGKILL)
            os.waitpid(copy.pid, 0)


def become(
    request: Mapping[str, object],
    files: Sequence[int],
    lines: Sequence[socket.socket],
    ends: Sequence[int],
    waiting: selectors.BaseSelector,
) -> None:
    """In the copy: the streams, the environment and the folder that were asked for, and nothing of the others'."""
    waiting.close()
    for line in lines:
        line.close()
    for file in set(ends):
        with suppress(OSError):
            os.close(file)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[call-overload]
    os.chdir(str(request["folder"]))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)


def stamp() -> str:
    """What tells the code of today from that of another day, by the files' times and sizes."""
    paths = sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))
    known = [(path, path.stat()) for path in [*paths, ROOT / "requirements.lock"] if path.exists()]
    return ";".join(f"{path} {status.st_mtime_ns} {status.st_size}" for path, status in known)


def main(words: Sequence[str]) -> None:
    """Load what is needed, then be copied; a copy goes on as the module that it was asked for."""
    requests = socket.socket(fileno=int(words[0]))
    os.set_inheritable(requests.fileno(), True)  # for its own new beginning
    loaded = stamp()
    import_module(words[2]).load()
    gc.collect()
    gc.freeze()
    if threading.active_count() > 1:
        sys.exit("What is loaded has started threads, so it cannot be copied.")
    asked = serve(requests, loaded)
    requests.close()
    os.set_inheritable(int(words[1]), True)
    sys.argv = asked
    runpy.run_module(asked[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
    gc.freeze()  # as in ratchet/__main__.py
