"""How probabilities of classes are held against the true labels."""

from __future__ import annotations

from collections.abc import Iterable

from ratchet.judging.metrics import METRICS

__all__ = ["METRICS", "labels"]


def labels(targets: Iterable[str]) -> tuple[str, ...]:
    """The classes, sorted."""
    return tuple(sorted(targets))
