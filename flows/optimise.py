"""Optimise: what the champion has met since -> what the next turn should learn."""

from __future__ import annotations

from dataclasses import dataclass

from flows import admission, feedback_intake, next_turn
from flows.deploy import deploy
from flows.drift_check import watch
from flows.runs.run_names import rename_run
from flows.runs.stage import problem_and_registry, say, stage, step
from ratchet.monitoring import label_queue
from ratchet.project.errors import Refusal
from ratchet.project.problem import Problem


@dataclass(frozen=True)
class Outlook:
    """What the champion met, and what to do about it, in a sentence each.

    learned: what became of the labels that people gave. next: which turn begins by itself, or why none does.
    """

    version: int
    verdict: str
    drifted: bool
    learned: str = ""
    next: str = ""


@stage
def optimise(version: int | None = None, trigger: str = "manual") -> Outlook:
    """What has the champion met since, and what should the next turn learn?

    Takes in what people said of its answers as a new data version, judges a challenger that is on trial, holds the
    champion's logged answers against what it was judged on, and says whether the next turn begins. Comes after
    *deploy*, and before the next *build*.

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
    learned = feedback_intake.bring_in(problem, registry, live, trigger)
    passed = admission.judge(problem, registry)
    if passed is not None:
        live = registry.version(deploy(passed.number, trigger, tried=True))
    problem, registry = problem_and_registry()  # the data version may be a new one
    ask_people(problem)
    sight = watch(problem, registry, live)
    rename_run(problem.name, live.number, live.model, sight.found.headline)
    bound = sight.surely.high if sight.surely else None
    following = next_turn.consider(live, bound, sight.found.moved, admission.pending(problem, registry))
    return Outlook(live.number, sight.verdict, sight.drifted, learned, following)


@step("Choose what people are asked")
def ask_people(problem: Problem) -> None:
    """The texts that the service's page offers to be labelled: a random audit, and those that teach most."""
    asked = label_queue.refresh(problem)
    if asked.audit or asked.chosen:
        say(f"Asked on the service's page: {len(asked.audit)} texts of the audit, {len(asked.chosen)} chosen ones.")
