"""A promotion that waits for a person: a run of *deploy* that stands paused in the Prefect UI, until Resume.

Nothing runs meanwhile and no lock is held, so the wait survives a restart. `make approve` does it from a terminal.
"""

from __future__ import annotations

from contextlib import suppress

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Pending, Suspended

from flows.registry.registry import Registry
from flows.registry.snapshot import PROMOTE, Version
from flows.runs.stage import say, step
from ratchet.project.problem import Problem

DEPLOY = "deploy/deploy"
WAITING = "waits for approval"
"""The tag of a run that waits, and of a version that does."""


def is_asked(problem: Problem, live: Version | None) -> bool:
    """Whether a person is to let promotions through; the first model replaces nothing, and goes live by itself."""
    return problem.settings.deploy.approval == "manual" and live is not None


def is_waiting(version: Version | None) -> bool:
    return version is not None and version.tags.get("decision") == PROMOTE and version.tags.get("approval") == WAITING


@step("Wait for approval")
def ask(problem: Problem, registry: Registry, version: Version) -> None:
    """The version is packed and waits; where the UI has the forms, a paused run there lets it through."""
    registry.mark(version, "approval", WAITING)
    with get_client(sync_client=True) as client:
        withdraw(client, problem.name)
        with suppress(ObjectNotFound):  # nobody serves the forms: then it is `make approve`
            pause_a_run(client, problem.name, version)
    say(f"Version {version.number} passed, and waits for a person: make approve, or Resume in the Prefect UI.")


def pause_a_run(client: SyncPrefectClient, name: str, version: Version) -> None:
    """A run of *deploy* that begins once somebody resumes it."""
    deployment = client.read_deployment_by_name(DEPLOY)
    run = client.create_flow_run_from_deployment(
        deployment.id,
        parameters={
            "version": version.number,
            "trigger": "approved in the Prefect UI",
            "tried": True,
            "approved": True,
        },
        state=Pending(message="About to wait."),
        name=f"{name} v{version.number} waits for approval: Resume lets it through",
        tags=["ratchet", WAITING, name],
    )
    client.set_flow_run_state(run.id, Suspended(message=f"Resume puts version {version.number} live."), force=True)


def withdraw(client: SyncPrefectClient, name: str) -> None:
    """Whatever waited before has been overtaken, or let through from elsewhere."""
    waiting = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED])),
        tags=FlowRunFilterTags(all_=[WAITING, name]),
    )
    for run in client.read_flow_runs(flow_run_filter=waiting):
        client.set_flow_run_state(run.id, Cancelled(message="Overtaken, or approved elsewhere."), force=True)


def settle(problem: Problem, registry: Registry, version: Version) -> None:
    """It has been let through: nothing waits any more."""
    if version.tags.get("approval") == WAITING:
        registry.mark(version, "approval", "given")
    if problem.settings.deploy.approval == "manual":
        with get_client(sync_client=True) as client:
            withdraw(client, problem.name)
