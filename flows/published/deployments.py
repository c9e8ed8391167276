"""Publishes the flows to the Prefect UI, each with its run form, and runs what is started there; watches for labels.

Run by `make ui` as a server of its own: `python -m flows.published.deployments`, until it is ended.
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
from ratchet.project.paths import places
from ratchet.project.settings import Optimise, load
from ratchet.servers import prefork

FLOWS = (lifecycle, build, evaluate, deploy, optimise)
STARTED_HERE = "Prefect UI"


def publish(settings: Optimise) -> None:
    """Serve every flow as a deployment of its own name; returns when it is ended."""
    made = [
        flow.to_deployment(
            name=flow.name,
            description=inspect.cleandoc(flow.fn.__doc__ or "").partition("\n\nArgs:")[0],
            parameters={"trigger": STARTED_HERE},
            tags=["ratchet"],
            entrypoint_type=EntrypointType.MODULE_PATH,
            **schedule(flow.name, settings),
        )
        for flow in FLOWS
    ]
    deployments = cast("list[RunnerDeployment]", made)  # in a coroutine alone they are to be awaited
    serve(*deployments, limit=1, query_seconds=0.5, print_starting_message=False)


def schedule(name: str, settings: Optimise) -> dict[str, Any]:
    """When a flow runs by itself, as params.yaml has it; it may be paused or changed in the UI."""
    from prefect.schedules import Cron, Interval

    if name == "optimise":
        every = timedelta(minutes=settings.every)
        return {"schedule": Interval(every, parameters={"trigger": f"look every {settings.every:g} minutes"})}
    if name == "lifecycle" and settings.schedule:
        return {
            "schedule": Cron(settings.schedule, parameters={"trigger": f"schedule {settings.schedule}", "learn": True})
        }
    return {}


def main() -> None:
    here = places()
    _starter_engine.run_process = flow_process.run_process  # type: ignore[assignment]  # the runner's own hook for how a run's process begins
    with prefork.standing_by(flow_process.__name__):
        threading.Thread(target=label_watcher.watch, args=(here,), daemon=True).start()
        publish(load(here.params).optimise)


if __name__ == "__main__":
    main()
