"""A verb of a project in a copy of the warm process: as `python -m ratchet verb` in its folder, without the imports.

The project's own copy of the code is loaded, and none other. What reads the environment when it is first imported
reads this command's. Servers that the verb starts begin as copies as well.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import os
import runpy
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Never

OURS = ("flows", "models", "expectations", "ratchet", "benchmarks", "tests")
STASH: dict[str, ModuleType] = {}
"""Prefect's modules, until something imports the first of them."""
LEFT: list[ModuleType] = []
"""Modules that this process goes on without; they stay, for files that they hold open."""
COPIED = {
    "ratchet.servers.servers",
    "ratchet.serving",
    "ratchet.servers.prefork",
    "flows.published.deployments",
    "uvicorn",
    "mlflow",
}
"""Modules whose `python -m` is a copy where a verb that is one begins it."""
Fresh = subprocess.Popen


class Unstash(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives Prefect back when it is first imported, with settings of the environment of that moment."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name != "prefect" or name not in STASH:
            return None
        file = Path(str(STASH[name].__file__))
        return importlib.util.spec_from_file_location(
            name, file, loader=self, submodule_search_locations=[str(file.parent)]
        )

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        self.known = STASH["prefect"].__spec__
        module = STASH["prefect"]
        sys.modules.update(STASH)
        STASH.clear()
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.known
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


class Forked:
    """Stands in for subprocess.Popen where a module of the project is started: a copy of this process runs it."""

    def __init__(self, command: Sequence[str], stdin: Any = None, stdout: Any = None, stderr: Any = None,
                 env: Mapping[str, str] | None = None, cwd: Any = None, start_new_session: bool = False,
                 pass_fds: Sequence[int] = ()) -> None:  # fmt: skip
        self.args = command
        self.returncode: int | None = None
        self.stdin: BinaryIO | None = None
        read, write = os.pipe() if stdin == subprocess.PIPE else (os.open(os.devnull, os.O_RDONLY), -1)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            atexit._clear()  # what our parent does at its end
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.dup2(read, 0)
            for number, file in ((1, stdout), (2, stderr)):
                if file is not None:
                    os.dup2(file.fileno(), number)
            leave_open_files([*pass_fds, int(os.environ.get("RATCHET_WARM") or 0)])
            if start_new_session:
                os.setsid()
            os.chdir(cwd or ".")
            if env is not None:
                os.environ.clear()
                os.environ.update(env)
            to_the_end(command[2:])
        os.close(read)
        if write >= 0:
            self.stdin = open(write, "wb", 0)  # noqa: SIM115

    def poll(self) -> int | None:
        return self._look(os.WNOHANG)

    def wait(self) -> int:
        status = self._look(0)
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self) -> None:
        if self.stdin is not None:
            self.stdin.close()
        self.wait()

    def _look(self, how: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, how)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def to_the_end(words: Sequence[str], root: Path | None = None) -> Never:
    """As `begin`, and the end of this process.

    Threads are waited for, and what was to be done at the end is done: Prefect sends its last lines then. But nothing
    is taken apart: that takes a quarter of a second with all that is loaded.
    """
    status = 1
    try:
        begin(words, root)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        if status == 1 and isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


class Popen(Fresh):  # type: ignore[type-arg]
    """The system's own, but for the servers of Ratchet, and what stands by for their copies."""

    def __new__(cls, command: Any, *others: Any, **named: Any) -> Any:
        if not others and set(named) <= KNOWN and isinstance(command, (list, tuple)) and is_copied(command):
            return Forked(command, **named)
        return super().__new__(cls)


class Follower:
    """Stands in for asyncio's Process where a service that is a copy begins what follows the registry."""

    def __init__(self, copy: Any, told: BinaryIO, stdout: asyncio.StreamReader) -> None:
        self.stdout = stdout
        self._copy = copy
        self._told = told

    @classmethod
    async def begin(cls, log: BinaryIO, cwd: Any, env: Mapping[str, str]) -> Follower:
        """Raises Cold where no copy is to be had."""
        from ratchet.servers import prefork

        (read, tell), (said, write) = os.pipe(), os.pipe()
        try:
            copy = prefork.run_in_fork(["flows.registry.follower"], [read, write, log.fileno()], env, str(cwd))
        except prefork.NoForkServer:
            os.close(tell)
            os.close(said)
            raise
        finally:
            os.close(read)
            os.close(write)
        stdout = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stdout), open(said, "rb", 0)  # noqa: SIM115
        )  # fmt: skip
        return cls(copy, open(tell, "wb", 0), stdout)

    def kill(self) -> None:
        self._copy.kill()

    async def wait(self) -> int:
        self._told.close()
        return int(await asyncio.to_thread(self._copy.wait))


Exec = asyncio.create_subprocess_exec


async def begin_process(*command: str, **named: Any) -> Any:
    """As asyncio.create_subprocess_exec, but for what follows the registry."""
    if command[1:] == ("-m", "flows.registry.follower"):
        from ratchet.servers import prefork

        with suppress(prefork.NoForkServer):
            return await Follower.begin(named["stderr"], named["cwd"], named["env"])
    return await Exec(*command, **named)


KNOWN = set(inspect.signature(Forked).parameters)


def is_copied(command: Sequence[str]) -> bool:
    """Whether a copy can do that: it has one thread, that of who calls."""
    return list(command[:2]) == [sys.executable, "-m"] and command[2] in COPIED and is_alone()


def is_alone() -> bool:
    return len(list(Path("/proc/self/task").iterdir())) == 1


def leave_open_files(but: Sequence[int] = ()) -> None:
    """Nothing that our parent holds open, a lock above all, is held by us; objects that know a file keep its number."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in [int(file.name) for file in Path("/proc/self/fd").iterdir()]:
        if number > 2 and number != nothing and number not in but:
            with suppress(OSError):
                os.fstat(number)  # the listing itself had one open
                os.dup2(nothing, number)


def begin(words: Sequence[str], root: Path | None = None) -> None:
    """Run a module of the folder we are in, as `python -m` would; after `-c`, a program on the code of the root."""
    here = root or Path.cwd()
    old = {path for path in sys.path if (here / path / "ratchet" / "__main__.py").exists()}
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        LEFT.append(sys.modules.pop(name))
    for name in [name for name in sys.modules if name.partition(".")[0] == "prefect"]:
        STASH[name] = sys.modules.pop(name)
    sys.path[:] = [str(here), *(path for path in sys.path if path not in old)]
    sys.meta_path.insert(0, Unstash())
    sys.executable = str(here / ".venv" / "bin" / "python")
    sys.dont_write_bytecode = True
    subprocess.Popen = Popen  # type: ignore[assignment,misc]
    asyncio.create_subprocess_exec = begin_process  # type: ignore[assignment]
    Path("/proc/self/comm").write_text(words[0])  # as tests/support/killed_project.py finds it
    sys.argv = list(words)
    sys.orig_argv = [sys.executable, "-m", *words]
    if words[0] == "-c":
        sys.argv = ["-c", *words[2:]]
        sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(words[1], "<string>", "exec"), vars(sys.modules["__main__"]))
    else:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    to_the_end(sys.argv[2:], Path(sys.argv[1]))
