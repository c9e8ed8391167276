"""Follows the registry for the prediction service: `python -m flows.following`, a process beside it.

MLflow takes seconds to import and a quarter of a gigabyte, which the service need not wait for or carry. Every second
this looks who holds the aliases, whoever moved them; a new version is exported, and a line of JSON says so on standard
output. It ends when the service does: when its standard input is closed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flows import bundles
from flows.registry import Registry, store
from ratchet import faults, settings
from ratchet.places import Places, places, settle
from ratchet.refusal import Refusal
from ratchet.serving.lineup import Lineup

EVERY = 1.0
"""Seconds between two looks."""


def main() -> None:
    here = places()
    settle(here)
    watched: dict[str, Any] = {}
    while not select.select([sys.stdin], [], [], EVERY)[0]:
        told = look(here, watched)
        print(json.dumps(told, ensure_ascii=False), flush=True)


def look(here: Places, watched: dict[str, Any]) -> dict[str, Any]:
    """One look: {"lineup": ...} or {"refused": why, "alias": ..., "version": ...}; `at` is when.

    watched: what is kept from one look to the next, and belongs to this function.
    """
    now = {"at": time.time()}
    try:
        current = params(here.params, watched)
        if not is_there():
            return now | {"problem": current.problem, "lineup": asdict(Lineup())}
        registry = watched.setdefault(current.problem, Registry(current.problem, here))
        found = bundles.line_up(registry, current.deploy.canary.tries)
    except bundles.Unexported as error:
        return now | {"alias": error.alias, "version": error.version, "refused": str(error)}
    except Exception as error:  # a registry that is away for a while is no reason to end: the next look tells
        return now | {"failed": str(faults.explain(error, here, "following the registry"))}
    return now | {"problem": current.problem, "lineup": asdict(found)}


def is_there() -> bool:
    """Whether there is a registry to look into: it is made by whoever turns the loop, and not twice at once."""
    path = store()
    return path is None or path.exists()


def params(path: Path, watched: dict[str, Any]) -> settings.Settings:
    """params.yaml, read again where it has changed."""
    stamp = path.stat().st_mtime_ns if path.exists() else 0
    if watched.get("stamp") != stamp:
        watched["settings"], watched["stamp"] = settings.load(path), stamp
    found: settings.Settings = watched["settings"]
    return found


if __name__ == "__main__":
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, signal.SIG_IGN)  # it ends with the service, not before it
    os.nice(10)  # a look can wait; who asks the service should not
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError, Refusal):
        sys.exit(0)
