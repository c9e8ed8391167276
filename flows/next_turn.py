"""Decides whether the next turn begins by itself, and has Prefect begin it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment

from flows.registry.snapshot import Version
from flows.runs.stage import say, step
from ratchet.monitoring import retrain_rules, retrain_state
from ratchet.problem import problem
from ratchet.problem.problem import Problem
from ratchet.servers import servers

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

TURN = "lifecycle/lifecycle"
"""The deployment whose runs are turns (flows/published/deployments.py)."""


@step("Decide on the next turn")
def consider(live: Version, accuracy: float | None, drift: str, pending: str = "") -> str:
    """Begin the next turn where a rule asks for it; returns the decision in a sentence.

    Args:
        live: The champion.
        accuracy: The upper bound of the audited accuracy; None where too little is known.
        drift: What moved; empty where nothing did.
        pending: Another version that waits for its verdict; empty where there is none.
    """
    current = problem.load()  # the data version may be a new one by now
    rules = retrain_state.rules_of(current.settings.optimise)
    signals = retrain_state.current_signals(current, accuracy, drift)
    decision = retrain_rules.decide(rules, signals, retrain_state.starts(current), retrain_state.now())
    sentence = carry_out(current, live, decision, pending)
    say(sentence)
    return sentence


def carry_out(current: Problem, live: Version, decision: retrain_rules.RetrainDecision, pending: str) -> str:
    """Begin the turn that was decided on, where nothing stands against it; returns the outcome in a sentence."""
    if decision.why_not:
        return f"No turn begins by itself: {decision.why_not}"
    if not decision.trigger:
        return "Nothing asks for another turn."
    if pending:
        return f"No turn begins by itself: {decision.trigger}; {pending}"
    if servers.running_record(current.here, "flows") is None:
        return f"A turn is due: {decision.trigger}. Next: make run (with make up it begins by itself)"
    if is_paused():
        return (
            f"A turn is due: {decision.trigger}; its deployment is paused. Next: make run, or switch it on in Prefect"
        )
    model = live.model if decision.labels_alone and live.model in current.settings.build.candidates else None
    begin(current, decision.trigger, model)
    return f"The next turn begins by itself: {decision.trigger}."


def is_paused() -> bool:
    """Whether somebody has paused the loop in the Prefect UI."""
    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name(TURN).paused


def begin(current: Problem, trigger: str, model: str | None) -> None:
    """Create a run of the loop's deployment for the runner of `make up`; `model` trains that model alone."""
    parameters = {"trigger": trigger} | ({"model": model} if model else {})
    with retrain_state.record_start(current.here, current.name) as record_run:
        run = cast("FlowRun", run_deployment(TURN, parameters=parameters, timeout=0, as_subflow=False))
        record_run(str(run.id))
