"""The whole loop: four calls, each result named and handed on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flows.build import build
from flows.deploy import deploy
from flows.evaluate import Evaluation, evaluate
from flows.optimise import Outlook, optimise
from flows.stage import Model, stage
from ratchet import turn
from ratchet.places import places


@dataclass(frozen=True)
class Turn:
    """One turn of the loop. challenger, champion: version numbers."""

    challenger: int
    evaluation: Evaluation
    champion: int
    outlook: Outlook

    @property
    def summary(self) -> dict[str, Any]:
        """What a person is shown of it."""
        evaluation = self.evaluation
        return {
            "problem": evaluation.problem,
            "champion": self.champion,
            "scorecard": evaluation.scorecard,
            "verdict": evaluation.decision.verdict,
            "reason": evaluation.decision.reason,
            "decision": "promote" if evaluation.decision.promote else "keep",
            "outlook": self.outlook.verdict,
        }


@stage
def lifecycle(model: Model | None = None, trigger: str = "manual") -> Turn:
    """One turn of the loop: build, evaluate, deploy, optimise.

    Trains on the pinned data, lets the best candidate meet the champion on rows that neither has seen, puts the
    winner live, and looks at what the champion has met since. A turn that was killed is gone on with.

    Args:
        model: Train this model alone; empty trains all candidates of params.yaml.
        trigger: What set this run off; written on every run, version and ledger line.

    Returns:
        What came of each of the four.
    """
    here = places()
    with turn.under_way(here, model) as begun:
        challenger = build(model, trigger, begun.id)
        evaluation = evaluate(challenger, trigger)
        champion = deploy(evaluation.version, trigger)
        outlook = optimise(champion, trigger)
        done = Turn(challenger, evaluation, champion, outlook)
        if model is None:
            turn.remember(here, begun.cause, done.summary)
    return done
