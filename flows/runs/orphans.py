"""Closing what a killed process left open in Prefect: a run that still says Running though nobody runs it."""

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

AT_WORK = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
OPEN = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=AT_WORK)))
OPEN_TASK = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=AT_WORK)))


def close_orphans(here: Places) -> int:
    """Mark every other flow run of this project's own server that is at work as crashed, with its tasks; how many.

    Call it only while holding the loop's lock, and from no flow but the outermost: then nothing else can be running. A
    run that waits for a form's runner to start it is left to that. A server that is shared with others is left alone;
    where our own server's database may be, the runs alone are closed that this state began.
    """
    if servers.ours(here, "prefect") is None:
        return 0
    mine, served = str(runtime.flow_run.id), servers.ours(here, "flows") is not None
    begun, shared = {path.name for path in open_runs(here).glob("*")}, bool(prefect_database()[1])
    with get_client(sync_client=True) as client:
        found = [run for run in client.read_flow_runs(flow_run_filter=OPEN) if not shared or str(run.id) in begun]
        orphans = [run for run in found if str(run.id) != mine and not (served and is_about_to_start(run))]
        for run in orphans:
            client.set_flow_run_state(run.id, crashed(), force=True)
        for task in client.read_task_runs(task_run_filter=OPEN_TASK):
            if not shared or str(task.flow_run_id) in begun:
                client.set_task_run_state(task.id, end_of(client, task), force=True)
    for name in begun - {mine}:
        (open_runs(here) / name).unlink(missing_ok=True)
    return len(orphans)


@contextmanager
def noted(here: Places) -> Iterator[None]:
    """This state's own note of the flow run that runs while the block does; a kill leaves it."""
    note = open_runs(here) / str(runtime.flow_run.id)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.touch()
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def open_runs(here: Places) -> Path:
    return here.state / "open-runs"


def is_about_to_start(run: FlowRun) -> bool:
    return run.deployment_id is not None and run.state_type == StateType.PENDING


def end_of(client: SyncPrefectClient, task: TaskRun) -> State[Any]:
    """How a task that stands open has ended: as its flow did.

    In a flow that went well it stands open where the clock was set back meanwhile: the server orders what it hears of
    a task by time, and took its end for something that came before its start.
    """
    flow = client.read_flow_run(task.flow_run_id) if task.flow_run_id else None
    if flow is not None and flow.state_type == StateType.COMPLETED:
        return Completed(message="Its flow ended well; the word of its own end came with an earlier time.")
    return crashed()


def crashed() -> State[Any]:
    return Crashed(message="Its process was ended from outside. The next run goes on from what was finished.")
