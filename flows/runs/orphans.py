"""Closes what a killed process left open in Prefect: runs that still say Running although no process runs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType, TaskRun
from prefect.states import Completed, Crashed

from ratchet.project.paths import Places, prefect_database
from ratchet.servers import servers

OPEN_STATES = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
OPEN_RUNS = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=OPEN_STATES)))
OPEN_TASKS = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=OPEN_STATES)))


def close_orphans(here: Places) -> int:
    """Mark every other open flow run of this project's own server as crashed, with its tasks; returns how many.

    Call it only while holding the loop's lock, and only from the outermost flow: then nothing else can be running. A
    run that waits for the UI's runner to start it is left to that runner. A server that is shared with others is left
    alone; on our own server with a shared database, only the runs that this state began are closed.
    """
    if servers.running_record(here, "prefect") is None:
        return 0
    this_run = str(runtime.flow_run.id)
    has_runner = servers.running_record(here, "flows") is not None
    begun = {path.name for path in open_runs(here).glob("*")}
    shared = bool(prefect_database()[1])
    with get_client(sync_client=True) as client:
        runs = [run for run in client.read_flow_runs(flow_run_filter=OPEN_RUNS) if not shared or str(run.id) in begun]
        orphans = [run for run in runs if str(run.id) != this_run and not (has_runner and is_about_to_start(run))]
        for run in orphans:
            client.set_flow_run_state(run.id, crashed(), force=True)
        for task in client.read_task_runs(task_run_filter=OPEN_TASKS):
            if not shared or str(task.flow_run_id) in begun:
                client.set_task_run_state(task.id, final_state(client, task), force=True)
    for name in begun - {this_run}:
        (open_runs(here) / name).unlink(missing_ok=True)
    return len(orphans)


@contextmanager
def marked_open(here: Places) -> Iterator[None]:
    """Keep a file for this flow run in the state while the block runs; a kill leaves it."""
    marker = open_runs(here) / str(runtime.flow_run.id)
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()
    try:
        yield
    finally:
        marker.unlink(missing_ok=True)


def open_runs(here: Places) -> Path:
    """Return the folder with one empty file for each flow run that this state began, named by its id."""
    return here.state / "open-runs"


def is_about_to_start(run: FlowRun) -> bool:
    return run.deployment_id is not None and run.state_type == StateType.PENDING


def final_state(client: SyncPrefectClient, task: TaskRun) -> State[Any]:
    """Return the state of an open task: completed where its flow completed, else crashed.

    A task of a completed flow stays open when the clock was set back meanwhile: the server orders a task's events by
    time, and took the end for an event before the start.
    """
    flow = client.read_flow_run(task.flow_run_id) if task.flow_run_id else None
    if flow is not None and flow.state_type == StateType.COMPLETED:
        return Completed(message="Its flow completed; its own end was reported with an earlier time.")
    return crashed()


def crashed() -> State[Any]:
    return Crashed(message="Its process was ended from outside. The next run goes on from what was finished.")
