"""Runs the service: `python -m ratchet.serving`, as `make serve` and `make up` call it."""

from __future__ import annotations

import os
import sys
from datetime import datetime

import uvicorn

from ratchet import settings
from ratchet.places import Places, places
from ratchet.refusal import Refusal
from ratchet.serving.app import application
from ratchet.serving.guard import LOOPBACK
from ratchet.serving.log import Log, Policy
from ratchet.serving.meters import Meters
from ratchet.serving.service import Service

KEPT_OPEN = 75
"""Seconds that a connection may be idle."""
DRAIN = 4
"""Seconds that requests which are here may take once the service is told to end; its watcher insists after five."""


def main() -> int:
    """Serve until told to end."""
    here = places()
    try:
        token = expected_token(here)
        current = settings.load(here.params)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 1
    log = Log(here.predictions, Policy(current.deploy.log.texts, current.deploy.log.days))
    service = Service(here, current.problem, current.deploy, log, Meters(log), said)
    server = uvicorn.Server(
        uvicorn.Config(
            application(service, token, LOOPBACK | {here.host}),
            host=here.host,
            port=here.serve_port,
            loop="uvloop",
            http="httptools",
            ws="none",
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=KEPT_OPEN,
            timeout_graceful_shutdown=DRAIN,
        )
    )
    server.run()
    return 0


def expected_token(here: Places) -> str:
    """The token that callers must have; empty where none is set.

    Raises:
        Refusal: none is set, and the service is to be reached from outside this machine.
    """
    token = os.environ.get("RATCHET_TOKEN", "")
    if not token and here.host not in LOOPBACK:
        raise Refusal(
            "A service that others can reach needs a token.",
            f"RATCHET_HOST={here.host} and no RATCHET_TOKEN",
            "Set one: RATCHET_TOKEN=$(openssl rand -hex 16) make serve; or leave RATCHET_HOST out.",
        )
    return token


def said(words: str) -> None:
    """A line of the service's log."""
    print(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
