"""How the runner of `make up` begins the process of a flow run: as a copy of one that has loaded everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from prefect.utilities import processutils

from ratchet.project.paths import ROOT
from ratchet.servers import prefork
from ratchet.servers.prefork import Cold


async def run_process(
    command: list[str],
    *,
    task_status: anyio.abc.TaskStatus[Any],
    task_status_handler: Callable[[Any], Any],
    env: Mapping[str, str],
    cwd: Path | str | None = None,
    **others: Any,
) -> Any:
    """Stands in for Prefect's function of that name, which takes over where no copy is to be had."""
    try:
        with open("/dev/null", "rb") as nothing:
            process = prefork.ask(["flows.published.engine"], [nothing.fileno(), 1, 2], env, str(cwd or ROOT))
    except Cold:
        fresh = {name: value for name, value in env.items() if name != prefork.VARIABLE}
        return await processutils.run_process(
            command, task_status=task_status, task_status_handler=task_status_handler, env=fresh, cwd=cwd, **others
        )
    task_status.started(task_status_handler(process))
    await anyio.to_thread.run_sync(process.wait, abandon_on_cancel=True)
    return process
