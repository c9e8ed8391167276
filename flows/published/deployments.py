"""Publishes the flows to the Prefect UI with their run forms, runs what is started there, and watches for labels.

`make ui` runs it as a server of its own: `python -m flows.published.deployments`, until it is ended.
"""

from __future__ import annotations

import inspect
import threading
from datetime import timedelta
from typing import Any, cast

from prefect import serve
from prefect.deployments.runner import EntrypointType, RunnerDeployment
from prefect.runner import _starter_engine

from flows.build import build
from flows.deploy import deploy
from flows.evaluate import evaluate
from flows.lifecycle import lifecycle
from flows.optimise import optimise
from flows.published import flow_process, label_watcher
from ratchet.problem.settings import Optimise, load
from ratchet.project.paths import places
from ratchet.servers import prefork

FLOWS = (lifecycle, build, evaluate, deploy, optimise)
TRIGGER = "Prefect UI"


def publish(settings: Optimise) -> None:
    """Serve every flow as a deployment of its own name, until the process is ended."""
    flow_deployments = [
        flow.to_deployment(
            name=flow.name,
            description=inspect.cleandoc(flow.fn.__doc__ or "").partition("\n\nArgs:")[0],
            parameters={"trigger": TRIGGER},
            tags=["ratchet"],
            entrypoint_type=EntrypointType.MODULE_PATH,
            **schedule(flow.name, settings),
        )
        for flow in FLOWS
    ]
    deployments = cast("list[RunnerDeployment]", flow_deployments)  # they are awaitable only in a coroutine
    serve(*deployments, limit=1, query_seconds=0.5, print_starting_message=False)


def schedule(name: str, settings: Optimise) -> dict[str, Any]:
    """Return a flow's schedule as params.yaml has it, empty for none; it may be paused or changed in the UI."""
    from prefect.schedules import Cron, Interval

    if name == "optimise":
        interval = timedelta(minutes=settings.every)
        return {"schedule": Interval(interval, parameters={"trigger": f"look every {settings.every:g} minutes"})}
    if name == "lifecycle" and settings.schedule:
        return {
            "schedule": Cron(settings.schedule, parameters={"trigger": f"schedule {settings.schedule}", "learn": True})
        }
    return {}


def main() -> None:
    here = places()
    _starter_engine.run_process = flow_process.run_process  # type: ignore[assignment]  # the runner's hook that begins a run's process
    with prefork.fork_server(flow_process.__name__):
        threading.Thread(target=label_watcher.watch, args=(here,), daemon=True).start()
        publish(load(here.params).optimise)


if __name__ == "__main__":
    main()
