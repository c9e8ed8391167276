"""Runs the follower, a process that watches the registry, and applies the lineups that it prints.

The follower starts after the service can answer. If it ends, it is started again; the service goes on answering.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from typing import Any

from ratchet.serving.answering import lineup
from ratchet.serving.answering.service import Service

RESTART_DELAY = 5.0
"""Seconds until a follower that ended is started again."""


async def follow(service: Service, follower: str) -> None:
    """Run the follower and apply what it prints, until cancelled.

    Args:
        service: to be kept in step with the registry.
        follower: the module, run as `python -m`.
    """
    while True:
        try:
            await _follow_once(service, follower)
        except Exception as error:  # of any kind: nobody would notice a service that no longer follows
            service.say(f"The registry is not followed: {type(error).__name__}: {error}.")
        await asyncio.sleep(RESTART_DELAY)


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
            await handle_line(service, line)
    finally:
        with suppress(ProcessLookupError):
            process.kill()  # safe at any time: a bundle is packed in a scratch folder and then renamed
        await process.wait()
    service.say(
        f"The follower of the registry ended; started again in {RESTART_DELAY:g} s. Its log: {here.logs}/following.log"
    )


async def handle_line(service: Service, line: bytes) -> None:
    """Apply a line of the follower: a lineup, or a failure. Other output, as of a library, is ignored."""
    try:
        message: dict[str, Any] = json.loads(line)
    except ValueError:
        return
    if not isinstance(message, dict):
        return
    if "failed" in message:
        service.say_once("registry", f"The registry is not followed meanwhile: {message['failed']}")
        return
    current = lineup.parse(message["lineup"])
    service.metrics.followed.set(message["at"])
    if current.problem == service.problem:
        service.say_once("registry", "")
        await service.apply(current, {alias: tuple(refusal) for alias, refusal in message["refused"].items()})
    else:
        service.say_once(
            "registry",
            f"params.yaml is about {current.problem} now. "
            f"The service goes on answering for {service.problem} until it is started anew.",
        )
