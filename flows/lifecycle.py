"""The whole loop: four calls, each result named and handed on."""

from __future__ import annotations

from dataclasses import dataclass

from flows.build import build
from flows.deploy import deploy
from flows.evaluate import Evaluation, evaluate
from flows.optimise import Outlook, optimise
from flows.stage import Model, stage


@dataclass(frozen=True)
class Turn:
    """One turn of the loop. challenger, champion: version numbers."""

    challenger: int
    evaluation: Evaluation
    champion: int
    outlook: Outlook


@stage
def lifecycle(model: Model | None = None, trigger: str = "manual") -> Turn:
    """One turn of the loop: build, evaluate, deploy, optimise.

    Trains on the pinned data, lets the best candidate meet the champion on rows that neither has seen, puts the
    winner live, and looks at what the champion has met since.

    Args:
        model: Train this model alone; empty trains all candidates of params.yaml.
        trigger: What set this run off; written on every run, version and ledger line.

    Returns:
        What came of each of the four.
    """
    challenger = build(model, trigger)
    evaluation = evaluate(challenger, trigger)
    champion = deploy(evaluation.version, trigger)
    outlook = optimise(champion, trigger)
    return Turn(challenger, evaluation, champion, outlook)
