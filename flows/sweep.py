"""Closing what a killed process left open in Prefect: a run that still says Running though nobody runs it."""

from __future__ import annotations

from prefect import runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Crashed

from ratchet import servers
from ratchet.places import Places

AT_WORK = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
OPEN = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=AT_WORK)))
OPEN_TASK = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=AT_WORK)))
WHY = "Its process was ended from outside. The next run starts from the same data."


def close_orphans(here: Places) -> int:
    """Mark every other flow run of this project's own server that is at work as crashed, with its tasks; how many.

    Call it only while holding the loop's lock, and from no flow but the outermost: then nothing else can be running. A
    run that waits for a form's runner to start it is left to that. A server that is shared with others is left alone.
    """
    if servers.ours(here, "prefect") is None:
        return 0
    mine, served = str(runtime.flow_run.id), servers.ours(here, "flows") is not None
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=OPEN)
        orphans = [run for run in found if str(run.id) != mine and not (served and is_about_to_start(run))]
        for run in orphans:
            client.set_flow_run_state(run.id, crashed(), force=True)
        close_tasks(client, orphans)
    return len(orphans)


def is_about_to_start(run: FlowRun) -> bool:
    return run.deployment_id is not None and run.state_type == StateType.PENDING


def close_tasks(client: SyncPrefectClient, runs: list[FlowRun]) -> None:
    """The tasks of crashed runs crashed with them."""
    if runs:
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[run.id for run in runs]))
        for task in client.read_task_runs(flow_run_filter=chosen, task_run_filter=OPEN_TASK):
            client.set_task_run_state(task.id, crashed(), force=True)


def crashed() -> State[None]:
    return Crashed(message=WHY)
