"""`make up` or `make ui` at work: begun and ended around a test, asked through Prefect's API, waited for."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psutil

from tests.support.forking import Begun
from tests.support.project import Project

PATIENCE = 180
"""Seconds until a run has ended on a machine that does other things, too."""


@contextmanager
def showing(project: Project, verb: str) -> Iterator[None]:
    """`make up` or `make ui` runs while the block does; it is ended by SIGTERM."""
    process = project.start(verb)
    try:
        wait_for(process, "Ctrl-C ends")
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)


def wait_for(process: Begun | subprocess.Popen[str], words: str) -> None:
    """Read what a process prints until the words come."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if words in line:
            return
    raise AssertionError(f"{words!r} never came:\n{seen}")


def api(project: Project, path: str, asked: dict[str, Any] | None = None) -> Any:
    """What Prefect's API answers; with a token where it is asked to change something, as its own clients do."""
    address, body = f"http://127.0.0.1:{project.environment['PREFECT_PORT']}/api", None
    headers = {"Content-Type": "application/json"}
    if asked is not None:
        client, body = uuid4().hex, json.dumps(asked).encode()
        with urllib.request.urlopen(f"{address}/csrf-token?client={client}", timeout=30) as reply:
            headers |= {"Prefect-Csrf-Client": client, "Prefect-Csrf-Token": json.load(reply)["token"]}
    with urllib.request.urlopen(urllib.request.Request(f"{address}/{path}", body, headers), timeout=30) as reply:
        return json.load(reply)


def runs(project: Project, flow: str, *states: str) -> list[dict[str, Any]]:
    """The runs of a flow that began by themselves or through the API, newest first; of these states, or of any."""
    asked: dict[str, Any] = {"flows": {"name": {"any_": [flow]}}, "sort": "EXPECTED_START_TIME_DESC"}
    found = [
        run for run in api(project, "flow_runs/filter", asked) if run["deployment_id"] and not run["auto_scheduled"]
    ]
    return [run for run in found if not states or run["state_type"] in states]


def until(happened: Callable[[], Any], what: str) -> Any:
    """What came of it, once something did."""
    deadline = time.monotonic() + PATIENCE
    while not (found := happened()):
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.1)
    return found


def ended(project: Project, run: str) -> dict[str, Any]:
    """That run, once it has ended."""
    final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    return until(
        lambda: (found := api(project, f"flow_runs/{run}"))["state_type"] in final and found, f"the end of {run}"
    )


def addresses() -> list[str]:
    """Those of this machine."""
    return sorted(
        each.address for them in psutil.net_if_addrs().values() for each in them if each.family == socket.AF_INET
    )
