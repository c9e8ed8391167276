"""Closing what a killed process left open in Prefect: a run that still says Running though nobody runs it."""

from __future__ import annotations

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import State, StateType
from prefect.states import Crashed

from ratchet import servers
from ratchet.places import Places

RUNNING = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])))


def close_orphans(here: Places) -> int:
    """Mark every other running flow run of this project's own server as crashed; how many.

    Call it only from an outermost flow that holds the loop's lock: then nothing else can be running. A server that is
    shared with others is left alone.
    """
    if servers.ours(here, "prefect") is None:
        return 0
    mine = str(runtime.flow_run.id)
    with get_client(sync_client=True) as client:
        orphans = [run for run in client.read_flow_runs(flow_run_filter=RUNNING) if str(run.id) != mine]
        for run in orphans:
            state: State[None] = Crashed(
                message="Its process was ended from outside. The next run starts from the same data."
            )
            client.set_flow_run_state(run.id, state, force=True)
    return len(orphans)
