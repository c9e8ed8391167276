"""The application: all routes, behind the guard; what is started with it and ended with it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ratchet.monitoring import last_check
from ratchet.monitoring.log.writer import Policy
from ratchet.project import settings
from ratchet.project.errors import Refusal
from ratchet.servers.access import LOOPBACK
from ratchet.serving import guard
from ratchet.serving.answering import lineup
from ratchet.serving.answering.requests import RequestError
from ratchet.serving.answering.service import Service, Unready
from ratchet.serving.api import mlflow_scoring, open_inference, predict
from ratchet.serving.connections import Connections
from ratchet.serving.docs import docs_page
from ratchet.serving.follower import follow
from ratchet.serving.guard import Guard
from ratchet.serving.pages import label_page, try_page

LOOK = 1.0
"""Seconds between two looks at params.yaml."""


def application(
    service: Service,
    connections: Connections,
    token: str = "",
    hosts: frozenset[str] = LOOPBACK,
    follower: str = "",
) -> ASGIApp:
    """The ASGI application.

    Args:
        token: empty for none.
        hosts: names that it answers to without one.
        follower: the module that looks at the registry; empty to go on answering with what the lineup says now.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await service.log.start()
        await service.take(lineup.read(service.here.lineup, service.problem))
        spare_the_collector()
        jobs = [keep_settings(service), connections.watch(), *([follow(service, follower)] if follower else [])]
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await service.settle()
            await service.log.close()

    async def metrics(request: Request) -> Response:
        look = await asyncio.to_thread(last_check.last, service.here, service.problem)
        since = await asyncio.to_thread(service.champion_since)
        return Response(service.meters.page(look, since), media_type="text/plain; version=0.0.4; charset=utf-8")

    asked = [*predict.routes(service), *mlflow_scoring.routes(service)]
    routes = [
        *asked,
        *open_inference.routes(service),
        *try_page.routes(service),
        *label_page.routes(service),
        *docs_page.routes(service),
    ]
    app = Starlette(
        routes=[*routes, Route("/metrics", metrics)],
        exception_handlers={HTTPException: not_routed, RequestError: refused, Unready: unready},
        lifespan=lifespan,
    )
    lane = {route.path: route.endpoint for route in asked if route.methods == {"POST"}}
    return Guard(app, service, token, hosts, lane)


def spare_the_collector() -> None:
    """What is loaded by now stays: the garbage collector need not look through it, again and again, meanwhile."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


async def not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    told = guard.told(request.scope, guard.as_problem(error))
    told.headers.update(error.headers or {})
    return told


async def refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return guard.told(request.scope, error)


async def unready(request: Request, error: Exception) -> Response:
    return guard.told(request.scope, RequestError(503, str(error), 1))


async def keep_settings(service: Service) -> None:
    """Until cancelled: what `deploy` in params.yaml says holds, with no restart; what is damaged changes nothing."""
    path, seen = service.here.params, 0
    while True:
        with suppress(OSError):
            stamp = path.stat().st_mtime_ns
            if stamp != seen:
                seen = stamp
                read_settings(service)
        await asyncio.sleep(LOOK)


def read_settings(service: Service) -> None:
    try:
        found = settings.load(service.here.params)
    except Refusal as refusal:
        service.said(f"params.yaml is not followed: {refusal}")
        return
    service.settings = found.deploy
    policy = Policy(found.deploy.log.texts, found.deploy.log.days, service.problem)
    if policy != service.log.policy:
        service.log.keep(policy)
