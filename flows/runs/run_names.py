"""What a run is called in Prefect, and how it is tagged: the list of runs then reads as what happened."""

from __future__ import annotations

import textwrap

from prefect import runtime
from prefect.client.orchestration import get_client

LONGEST = 300
"""Characters of a name; a page shows so many."""


def run_name() -> str:
    """`build linear, manual`: the stage, the model where one was chosen, and what set it off. At the start."""
    given = runtime.flow_run.parameters
    chosen = f" {given['model']}" if given.get("model") else ""
    return f"{runtime.flow_run.flow_name}{chosen}, {trigger()}"


def rename_run(problem: str, version: int, model: str, outcome: str = "") -> None:
    """Name the run that is under way after what it came to, and tag it.

    `evaluate v2 lstm: not promoted, make run`, with the tags `problem:film-reviews`, `model:lstm`, `trigger:make run`.
    """
    run = runtime.flow_run
    came_to = f": {outcome}" if outcome else ""
    tags = {*run.tags, f"problem:{problem}", f"model:{model}", f"trigger:{trigger()}"}
    with get_client(sync_client=True) as client:
        client.update_flow_run(
            run.id, name=f"{run.flow_name} v{version} {model}{came_to}, {trigger()}", tags=sorted(tags)
        )


def rename_failed_run(sentence: str) -> None:
    """Name the run that fails after why it does, and what to do: it then stands in every list and above its page."""
    named = f"{run_name()}: {sentence}"
    with get_client(sync_client=True) as client:
        client.update_flow_run(runtime.flow_run.id, name=textwrap.shorten(named, LONGEST, placeholder=" ..."))


def trigger() -> str:
    """What set this run off."""
    return str(runtime.flow_run.parameters.get("trigger", "manual"))
