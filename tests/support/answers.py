"""Answers of made-up models, the gate's judgement of them, and gates with a made-up past."""

from __future__ import annotations

import numpy as np

from ratchet.judging import gate, gate_memory
from ratchet.judging.gate_memory import Belief, Measured, PastChallenger

LABELS = ("a", "b")


def random_case(seed: int, classes: int, rows: int = 300) -> tuple[tuple[str, ...], list[str], np.ndarray]:
    """Classes, true labels and probabilities, all by chance."""
    rng = np.random.default_rng(seed)
    labels = tuple(f"c{at}" for at in range(classes))
    truth = [labels[at] for at in rng.integers(0, classes, rows)]
    return labels, truth, rng.dirichlet(np.ones(classes), rows)


def answers(truth: np.ndarray, right: np.ndarray, sure: float = 0.8) -> np.ndarray:
    """Probabilities of a model that is right on the rows where `right` is true."""
    probabilities = np.full((len(truth), 2), 1 - sure)
    probabilities[np.arange(len(truth)), np.where(right, truth, 1 - truth)] = sure
    return probabilities


def judged(
    right: np.ndarray,
    champion: np.ndarray | None,
    groups: list[str] | None = None,
    rules: gate.Rules | None = None,
) -> gate.Decision:
    """What the gate says of a model that is right on these rows, against a champion that is right on those."""
    truth = np.arange(len(right)) % 2
    holdout = gate.Holdout(LABELS, [LABELS[at] for at in truth], groups, "a")
    return gate.decide(
        gate.Candidate("challenger", answers(truth, right)),
        None if champion is None else gate.Candidate("v3", answers(truth, champion)),
        gate.Candidate("majority", np.tile([0.51, 0.49], (len(right), 1))),
        holdout,
        rules or gate.Rules(floor=0.6),
    )


def share(rows: int, right: float) -> np.ndarray:
    """Right on that share of the rows, spread at random."""
    return np.random.default_rng(1).permutation(rows) < round(right * rows)


def measured(difference: float, error: float, pull: float = 0.2, rows: int = 2500) -> Measured:
    return Measured(*(np.array([float(each)]) for each in (difference, error, pull, rows)))


def pasts(found: list[tuple[float, float, float, bool]]) -> list[PastChallenger]:
    """A history as a list says it: difference, error, pull, promoted."""
    live, made = 1, []
    for number, (difference, error, pull, promoted) in enumerate(found, 2):
        made.append(PastChallenger(number, live, measured(difference, error, pull, 2000 + 100 * number), promoted))
        live = number if promoted else live
    return made


def champion_of(history: list[PastChallenger]) -> int:
    return max([1, *(past.version for past in history if past.promoted)])


def taught(found: list[tuple[float, float, float, bool]]) -> Belief:
    made = pasts(found)
    return gate_memory.learn_history(made, champion_of(made))
