"""A unit file as systemd reads it, and the service started as it would start it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SIGNS = {"SIGTERM": signal.SIGTERM}


@dataclass(frozen=True)
class Unit:
    """A service as systemd reads it: each setting with its values, continued lines joined."""

    settings: dict[str, list[str]]

    @classmethod
    def read(cls, path: Path) -> Unit:
        lines = re.sub(r"\\\n *", " ", path.read_text(encoding="utf-8")).splitlines()
        found: dict[str, list[str]] = {}
        for line in lines:
            if "=" in line and not line.startswith("#"):
                found.setdefault(line.partition("=")[0], []).append(line.partition("=")[2])
        return cls(found)

    def one(self, name: str) -> str:
        """A setting that takes the rest of its line, with systemd's specifiers resolved."""
        (value,) = self.settings[name]
        assert "%" not in value.replace("%%", "")
        return value.replace("%%", "%")

    @property
    def folder(self) -> str:
        return self.one("WorkingDirectory")

    @property
    def environment(self) -> dict[str, str]:
        """What the EnvironmentFile gives; a shell reads these lines as systemd does."""
        file = re.sub(r"\[(.)\]", r"\1", self.one("EnvironmentFile"))  # systemd takes it as a pattern
        shell = ["env", "-i", "sh", "-c", 'set -a; . "$0"; exec env -0', file]
        said = subprocess.run(shell, capture_output=True, text=True, check=True).stdout
        return dict(line.split("=", 1) for line in said.split("\0") if line and not line.startswith(("PWD=", "_=")))

    def command(self, name: str) -> list[str]:
        return [word.replace("$$", "$") for word in shlex.split(self.one(name))]

    @contextmanager
    def started(self, home: Path) -> Iterator[subprocess.Popen[str]]:
        """ExecStart as systemd starts it, in that environment alone; at the end told to stop, with the time it has."""
        process = subprocess.Popen(
            self.command("ExecStart"),
            cwd=self.folder,
            env={"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.send_signal(SIGNS[self.one("KillSignal")])
            process.communicate(timeout=float(self.one("TimeoutStopSec")))
