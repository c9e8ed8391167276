"""How probabilities of classes are held against the true labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ratchet.judging.metrics import METRICS, indices
from ratchet.tasks.contract import Labels, Truth

__all__ = ["METRICS"]

BASELINE = "always giving the most frequent class"


def labels(targets: Iterable[str]) -> Labels:
    return tuple(sorted(set(targets)))


def truth(targets: Sequence[str], labels: Labels) -> Truth:
    return indices(labels, targets)


def loss(answer: str, target: str) -> float:
    return float(answer != target)
