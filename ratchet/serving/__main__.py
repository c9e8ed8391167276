"""Runs the prediction service: `python -m ratchet.serving [FOLLOWER]`, as `make serve` and `make up` call it.

FOLLOWER is the module that follows the registry. Without one the service answers with the lineup written last.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any, cast

import uvicorn

from ratchet.monitoring.log.client import Log
from ratchet.monitoring.log.writer import Policy
from ratchet.problem import settings
from ratchet.project.errors import Refusal
from ratchet.project.paths import places
from ratchet.servers.access import LOOPBACK, expected_token
from ratchet.serving.answering.metrics import ServiceMetrics
from ratchet.serving.answering.service import Service
from ratchet.serving.app import application
from ratchet.serving.connections import Connections

KEEP_ALIVE = 75
"""Seconds that a connection may be idle."""
DRAIN = 4
"""Seconds that requests in flight may take after SIGTERM; the supervisor kills the service after five."""


SWITCH_INTERVAL = 0.0005
"""Seconds that a thread may hold the interpreter: loading a version then delays no answer."""


def main(follower: str = "") -> int:
    """Serve until a signal ends the service; return the exit status."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    here = places()
    try:
        token = expected_token(here)
        current = settings.load(here.params)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 1
    kept, has_texts = current.deploy.log, current.kind.signals.HAS_TEXTS
    log = Log(Policy(kept.texts, kept.days, current.problem, has_texts), say)
    service = Service(here, current.problem, current.deploy, log, ServiceMetrics(log), say, task=current.kind)
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
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=DRAIN,
        )
    )
    server.run()
    return 0


def say(message: str) -> None:
    """Print a line to the service's log."""
    print(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {message}", flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
