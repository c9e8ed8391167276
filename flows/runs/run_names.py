"""Names and tags of flow runs in Prefect, so that the list of runs reads as what happened."""

from __future__ import annotations

import textwrap

from prefect import runtime
from prefect.client.orchestration import get_client

LONGEST = 300
"""Characters of a name at most, which is what a page shows."""


def run_name() -> str:
    """Return a run's name at its start: stage, model where one was chosen, trigger; `build linear, manual`."""
    parameters = runtime.flow_run.parameters
    model = f" {parameters['model']}" if parameters.get("model") else ""
    return f"{runtime.flow_run.flow_name}{model}, {trigger()}"


def rename_run(problem: str, version: int, model: str, outcome: str = "") -> None:
    """Put the version, the model and the outcome into the current run's name, and tag the run.

    `evaluate v2 lstm: not promoted, make run`, with the tags `problem:film-reviews`, `model:lstm`, `trigger:make run`.
    """
    run = runtime.flow_run
    suffix = f": {outcome}" if outcome else ""
    tags = {*run.tags, f"problem:{problem}", f"model:{model}", f"trigger:{trigger()}"}
    with get_client(sync_client=True) as client:
        name = f"{run.flow_name} v{version} {model}{suffix}, {trigger()}"
        client.update_flow_run(run.id, name=name, tags=sorted(tags))


def rename_failed_run(sentence: str) -> None:
    """Put the reason of the failure and what to do into the run's name, which every list and the run's page show."""
    name = f"{run_name()}: {sentence}"
    with get_client(sync_client=True) as client:
        client.update_flow_run(runtime.flow_run.id, name=textwrap.shorten(name, LONGEST, placeholder=" ..."))


def trigger() -> str:
    """Return what started this run."""
    return str(runtime.flow_run.parameters.get("trigger", "manual"))
