"""The prediction service as a test starts it, asks it, and looks at what it has kept.

It is `python -m ratchet.serving` in a project, on the project's own port.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import httpx
from prometheus_client.parser import text_string_to_metric_families

from ratchet.serving.answering import lineup
from tests.support import forking
from tests.support.forking import Begun
from tests.support.project import Project

PATIENCE = 60
"""Seconds until it answers on a machine that does other things, too; and until it has ended."""
SOON = 30
"""Seconds until something that was set off must have happened, on such a machine."""


@dataclass(frozen=True)
class Served:
    """A service that answers. address: `http://127.0.0.1:<port>`, no slash behind. log: of both streams."""

    address: str
    process: Begun | subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")


@contextmanager
def served(project: Project, **environment: str) -> Iterator[Served]:
    """The service runs while the block does, and is ended by SIGTERM, unless the block has ended it."""
    port, log = project.environment["SERVE_PORT"], project.root / "state" / f"served-{time.monotonic_ns()}.log"
    log.parent.mkdir(exist_ok=True)
    env = project.environment | {"PYTHONDONTWRITEBYTECODE": "1"} | environment
    with open(log, "wb") as out:
        process = forking.service(project.root, env, out) or subprocess.Popen(
            [str(project.root / ".venv" / "bin" / "python"), "-m", "ratchet.serving", "flows.registry.follower"],
            cwd=project.root,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    service = Served(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_until_answers(service)
        yield service
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"SIGTERM did not end it within {PATIENCE} s: {service.said}") from None


def wait_until_answers(service: Served) -> None:
    """Return when it answers at all, whether or not a version is live."""
    deadline = time.monotonic() + PATIENCE
    while not answers(service.address):
        with suppress(subprocess.TimeoutExpired):
            service.process.wait(0.05)
        ended = service.process.poll() is not None
        if ended or time.monotonic() > deadline:
            raise AssertionError(f"The service {'ended' if ended else 'does not answer'}: {service.said}")


def answers(address: str) -> bool:
    try:
        urllib.request.urlopen(f"{address}/ping", timeout=5).close()
    except HTTPError as error:
        error.close()  # 404: no version is live, and it says so
    except (URLError, OSError):
        return False
    return True


@contextmanager
def asked(service: Served) -> Iterator[httpx.Client]:
    """A client of it, while the block runs."""
    with httpx.Client(base_url=service.address, timeout=30) as client:
        yield client


def until(happened: Callable[[], object], what: str) -> None:
    """Return once it has happened."""
    deadline = time.monotonic() + SOON
    while not happened():
        assert time.monotonic() < deadline, f"not within {SOON} s: {what}"
        time.sleep(0.02)


def metrics(http: httpx.Client) -> dict[str, float]:
    """Every sample by its name and labels: `ratchet_version{role=champion}`."""
    found = {}
    for family in text_string_to_metric_families(http.get("/metrics").text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def ask(http: httpx.Client, *texts: str, **more: Any) -> dict[str, Any]:
    """What /predict answers."""
    answer = http.post("/predict", json={"texts": list(texts), **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def logged(project: Project, question: str, *values: object) -> list[tuple[Any, ...]]:
    """Rows of the log of predictions; none where there is no log yet."""
    path = project.root / "state" / "predictions.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        if not connection.execute("select name from sqlite_master where name = 'predictions'").fetchall():
            return []  # the writer has opened the file and not laid it out yet
        return connection.execute(question, values).fetchall()


def bundle_of(project: Project) -> Path:
    """The folder that the champion is loaded from."""
    place = lineup.read_last(project.root / "state" / "bundles" / "lineup.json").champion
    assert place is not None
    return project.root / "state" / "bundles" / place.digest
