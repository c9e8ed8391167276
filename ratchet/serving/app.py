"""The ASGI application: all routes behind the guard, and the background tasks that start and end with it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ratchet.monitoring import last_check
from ratchet.monitoring.log.writer import Policy
from ratchet.problem import settings
from ratchet.project.errors import Refusal
from ratchet.servers.access import LOOPBACK
from ratchet.serving.answering import lineup
from ratchet.serving.answering.service import Service
from ratchet.serving.api import mlflow_scoring, open_inference, predict
from ratchet.serving.connections import Connections
from ratchet.serving.docs import docs_page
from ratchet.serving.follower import follow
from ratchet.serving.guard import ErrorShapes, Guard
from ratchet.serving.pages import label_page, try_page

SETTINGS_INTERVAL = 1.0
"""Seconds between two checks of params.yaml."""


def application(
    service: Service,
    connections: Connections,
    token: str = "",
    hosts: frozenset[str] = LOOPBACK,
    follower: str = "",
) -> ASGIApp:
    """Build the application.

    Args:
        service: answers.
        connections: are watched while the application runs.
        token: that every request must carry; empty for none.
        hosts: names under which the service answers without a token.
        follower: the module that follows the registry; empty to keep the lineup written last.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await service.log.start()
        await service.apply(lineup.read(service.here.lineup, service.problem))
        freeze_garbage()
        jobs = [follow_settings(service), connections.watch(), *([follow(service, follower)] if follower else [])]
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await service.finish_shadows()
            await service.log.close()

    async def metrics(request: Request) -> Response:
        check = await asyncio.to_thread(last_check.last, service.here, service.problem)
        since = await asyncio.to_thread(service.champion_since)
        return Response(service.metrics.render(check, since), media_type="text/plain; version=0.0.4; charset=utf-8")

    busy_routes = [*predict.routes(service), *mlflow_scoring.routes(service)]
    routes = [
        *busy_routes,
        *open_inference.routes(service),
        *try_page.routes(service),
        *label_page.routes(service),
        *docs_page.routes(service),
        Route("/metrics", metrics),
    ]
    errors = error_shapes(service)
    app = Starlette(routes=routes, exception_handlers=errors.handlers(), lifespan=lifespan)
    direct = {route.path: route.endpoint for route in busy_routes if route.methods == {"POST"}}
    return Guard(app, service, token, hosts, direct, errors)


def error_shapes(service: Service) -> ErrorShapes:
    """The shapes of the paths whose errors are not problem details."""
    page = partial(try_page.error_page, service)
    return ErrorShapes(
        {
            "/": page,
            "/correct": page,
            "/label": page,
            "/invocations": mlflow_scoring.error_response,
            "/v2*": open_inference.error_response,
        }
    )


def freeze_garbage() -> None:
    """Exclude all objects loaded so far from garbage collection: they stay until the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


async def follow_settings(service: Service) -> None:
    """Read params.yaml again after each change, until cancelled; a new section `deploy` holds without a restart."""
    path, last_change = service.here.params, 0
    while True:
        with suppress(OSError):
            change = path.stat().st_mtime_ns
            if change != last_change:
                last_change = change
                read_settings(service)
        await asyncio.sleep(SETTINGS_INTERVAL)


def read_settings(service: Service) -> None:
    """Take over the settings of params.yaml; a damaged file changes nothing and is reported."""
    try:
        current = settings.load(service.here.params)
    except Refusal as refusal:
        service.say(f"params.yaml is not followed: {refusal}")
        return
    service.settings = current.deploy
    kept, has_texts = current.deploy.log, service.task.signals.HAS_TEXTS
    policy = Policy(kept.texts, kept.days, service.problem, has_texts)
    if policy != service.log.policy:
        service.log.keep(policy)
