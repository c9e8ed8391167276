"""Answers of made-up models, the gate's judgement of them, and gates with a made-up past."""

from __future__ import annotations

import numpy as np

from ratchet.judging import gate, gate_memory
from ratchet.judging.class_metrics import F1, METRICS
from ratchet.judging.gate_memory import Belief, Measured, PastChallenger
from ratchet.judging.metrics import Metric

MOST_FREQUENT = "always giving the most frequent class"


def random_case(seed: int, classes: int, rows: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Indices of true classes, and probabilities, all by chance."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, classes, rows), rng.dirichlet(np.ones(classes), rows)


def metric_of(name: str, positive: int = 0) -> Metric:
    """A metric by its name; F1 is that of one class."""
    return F1(positive) if name == "f1" else METRICS[name]


def rules(metric: str = "accuracy", floor: float | None = 0.6, margin: float = 0.0) -> gate.Rules:
    return gate.Rules(metric_of(metric), floor, margin)


def answers(truth: np.ndarray, right: np.ndarray, sure: float = 0.8) -> np.ndarray:
    """Probabilities of a model that is right on the rows where `right` is true."""
    probabilities = np.full((len(truth), 2), 1 - sure)
    probabilities[np.arange(len(truth)), np.where(right, truth, 1 - truth)] = sure
    return probabilities


def judged(
    right: np.ndarray,
    champion: np.ndarray | None,
    groups: list[str] | None = None,
    asked: gate.Rules | None = None,
) -> gate.Decision:
    """What the gate says of a model that is right on these rows, against a champion that is right on those."""
    truth = np.arange(len(right)) % 2
    return gate.decide(
        gate.Candidate("challenger", answers(truth, right)),
        None if champion is None else gate.Candidate("v3", answers(truth, champion)),
        gate.Candidate(MOST_FREQUENT, np.tile([0.51, 0.49], (len(right), 1))),
        gate.Holdout(truth, groups),
        asked or rules(),
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
