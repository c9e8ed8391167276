"""Runs the service: `python -m ratchet.serving [MODULE]`, as `make serve` and `make up` call it.

MODULE looks at the registry and tells what is to answer; without one the service answers with what was live last.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, cast

import uvicorn

from ratchet.monitoring.log.client import Log
from ratchet.monitoring.log.writer import Policy
from ratchet.project import settings
from ratchet.project.errors import Refusal
from ratchet.project.paths import places
from ratchet.servers.access import LOOPBACK, expected_token
from ratchet.serving.answering.metrics import ServiceMetrics
from ratchet.serving.answering.service import Service
from ratchet.serving.app import application
from ratchet.serving.connections import Connections

KEPT_OPEN = 75
"""Seconds that a connection may be idle."""
DRAIN = 4
"""Seconds that requests which are here may take once the service is told to end; its watcher insists after five."""


TURN = 0.0005
"""Seconds that a thread may keep the interpreter to itself: a version that is being loaded holds up no answer."""


def main(follower: str = "") -> int:
    """Serve until told to end. follower: the module that looks at the registry."""
    sys.setswitchinterval(TURN)
    here = places()
    try:
        token = expected_token(here)
        current = settings.load(here.params)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 1
    log = Log(Policy(current.deploy.log.texts, current.deploy.log.days, current.problem), said)
    service = Service(here, current.problem, current.deploy, log, ServiceMetrics(log), said)
    connections = Connections(service)
    server = uvicorn.Server(
        uvicorn.Config(
            application(service, connections, token, LOOPBACK | {here.host}, follower),
            host=here.host,
            port=here.serve_port,
            loop="uvloop",
            http=cast("Any", connections),
            ws="none",
            access_log=False,
            log_level="error",
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEPT_OPEN,
            timeout_graceful_shutdown=DRAIN,
        )
    )
    server.run()
    return 0


def said(words: str) -> None:
    """A line of the service's log."""
    print(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
