"""How probabilities of classes are held against the true labels."""

from __future__ import annotations

from ratchet.judging.metrics import METRICS

__all__ = ["METRICS"]
