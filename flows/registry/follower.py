"""Follows the registry for the prediction service: `python -m flows.registry.follower`, a process beside it.

MLflow takes seconds to import and a quarter of a gigabyte, which the service need not wait for or carry. Every second
the follower reads the aliases, whoever moved them, exports a new version, and writes one line of JSON to standard
output. It ends with the service, when its standard input is closed.
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
from flows.registry.bundles import ExportCache
from flows.registry.registry import Registry
from ratchet.problem import settings
from ratchet.problem.settings import Settings
from ratchet.project import faults
from ratchet.project.paths import Places, mlflow_database, places, settle
from ratchet.serving.answering.lineup import Lineup

INTERVAL = 1.0
"""Seconds between two reads of the registry."""
ADDRESS = re.compile("0x[0-9a-f]+")
"""An object's address in memory, which differs each time though the error is the same."""


class Follower:
    """Reads the registry repeatedly, and keeps what need not be read again."""

    def __init__(self, here: Places) -> None:
        self._here = here
        self._registry = Registry("", here)
        self._cache = ExportCache()
        self._settings: Settings | None = None
        self._modified = 0
        self._last_error = ""
        self._explanation = ""

    def look(self) -> dict[str, Any]:
        """Read the registry once, and return the line for the service.

        Returns:
            `at` (seconds since 1970), `lineup` and `refused` (alias: version number, reason); or `failed`: the reason.
        """
        try:
            line = {"at": time.time(), **self._update()}
        except Exception as error:  # a registry that is away for a while is no reason to end: the next read may work
            return {"failed": self._explain(error)}
        self._last_error = ""
        return line

    def _explain(self, error: Exception) -> str:
        """Explain an error in a sentence; an error that lasts leaves one traceback, not one a second."""
        signature = ADDRESS.sub("", repr(error))
        if signature != self._last_error:
            self._last_error = signature
            self._explanation = str(faults.explain(error, self._here, "following the registry"))
        return self._explanation

    def _update(self) -> dict[str, Any]:
        current = self._read_settings()
        if current.problem != self._registry.problem:
            self._registry = Registry(current.problem, self._here)
            self._cache = ExportCache()
        if not registry_exists():
            return {"lineup": asdict(Lineup(current.problem)), "refused": {}}
        return asdict(bundles.update_lineup(self._registry, current.deploy.canary, self._cache))

    def _read_settings(self) -> Settings:
        """Return the settings of params.yaml, read again where the file has changed."""
        path = self._here.params
        modified = path.stat().st_mtime_ns if path.exists() else 0
        if self._settings is None or modified != self._modified:
            self._settings = settings.load(path)
            self._modified = modified
        return self._settings


def registry_exists() -> bool:
    """Whether the registry exists. The loop creates it; the follower never does, so it is not created twice at once."""
    path = mlflow_database()
    return path is None or path.exists()


def main() -> None:
    here = places()
    settle(here)
    follower = Follower(here)
    while not select.select([sys.stdin], [], [], INTERVAL)[0]:
        print(json.dumps(follower.look(), ensure_ascii=False), flush=True)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # the follower ends with the service, not before it
    os.nice(10)  # reading the registry can wait; the service's requests should not
    try:
        main()
    except BrokenPipeError:
        sys.exit(0)
