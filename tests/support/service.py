"""The prediction service as a test starts it: `python -m ratchet.serving` in a project, on the project's own port."""

from __future__ import annotations

import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError

from tests.support import forking
from tests.support.forking import Begun
from tests.support.project import Project

PATIENCE = 60
"""Seconds until it answers on a machine that does other things, too; and until it has ended."""


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
