"""A fork server: one process loads the heavy packages, and each request runs a module in a fork of it.

A fresh interpreter takes ten seconds to load Prefect, MLflow, Great Expectations, DVC and scikit-learn; a fork takes
none. `python -m ratchet.servers.prefork` is the fork server; the `load` of a given module loads the packages. Its
creator and every fork hold one end of a socket. A request names a module to run, as `python -m` would.

A child ends when its requester ends. All children end with the fork server, which ends when its standard input closes.
The fork server is single-threaded, so a fork is complete.

The fork server remembers the times and sizes of the code files that it loaded. Once a file has changed, requests are
turned down, so that the requester starts a fresh interpreter; the fork server restarts as soon as no child runs.
"""

from __future__ import annotations

import atexit
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
from typing import NoReturn

from ratchet.project.paths import ROOT

VARIABLE = "RATCHET_WARM"
"""The environment variable with the file descriptor of the socket that takes requests."""
CODE = ("flows", "models", "expectations", "ratchet")
UNFLUSHED = 120
"""The interpreter's exit status where output could not be written."""
REQUEST_BYTES = 200_000
"""The largest request: an environment and a few words."""


class NoForkServer(Exception):
    """No fork server takes the request: start a fresh interpreter instead."""


@dataclass
class Child:
    """A child of the fork server, as its requester sees it.

    Attributes:
        pid: of the child.
        returncode: None while the child runs; negative where a signal ended it, as in subprocess.
    """

    pid: int
    returncode: int | None = None
    _line: socket.socket = field(default_factory=socket.socket, repr=False)

    def wait(self) -> int:
        """Wait for the end of the child; its returncode."""
        if self.returncode is None:
            answer = self._line.recv(64)
            self.returncode = json.loads(answer)["status"] if answer else -signal.SIGKILL
            self._line.close()
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def run_in_fork(words: Sequence[str], files: Sequence[int], env: Mapping[str, str], folder: str) -> Child:
    """Run a module in a fork.

    Args:
        words: the module and its arguments.
        files: the descriptors that become the child's standard input, output and error.
        env: the whole environment of the child.
        folder: the working folder of the child.

    Raises:
        NoForkServer: no fork server runs, or the code has changed since it was loaded.
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
def fork_server(module: str) -> Iterator[None]:
    """Run a fork server for the length of the block; `run_in_fork` finds it, in this process and in its children.

    A system without pidfd_open (Linux has it) gets no fork server.

    Args:
        module: has a function `load`, which loads all that the children need and starts no thread.
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
    """A child, as the fork server sees it.

    Attributes:
        pid: of the child.
        ended: a pidfd, readable once the child has ended.
        line: the socket to the requester.
    """

    pid: int
    ended: int
    line: socket.socket


