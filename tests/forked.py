"""A verb of a project in a copy of the warm process: as `python -m ratchet verb` in its folder, without the imports.

The project's own copy of the code is loaded, and none other. What reads the environment when it is first imported
reads this command's. Servers that the verb starts begin as copies as well.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import runpy
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

OURS = ("flows", "models", "expectations", "ratchet", "benchmarks", "tests")
STASH: dict[str, ModuleType] = {}
"""Prefect's modules, until something imports the first of them."""
LEFT: list[ModuleType] = []
"""Modules that this process goes on without; they stay, for files that they hold open."""
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

    def __init__(self, command: Sequence[str], stdin: Any, stdout: Any, stderr: Any, env: Mapping[str, str] | None,
                 cwd: Any, session: bool) -> None:  # fmt: skip
        self.args = command
        self.returncode: int | None = None
        self.stdin: BinaryIO | None = None
        read, write = os.pipe() if stdin == subprocess.PIPE else (os.open(os.devnull, os.O_RDONLY), -1)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.dup2(read, 0)
                for number, file in ((1, stdout), (2, stderr)):
                    if file is not None:
                        os.dup2(file.fileno(), number)
                leave_open_files()
                if session:
                    os.setsid()
                os.chdir(cwd or ".")
                if env is not None:
                    os.environ.clear()
                    os.environ.update(env)
                begin(command[2:])
                status = 0
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        os.close(read)
        if write >= 0:
            self.stdin = open(write, "wb", 0)  # noqa: SIM115

    def poll(self) -> int | None:
        return self._look(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int:
        status = self._look(0)
        assert status is not None
        return status

    def _look(self, how: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, how)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class Popen(Fresh):  # type: ignore[type-arg]
    """The system's own, but for the servers of Ratchet that need Prefect."""

    def __new__(cls, command: Any, *others: Any, **named: Any) -> Any:
        if isinstance(command, (list, tuple)) and "uvicorn" in command and "flows.server:create_app" in command:
            return Forked(
                command, named.get("stdin"), named.get("stdout"), named.get("stderr"), named.get("env"),
                named.get("cwd"), named.get("start_new_session", False),
            )  # fmt: skip
        return super().__new__(cls)


def leave_open_files() -> None:
    """Nothing that our parent holds open, a lock above all, is held by us; objects that know a file keep its number."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in [int(file.name) for file in Path("/proc/self/fd").iterdir()]:
        if number > 2 and number != nothing:
            with suppress(OSError):
                os.fstat(number)  # the listing itself had one open
                os.dup2(nothing, number)


def begin(words: Sequence[str], root: Path | None = None) -> None:
    """Run a module of the folder we are in, as `python -m` would; after `-c`, a program on the code of the root."""
    here = root or Path.cwd()
    old = {path for path in sys.path if (here / path / "ratchet" / "warm.py").exists()}
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        LEFT.append(sys.modules.pop(name))
    for name in [name for name in sys.modules if name.partition(".")[0] == "prefect"]:
        STASH[name] = sys.modules.pop(name)
    sys.path[:] = [str(here), *(path for path in sys.path if path not in old)]
    sys.meta_path.insert(0, Unstash())
    sys.executable = str(here / ".venv" / "bin" / "python")
    sys.dont_write_bytecode = True
    subprocess.Popen = Popen  # type: ignore[assignment,misc]
    sys.argv = list(words)
    if words[0] == "-c":
        sys.argv = ["-c"]
        sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(words[1], "<string>", "exec"), vars(sys.modules["__main__"]))
    else:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    begin(sys.argv[2:], Path(sys.argv[1]))
