"""The service's end of following: starts the process that looks at the registry, and does what its lines say.

It begins after the first answer. Where that process ends by itself it is started again; what answers goes on answering.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from typing import Any

from ratchet.serving.answering.lineup import understood
from ratchet.serving.answering.service import Service

AGAIN = 5.0
"""Seconds until a follower that ended is started anew."""


async def follow(service: Service, follower: str) -> None:
    """Until cancelled: keep a follower, and the service in step with what it tells.

    follower: the module that looks at the registry, run as `python -m`.
    """
    while True:
        try:
            await _follow_once(service, follower)
        except Exception as error:  # whatever it was: a service that stays behind for good is noticed by nobody
            service.said(f"The registry is not followed: {type(error).__name__}: {error}.")
        await asyncio.sleep(AGAIN)


async def _follow_once(service: Service, follower: str) -> None:
    here = service.here
    here.logs.mkdir(parents=True, exist_ok=True)
    with open(here.logs / "following.log", "ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", follower,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
            cwd=here.root, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            await heed(service, line)
    finally:
        with suppress(ProcessLookupError):
            process.kill()  # it leaves nothing half done: a bundle is packed aside, and renamed
        await process.wait()
    service.said(f"What follows the registry ended; started again in {AGAIN:g} s. Its log: {here.logs}/following.log")


async def heed(service: Service, line: bytes) -> None:
    """Do what a line of the follower says."""
    try:
        told: dict[str, Any] = json.loads(line)
    except ValueError:
        return  # what a library prints there is none of ours
    if not isinstance(told, dict):
        return
    if "failed" in told:
        service.say_once("registry", f"The registry is not followed meanwhile: {told['failed']}")
        return
    found = understood(told["lineup"])
    service.meters.followed.set(told["at"])
    if found.problem == service.problem:
        service.say_once("registry", "")
        await service.take(found, {alias: tuple(what) for alias, what in told["refused"].items()})
    else:
        words = f"params.yaml is about {found.problem} now. This goes on answering for {service.problem}"
        service.say_once("registry", f"{words} until it is started anew.")
