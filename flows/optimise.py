"""Optimise: the champion's live traffic and feedback -> new data, a drift verdict, and perhaps the next turn."""

from __future__ import annotations

from dataclasses import dataclass

from flows import admission, feedback_intake, next_turn
from flows.deploy import deploy
from flows.drift_check import check_drift
from flows.runs.run_names import rename_run
from flows.runs.stage import problem_and_registry, say, stage, step
from ratchet.monitoring import label_queue
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal


@dataclass(frozen=True)
class Outlook:
    """The result of optimise, in sentences.

    Attributes:
        version: The number of the champion.
        verdict: The drift check's verdict.
        drifted: Whether something moved.
        learned: What became of the labels that people gave.
        next: Which turn begins by itself, or why none does.
    """

    version: int
    verdict: str
    drifted: bool
    learned: str = ""
    next: str = ""


@stage
def optimise(version: int | None = None, trigger: str = "manual") -> Outlook:
    """Has live traffic drifted, and what should the next turn learn?

    Takes in people's labels as a new data version, judges a challenger that is on trial, compares the champion's logged
    answers with those on the holdout, and decides whether the next turn begins. Comes after *deploy*, and before the
    next *build*.

    Args:
        version: The live version; empty takes the one with the alias `champion`.
        trigger: What set this run off.

    Returns:
        The verdict.
    """
    problem, registry = problem_and_registry()
    live = registry.version(version) if version else registry.champion()
    if live is None:
        raise Refusal("Optimise looks at a champion.", "none is live", "Turn the loop once: make run")
    learned = feedback_intake.ingest(problem, registry, live, trigger)
    passed = admission.judge_canary(problem, registry)
    if passed is not None:
        live = registry.version(deploy(passed.number, trigger, tried=True))
    problem, registry = problem_and_registry()  # the data version may be a new one
    offer_texts(problem)
    check = check_drift(problem, registry, live)
    rename_run(problem.name, live.number, live.model, check.drift.headline)
    accuracy = check.always.high if check.always else None
    following = next_turn.consider(live, accuracy, check.drift.moved, admission.describe_pending(problem, registry))
    return Outlook(live.number, check.drift.verdict, check.drift.drifted, learned, following)


@step("Choose texts to be labelled")
def offer_texts(problem: Problem) -> None:
    """Choose the inputs that the service's page offers for labelling: a random audit, and those that teach most."""
    queue = label_queue.refresh(problem)
    if queue.audit or queue.chosen:
        inputs = problem.task.units
        say(f"Asked on the service's page: {len(queue.audit)} {inputs} of the audit, {len(queue.chosen)} chosen ones.")
