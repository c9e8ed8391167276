"""Does the loop turn again by itself? Where something asks for it and nothing holds it back, Prefect is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment

from flows.registry.snapshot import Version
from flows.runs.stage import say, step
from ratchet.monitoring import retrain_rules, retrain_state
from ratchet.project import problem
from ratchet.project.problem import Problem
from ratchet.servers import servers

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

TURN = "lifecycle/lifecycle"
"""The deployment that a turn is a run of (flows/published/deployments.py)."""


@step("Decide on the next turn")
def consider(live: Version, accuracy: float | None, drift: str, pending: str = "") -> str:
    """Start the next turn where something asks for it; what was decided, in a sentence.

    Args:
        accuracy: what the audit measures at best; None where it does not say.
        drift: what moved; empty where nothing did. pending: another version that waits for its verdict.
    """
    current = problem.load()  # the data version may be a new one by now
    rules, known = retrain_state.rules_of(current.settings.optimise), retrain_state.found(current, accuracy, drift)
    answer = retrain_rules.decide(rules, known, retrain_state.starts(current), retrain_state.now())
    said = told(current, live, answer, pending)
    say(said)
    return said


def told(current: Problem, live: Version, answer: retrain_rules.RetrainDecision, pending: str) -> str:
    if answer.why_not:
        return f"No turn begins by itself: {answer.why_not}"
    if not answer.trigger:
        return "Nothing asks for another turn."
    if pending:
        return f"No turn begins by itself: {answer.trigger}; {pending}"
    if servers.ours(current.here, "flows") is None:
        return f"A turn is due: {answer.trigger}. Next: make run (with make up it begins by itself)"
    if is_paused():
        return f"A turn is due: {answer.trigger}; its deployment is paused. Next: make run, or switch it on in Prefect"
    model = live.model if answer.labels_alone and live.model in current.settings.build.candidates else None
    begin(current, answer.trigger, model)
    return f"The next turn begins by itself: {answer.trigger}."


def is_paused() -> bool:
    """Whether somebody has paused the loop in the Prefect UI."""
    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name(TURN).paused


def begin(current: Problem, trigger: str, model: str | None) -> None:
    """A run of the loop's deployment, which the runner of `make up` takes up; model: the one that it refreshes."""
    words = {"trigger": trigger} | ({"model": model} if model else {})
    with retrain_state.beginning(current.here, current.name) as noted:
        noted(str(cast("FlowRun", run_deployment(TURN, parameters=words, timeout=0, as_subflow=False)).id))
