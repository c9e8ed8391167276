"""Optimise: what the champion has met since -> what the next turn should learn."""

from __future__ import annotations

from dataclasses import dataclass

from flows.stage import at_hand, stage
from flows.titles import entitle
from flows.watching import watch
from ratchet.refusal import Refusal


@dataclass(frozen=True)
class Outlook:
    """What the champion met, and what to do about it, in a sentence each."""

    version: int
    verdict: str
    drifted: bool


@stage
def optimise(version: int | None = None, trigger: str = "manual") -> Outlook:
    """Does the world still look like the data that the champion was judged on?

    Holds the champion's logged predictions against its answers on the holdout, and says whether the next turn needs
    new data. Comes after *deploy*, and before the next *build*.

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
    sight = watch(problem, registry, live)
    entitle(problem.name, live.number, live.model, sight.verdict.partition(":")[0].lower())
    return Outlook(live.number, sight.verdict, sight.drifted)
