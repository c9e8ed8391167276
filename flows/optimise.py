"""Optimise: what the champion has met since -> what the next turn should learn."""

from __future__ import annotations

from dataclasses import dataclass

from prefect.artifacts import create_markdown_artifact

from flows import harvest, next_turn, reports, trial
from flows.deploy import deploy
from flows.holdings import Version
from flows.registry import Registry
from flows.stage import at_hand, say, stage, step
from flows.titles import entitle
from ratchet import predictions, queue
from ratchet.problem import Problem
from ratchet.refusal import Refusal
from ratchet.steps import drift
from ratchet.steps.drift import Drift


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

    Takes in what people said of its answers as a new data version, holds its logged predictions against its answers on
    the holdout, and says whether the next turn begins. Comes after *deploy*, and before the next *build*.

    Args:
        version: The live version; empty takes the one with the alias `champion`.
        trigger: What set this run off.

    Returns:
        The verdict.
    """
    problem, registry = at_hand()
    live = registry.version(version) if version else registry.champion()
    if live is None:
        raise Refusal("Optimise looks at a champion.", "none is live", "Turn the loop once: make run")
    learned = harvest.bring_in(problem, registry, live, trigger)
    passed = trial.judge(problem, registry, live)
    if passed is not None:
        live = registry.version(deploy(passed.number, trigger, tried=True))
    ask_people(problem)
    found = compare_with_holdout(problem, registry, live)
    entitle(problem.name, live.number, live.model, found.verdict.partition(":")[0].lower())
    following = next_turn.consider(live, None, found.moved)
    return report(problem, live, found, str(learned), following)


@step("Choose what people are asked")
def ask_people(problem: Problem) -> None:
    """The texts that the service's page offers to be labelled: a random audit, and those that teach most."""
    asked = queue.refresh(problem)
    say(f"To be labelled on the service's page: {len(asked.audit)} of the audit, {len(asked.chosen)} chosen ones.")


@step("Compare live predictions with the holdout")
def compare_with_holdout(problem: Problem, registry: Registry, live: Version) -> Drift:
    """The last predictions of the live version against its answers on the holdout."""
    window = problem.settings.optimise.window
    recent = predictions.recent(predictions.place(problem.here), problem.name, live.number, window)
    return drift.compare(registry.read_json(live.run_id, "reference.json"), recent)


@step("Say what comes next")
def report(problem: Problem, live: Version, found: Drift, learned: str, following: str) -> Outlook:
    """The drift report, its verdict first."""
    short = f"Version {live.number} ({live.model}): {found.verdict.partition(':')[0].lower()}"
    create_markdown_artifact(reports.drift(problem, live, found), key="drift-report", description=short)
    say(found.verdict)
    return Outlook(live.number, found.verdict, found.drifted, learned, following)
