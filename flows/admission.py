"""The steps between the gate and going live: a canary on live traffic, and a person's approval.

Approval is a run of *deploy* that stays paused in the Prefect UI until somebody resumes it. Nothing runs meanwhile and
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
from ratchet.problem.problem import Problem
from ratchet.state import ledger
from ratchet.state.ledger import Refused

TRIAL = "trial"
"""The tag of a version with the start of its canary, and then its verdict."""
BY = "its trial on live traffic"
"""The author of a canary's refusal, in the ledger."""


def needs_canary(problem: Problem, version: Version, live: Version | None) -> bool:
    """Whether a version that passed the gate needs a canary as well; the first version has nothing to compare with."""
    return problem.settings.deploy.canary.tries and live is not None and version.number != live.number


def describe_pending(problem: Problem, registry: Registry) -> str:
    """Return which version waits for its canary's verdict or for a person; empty where none waits.

    The next version would take the challenger's alias, so no turn begins by itself meanwhile.
    """
    live = registry.champion()
    challenger = registry.by_alias(CHALLENGER)
    if live is None or challenger is None or challenger.standing is not Standing.PROMOTE:
        return ""
    if challenger.tags.get("decided_against") != str(live.number):
        return ""
    if needs_approval(problem, live) and challenger.awaits_approval:
        return f"version {challenger.number} waits for a person: make approve"
    return (
        f"version {challenger.number} is on trial"
        if TRIAL in challenger.tags and needs_canary(problem, challenger, live)
        else ""
    )


@step("Begin the trial on live traffic")
def begin_canary(problem: Problem, registry: Registry, version: Version) -> None:
    """Keep the version as challenger, which the service runs beside the champion."""
    canary = problem.settings.deploy.canary
    how = "in the shadow of the champion" if canary.shadow else f"on {canary.share:.0%} of the {problem.task.units}"
    registry.set_challenger(version)
    registry.set_tags(version, {TRIAL: f"since {ledger.moment()}: {how}"})
    say(f"Version {version.number} passed the gate and is tried {how}; `make optimise` judges by the audited ones.")


@step("Judge the trial on live traffic")
def judge_canary(problem: Problem, registry: Registry) -> Version | None:
    """Return the version that has passed its canary and is to go live; None where there is none."""
    live = registry.champion()
    challenger = registry.by_alias(CHALLENGER)
    if live is None or challenger is None or TRIAL not in challenger.tags:
        return None
    if challenger.standing is Standing.SENT_BACK:  # a kill came between the verdict and the removal of the alias
        send_back(problem, registry, challenger, f"{challenger.tags[TRIAL]}, so version {live.number} stays.")
        return None
    if challenger.standing is not Standing.PROMOTE:
        return None
    against = challenger.tags.get("decided_against")
    if against != str(live.number):
        say(f"The trial of version {challenger.number} was against version {against}, and is over.")
        registry.delete_alias(CHALLENGER)
        return None
    if needs_approval(problem, live) and challenger.awaits_approval:
        say(f"Version {challenger.number} has passed its trial, and waits for a person.")
        return None
    if not problem.settings.deploy.canary.tries:
        number = challenger.number
        say(f"Version {number} is tried no more, as params.yaml asks for no trial; what the gate decided holds.")
        return challenger
    verdict = canary_outcomes.judge_trial(problem, live.number, challenger.number)
    return conclude(problem, registry, challenger, live, verdict)


def conclude(
    problem: Problem, registry: Registry, challenger: Version, live: Version, verdict: Verdict
) -> Version | None:
    """Act on a canary's verdict; returns the version that is to go live, if any.

    A worse version is sent back. A better one goes live, and so does one without a verdict after enough audited rows.
    """
    enough = verdict.labelled >= problem.settings.deploy.canary.rows
    registry.set_tags(challenger, {TRIAL: str(verdict)})
    if verdict.word == "worse":
        reason = f"{verdict}, so version {live.number} stays."
        registry.decide(challenger, Standing.SENT_BACK, {"decision_reason": reason}, challenger.description)
        send_back(problem, registry, challenger, reason)
        return None
    if verdict.word == "better" or enough:
        note = "" if verdict.word == "better" else ", and nothing spoke against it, so what the gate decided holds"
        say(f"Version {challenger.number} has passed its trial: {verdict}{note}.")
        return challenger
    say(f"Version {challenger.number} is still on trial: {verdict}.")
    return None


def send_back(problem: Problem, registry: Registry, challenger: Version, reason: str) -> None:
    """Record the refusal and take the challenger's alias away, the alias last: a killed step is then repeated."""
    lines = ledger.events(problem.here.ledger, problem.name)
    if not any(isinstance(line, Refused) and (line.version, line.by) == (challenger.number, BY) for line in lines):
        ledger.append(problem.here.ledger, Refused(problem.name, challenger.number, reason, BY))
    registry.delete_alias(CHALLENGER)
    say(f"Version {challenger.number} goes back: {reason}")


DEPLOY = "deploy/deploy"
"""The deployment whose paused run waits for approval."""


def needs_approval(problem: Problem, live: Version | None) -> bool:
    """Whether a person has to approve promotions; the first model replaces nothing, and goes live by itself."""
    return problem.settings.deploy.approval == "manual" and live is not None


@step("Wait for approval")
def ask_for_approval(problem: Problem, registry: Registry, version: Version) -> None:
    """Mark the version as waiting; where the UI has the forms, also create a paused run that lets it through."""
    registry.set_tags(version, {"approval": Approval.WAITS})
    with get_client(sync_client=True) as client:
        withdraw_approvals(client, problem.name)
        with suppress(ObjectNotFound):  # no process serves the forms: only `make approve` is left
            create_paused_run(client, problem.name, version)
    say(f"Version {version.number} passed, and waits for a person: make approve, or Resume in the Prefect UI.")


def create_paused_run(client: SyncPrefectClient, name: str, version: Version) -> None:
    """Create a run of *deploy* that begins once somebody resumes it."""
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
    """Cancel the paused runs of earlier versions: they were overtaken, or let through from elsewhere."""
    waiting = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED])),
        tags=FlowRunFilterTags(all_=[Approval.WAITS.value, name]),
    )
    for run in client.read_flow_runs(flow_run_filter=waiting):
        client.set_flow_run_state(run.id, Cancelled(message="Overtaken, or approved elsewhere."), force=True)


def settle_approval(problem: Problem, registry: Registry, version: Version) -> None:
    """Mark an approval as given, and cancel the runs that wait for it."""
    if version.tags.get("approval") == Approval.WAITS:
        registry.set_tags(version, {"approval": Approval.GIVEN})
    if problem.settings.deploy.approval == "manual":
        with get_client(sync_client=True) as client:
            withdraw_approvals(client, problem.name)
