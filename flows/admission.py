"""What stands between the gate and going live: a trial on live traffic, and a person's approval.

Approval is a run of *deploy* that stands paused in the Prefect UI until somebody resumes it. Nothing runs meanwhile and
no lock is held, so the wait survives a restart. `make approve` does the same from a terminal.
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
from flows.registry.snapshot import CHALLENGER, Approval, Standing, Version
from flows.runs.stage import say, step
from ratchet.judging.canary_test import Verdict
from ratchet.monitoring import canary_outcomes
from ratchet.project.problem import Problem
from ratchet.state import ledger
from ratchet.state.ledger import Refused

TRIAL = "trial"
"""The tag of a version that says since when it is tried, and what came of it."""
BY = "its trial on live traffic"
"""Who sent it back, in the ledger's words."""


def is_tried(problem: Problem, version: Version, live: Version | None) -> bool:
    """Whether a version that passed the gate has to pass a trial as well; the first of all has nobody to be held to."""
    return problem.settings.deploy.canary.tries and live is not None and version.number != live.number


def pending(problem: Problem, registry: Registry) -> str:
    """Who waits for the audit's verdict or for a person, in words; empty where nobody does.

    The next version would take the challenger's alias, so no turn begins by itself meanwhile.
    """
    live, tried = registry.champion(), registry.by_alias(CHALLENGER)
    if live is None or tried is None or tried.standing is not Standing.PROMOTE:
        return ""
    if tried.tags.get("decided_against") != str(live.number):
        return ""
    if is_asked(problem, live) and is_waiting(tried):
        return f"version {tried.number} waits for a person: make approve"
    return f"version {tried.number} is on trial" if TRIAL in tried.tags and is_tried(problem, tried, live) else ""


@step("Begin the trial on live traffic")
def begin(problem: Problem, registry: Registry, version: Version) -> None:
    """The version stays challenger, and the service asks it beside the champion."""
    canary = problem.settings.deploy.canary
    how = "in the shadow of the champion" if canary.shadow else f"on {canary.share:.0%} of the texts"
    registry.set_challenger(version)
    registry.set_tag(version, TRIAL, f"since {ledger.moment()}: {how}")
    say(f"Version {version.number} passed the gate and is tried {how}; `make optimise` judges by the audited ones.")


@step("Judge the trial on live traffic")
def judge(problem: Problem, registry: Registry) -> Version | None:
    """The version that has passed its trial and is to go live; None where none has, or none is tried."""
    live, tried = registry.champion(), registry.by_alias(CHALLENGER)
    if live is None or tried is None or TRIAL not in tried.tags:
        return None
    if tried.standing is Standing.SENT_BACK:  # a kill came between the verdict and what follows
        send_back(problem, registry, tried, f"{tried.tags[TRIAL]}, so version {live.number} stays.")
        return None
    if tried.standing is not Standing.PROMOTE:
        return None
    if tried.tags.get("decided_against") != str(live.number):
        say(
            f"The trial of version {tried.number} was against version {tried.tags.get('decided_against')}, and is over."
        )
        registry.delete_alias(CHALLENGER)
        return None
    if is_asked(problem, live) and is_waiting(tried):
        say(f"Version {tried.number} has passed its trial, and waits for a person.")
        return None
    if not problem.settings.deploy.canary.tries:
        say(f"Version {tried.number} is tried no more, as params.yaml asks for no trial; what the gate decided holds.")
        return tried
    found = canary_outcomes.of_trial(problem, live.number, tried.number)
    return conclude(problem, registry, tried, live, found)


def conclude(problem: Problem, registry: Registry, tried: Version, live: Version, found: Verdict) -> Version | None:
    """What the verdict comes to: worse goes back; better goes live, and so does what nothing speaks against in time."""
    enough = found.labelled >= problem.settings.deploy.canary.rows
    registry.set_tag(tried, TRIAL, str(found))
    if found.word == "worse":
        why = f"{found}, so version {live.number} stays."
        registry.decide(tried, Standing.SENT_BACK, {"decision_reason": why}, tried.description)
        send_back(problem, registry, tried, why)
        return None
    if found.word == "better" or enough:
        holds = "" if found.word == "better" else ", and nothing spoke against it, so what the gate decided holds"
        say(f"Version {tried.number} has passed its trial: {found}{holds}.")
        return tried
    say(f"Version {tried.number} is still on trial: {found}.")
    return None


def send_back(problem: Problem, registry: Registry, tried: Version, why: str) -> None:
    """The version is no challenger any more. The alias goes last: while it is there, whoever was killed comes again."""
    told = ledger.story(problem.here.ledger, problem.name)
    if not any(isinstance(line, Refused) and (line.version, line.by) == (tried.number, BY) for line in told):
        ledger.append(problem.here.ledger, Refused(problem.name, tried.number, why, BY))
    registry.delete_alias(CHALLENGER)
    say(f"Version {tried.number} goes back: {why}")


DEPLOY = "deploy/deploy"
WAITING = "waits for approval"
"""The tag of a run that waits, and of a version that does."""


def is_asked(problem: Problem, live: Version | None) -> bool:
    """Whether a person is to let promotions through; the first model replaces nothing, and goes live by itself."""
    return problem.settings.deploy.approval == "manual" and live is not None


def is_waiting(version: Version | None) -> bool:
    return version is not None and version.awaits_approval


@step("Wait for approval")
def ask_for_approval(problem: Problem, registry: Registry, version: Version) -> None:
    """The version is packed and waits; where the UI has the forms, a paused run there lets it through."""
    registry.set_tag(version, "approval", Approval.WAITS)
    with get_client(sync_client=True) as client:
        withdraw_approvals(client, problem.name)
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
        tags=["ratchet", Approval.WAITS.value, name],
    )
    client.set_flow_run_state(run.id, Suspended(message=f"Resume puts version {version.number} live."), force=True)


def withdraw_approvals(client: SyncPrefectClient, name: str) -> None:
    """Whatever waited before has been overtaken, or let through from elsewhere."""
    waiting = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED])),
        tags=FlowRunFilterTags(all_=[Approval.WAITS.value, name]),
    )
    for run in client.read_flow_runs(flow_run_filter=waiting):
        client.set_flow_run_state(run.id, Cancelled(message="Overtaken, or approved elsewhere."), force=True)


def settle_approval(problem: Problem, registry: Registry, version: Version) -> None:
    """It has been let through: nothing waits any more."""
    if version.tags.get("approval") == Approval.WAITS:
        registry.set_tag(version, "approval", Approval.GIVEN)
    if problem.settings.deploy.approval == "manual":
        with get_client(sync_client=True) as client:
            withdraw_approvals(client, problem.name)