def serve(requests: socket.socket, loaded: str) -> list[str]:
    """Answer requests until standard input closes.

    Args:
        requests: the socket that takes requests.
        loaded: the stamp of the code, taken before it was loaded.

    Returns:
        The requested words, and only in a child; the fork server itself never returns.
    """
    children = dict[int, RunningChild]()
    with selectors.DefaultSelector() as waiting:
        waiting.register(0, selectors.EVENT_READ)
        waiting.register(requests, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fd == 0:
                    end_all(children)
                    sys.exit(0)
                if key.fileobj is requests:
                    words = take_request(requests, waiting, children, loaded)
                    if words is not None:
                        return words
                elif key.fd in children:
                    reap(waiting, children, children[key.fd])
                    break  # a descriptor of the other events may be closed now, and its number reused
            if not children and stamp() != loaded:
                os.execv(sys.executable, sys.orig_argv)


def take_request(
    requests: socket.socket, waiting: selectors.BaseSelector, children: dict[int, RunningChild], loaded: str
) -> list[str] | None:
    """Fork a child for one request; the requested words in the child, None in the fork server."""
    content, files, _, _ = socket.recv_fds(requests, REQUEST_BYTES, 4)
    if not content:
        return None
    line = socket.socket(fileno=files[0])
    request = json.loads(content)
    pid = -1 if stamp() != loaded else os.fork()
    if pid == 0:
        become(request, files[1:], [line, *(child.line for child in children.values())], list(children), waiting)
        return list(request["words"])
    for file in files[1:]:
        os.close(file)
    with suppress(OSError):
        line.sendall(json.dumps({"pid": pid} if pid > 0 else {}).encode())
    if pid > 0:
        ended = os.pidfd_open(pid)
        children[ended] = children[line.fileno()] = RunningChild(pid, ended, line)
        waiting.register(ended, selectors.EVENT_READ)
        waiting.register(line, selectors.EVENT_READ)
    else:
        line.close()
    return None


def reap(waiting: selectors.BaseSelector, children: dict[int, RunningChild], child: RunningChild) -> None:
    """Send the exit status of a child to its requester; kill the child if its requester is gone."""
    with suppress(ProcessLookupError):
        if not select_readable(child.ended):
            os.kill(child.pid, signal.SIGKILL)
    _, status = os.waitpid(child.pid, 0)
    with suppress(OSError):
        child.line.sendall(json.dumps({"status": os.waitstatus_to_exitcode(status)}).encode())
    for file in (child.ended, child.line.fileno()):
        waiting.unregister(file)
        del children[file]
    os.close(child.ended)
    child.line.close()


def select_readable(file: int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(file, selectors.EVENT_READ)
        return bool(selector.select(0))


def end_all(children: Mapping[int, RunningChild]) -> None:
    for child in {child.pid: child for child in children.values()}.values():
        with suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)


def become(
    request: Mapping[str, object],
    files: Sequence[int],
    lines: Sequence[socket.socket],
    ends: Sequence[int],
    waiting: selectors.BaseSelector,
) -> None:
    """In the child: take over the requested streams, environment and folder, and close what belongs to others.

    Args:
        request: with `env` and `folder`.
        files: the descriptors that become standard input, output and error.
        lines: sockets to the requesters of this and the other children.
        ends: pidfds of the other children, and descriptors of their sockets.
        waiting: the selector of the fork server.
    """
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
    """The times and sizes of all code files; another value means that the code has changed."""
    files = {entry.path: entry.stat for folder in CODE for entry in code_files(str(ROOT / folder))}
    lock = ROOT / "requirements.lock"
    states = []
    for path, stat in sorted({**files, str(lock): lock.stat}.items()):
        with suppress(FileNotFoundError):  # removed just now, or a link to nowhere, with which Emacs locks a file
            status = stat()
            states.append(f"{path} {status.st_mtime_ns} {status.st_size}")
    return ";".join(states)


def code_files(folder: str) -> Iterator[os.DirEntry[str]]:
    """The code files below a folder. Pathlib takes four times as long, and each fork waits for it."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                yield entry
            elif entry.is_dir() and entry.name != "__pycache__":
                yield from code_files(entry.path)


def main(words: Sequence[str]) -> None:
    """Load the packages, then serve requests; a child goes on as the requested module.

    Args:
        words: descriptor of the socket that takes requests, descriptor of the other end, module with `load`.
    """
    requests = socket.socket(fileno=int(words[0]))
    os.set_inheritable(requests.fileno(), True)  # for a restart by execv
    loaded = stamp()
    import_module(words[2]).load()
    gc.collect()
    gc.freeze()
    if threading.active_count() > 1:
        sys.exit("A loaded module has started threads, so the fork server cannot fork.")
    requested = serve(requests, loaded)
    requests.close()
    os.set_inheritable(int(words[1]), True)
    sys.argv = requested
    status = 0
    try:
        runpy.run_module(requested[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code is not None and not isinstance(ended.code, int):
            raise
        status = ended.code or 0
    leave(status)


def leave(status: int) -> NoReturn:
    """End this process as the interpreter would, but for freeing all that is loaded: that takes 0.25 s.

    Threads are joined, exit functions run and streams are flushed, in the order of `Py_FinalizeEx`. The processes of
    multiprocessing end likewise.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            status = UNFLUSHED
        except ValueError:  # it is closed
            continue
    os._exit(status & 0xFF)


if __name__ == "__main__":
    main(sys.argv[1:])
