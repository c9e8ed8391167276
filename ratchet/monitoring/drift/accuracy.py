"""What a version's accuracy comes to: when it was judged, now by estimate, and now by audited labels."""

from __future__ import annotations

from dataclasses import dataclass

from ratchet.monitoring.drift import performance_estimate
from ratchet.monitoring.drift.performance_estimate import FEWEST, Honesty, Rate
from ratchet.monitoring.drift.samples import Audited, LiveSample, Reference

RECENT = 1_000
"""Audited rows, the newest, that say how it is now."""


@dataclass(frozen=True)
class Accuracy:
    """What could be known; None where it could not.

    holdout: when it was judged. estimated: without labels. measured: on audited rows. honesty: calibration on these.
    always: the accuracy over all audited rows, in an interval that holds for all looks together: the one to act on.
    held_back: by how much the estimate missed on parts of the holdout. missed: by how much on the audited rows.
    """

    holdout: Rate | None = None
    estimated: Rate | None = None
    measured: Rate | None = None
    honesty: Honesty | None = None
    held_back: tuple[float, ...] = ()
    missed: float | None = None
    always: Rate | None = None

    @property
    def usual_error(self) -> float | None:
        """By how much the estimate missed on the holdout, the direction aside, on average."""
        return sum(map(abs, self.held_back)) / len(self.held_back) if self.held_back else None


def accuracies(judged: Reference, met: LiveSample, audited: Audited) -> Accuracy:
    """All of it."""
    measured = honesty = None
    always = performance_estimate.always(audited.right) if len(audited.labels) else None
    if len(audited.labels) >= FEWEST:
        measured = performance_estimate.measured(audited.right[:RECENT])
        honesty = performance_estimate.honesty(audited.scores[:RECENT], audited.right[:RECENT])
    if judged.right is None or len(judged.right) < FEWEST:
        return Accuracy(measured=measured, honesty=honesty, always=always)
    known = performance_estimate.calibrate(judged.scores, judged.right, judged.groups)
    return Accuracy(
        holdout=performance_estimate.measured(judged.right, judged.groups),
        estimated=performance_estimate.estimated(known, met.scores) if len(met.scores) >= FEWEST else None,
        measured=measured,
        honesty=honesty,
        held_back=performance_estimate.held_back(judged.scores, judged.right, judged.groups),
        missed=float((known.chance(audited.scores) - audited.right)[:RECENT].mean()) if measured else None,
        always=always,
    )
