"""The process of a flow run that was started in the Prefect UI: forked from a server that has loaded everything.

The runner of `make up` calls `run_process`, where Prefect would begin a fresh interpreter. The fork server calls `load`
in advance (ratchet/servers/prefork.py). Run as a module, this does what `python -m prefect.engine` does.
"""

from __future__ import annotations

import runpy
import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from prefect.context import refresh_global_settings_context
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.utilities import processutils

from ratchet.project.paths import ROOT
from ratchet.servers import prefork
from ratchet.servers.prefork import NoForkServer

NEEDED = (
    "flows.lifecycle",
    "prefect.engine",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.utilities.visualization",
    "models.linear",
    "models.pyfunc",
    "ratchet.training.job",
    "anyio._backends._asyncio",
    "git",
    "matplotlib.backends.backend_agg",
    "matplotlib.pyplot",
    "mlflow.pyfunc.scoring_server",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "PIL.JpegImagePlugin",
    "pyarrow.pandas_compat",
    "pyarrow.parquet",
    "scipy.optimize",
    "scipy.stats",
    "sklearn.linear_model",
    "sqlalchemy.dialects.sqlite",
)
"""Modules that a turn of the loop imports."""


async def run_process(
    command: list[str],
    *,
    task_status: anyio.abc.TaskStatus[Any],
    task_status_handler: Callable[[Any], Any],
    env: Mapping[str, str],
    cwd: Path | str | None = None,
    **options: Any,
) -> Any:
    """Begin a flow run in a fork; where there is no fork server, call the function of Prefect that this replaces."""
    try:
        with open("/dev/null", "rb") as null:
            process = prefork.run_in_fork([__name__], [null.fileno(), 1, 2], env, str(cwd or ROOT))
    except NoForkServer:
        fresh = {name: value for name, value in env.items() if name != prefork.VARIABLE}
        return await processutils.run_process(
            command, task_status=task_status, task_status_handler=task_status_handler, env=fresh, cwd=cwd, **options
        )
    task_status.started(task_status_handler(process))
    await anyio.to_thread.run_sync(process.wait, abandon_on_cancel=True)
    return process


def load() -> None:
    """Import what a turn needs, and nothing more: no server is called, no file of the project is read."""
    import expectations
    from flows.registry import store
    from ratchet.data.versions import dvc_repo

    for name in NEEDED:
        import_module(name)
    expectations.load()
    store.load()
    dvc_repo.import_dvc()


def main() -> None:
    """Run the flow without heartbeats, as stage.py does for a command; each flow would wait for its own to end."""
    refresh_global_settings_context()  # from this run's environment, not the fork server's
    warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")  # the module is loaded on purpose
    sys.argv = ["prefect.engine"]
    with temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
