"""Follows the registry for the prediction service: `python -m flows.registry.follower`, a process beside it.

MLflow takes seconds to import and a quarter of a gigabyte, which the service need not wait for or carry. Every second
this looks who holds the aliases, whoever moved them; a new version is exported, and a line of JSON says so on standard
output. It ends when the service does: when its standard input is closed.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import sys
import time
from dataclasses import asdict
from typing import Any

from flows.registry import bundles
from flows.registry.bundles import Memory
from flows.registry.registry import Registry
from ratchet.project import faults, settings
from ratchet.project.paths import Places, mlflow_database, places, settle
from ratchet.project.settings import Settings
from ratchet.serving.answering.lineup import Lineup

EVERY = 1.0
"""Seconds between two looks."""
ADDRESS = re.compile("0x[0-9a-f]+")
"""Where an object lies in memory: another place each time, though the error is the same."""


class Follower:
    """Looks at the registry, again and again; keeps what need not be found anew each time."""

    def __init__(self, here: Places) -> None:
        self._here = here
        self._registry = Registry("", here)
        self._memory = Memory()
        self._settings: Settings | None = None
        self._stamp = 0
        self._met = self._told = ""

    def look(self) -> dict[str, Any]:
        """What one look came to: `at`, and `lineup` with who is `refused` (alias: version, why), or `failed`: why."""
        try:
            found = {"at": time.time(), **self._looked()}
        except Exception as error:  # a registry that is away for a while is no reason to end: the next look tells
            return {"failed": self._explained(error)}
        self._met = ""
        return found

    def _explained(self, error: Exception) -> str:
        """What went wrong, in a sentence; of an error that lasts, one traceback is kept and not one a second."""
        met = ADDRESS.sub("", repr(error))
        if met != self._met:
            self._met, self._told = met, str(faults.explain(error, self._here, "following the registry"))
        return self._told

    def _looked(self) -> dict[str, Any]:
        current = self._current()
        if current.problem != self._registry.problem:
            self._registry, self._memory = Registry(current.problem, self._here), Memory()
        if not is_there():
            return {"lineup": asdict(Lineup(current.problem)), "refused": {}}
        return asdict(bundles.line_up(self._registry, current.deploy.canary, self._memory))

    def _current(self) -> Settings:
        """params.yaml, read again where it has changed."""
        path = self._here.params
        stamp = path.stat().st_mtime_ns if path.exists() else 0
        if self._settings is None or stamp != self._stamp:
            self._settings, self._stamp = settings.load(path), stamp
        return self._settings


def is_there() -> bool:
    """Whether there is a registry to look into: it is made by whoever turns the loop, and not twice at once."""
    path = mlflow_database()
    return path is None or path.exists()


def main() -> None:
    here = places()
    settle(here)
    follower = Follower(here)
    while not select.select([sys.stdin], [], [], EVERY)[0]:
        print(json.dumps(follower.look(), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, signal.SIG_IGN)  # it ends with the service, not before it
    os.nice(10)  # a look can wait; who asks the service should not
    try:
        main()
    except BrokenPipeError:
        sys.exit(0)
