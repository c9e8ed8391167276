"""A version's accuracy on the holdout, now by estimate, and now by audited labels."""

from __future__ import annotations

from dataclasses import dataclass

from ratchet.monitoring.drift import performance_estimate
from ratchet.monitoring.drift.performance_estimate import FEWEST, Honesty, Rate
from ratchet.monitoring.drift.samples import Audited, LiveSample, Reference

RECENT = 1_000
"""Newest audited rows that measure the current accuracy."""


@dataclass(frozen=True)
class Accuracy:
    """The accuracies that could be computed; None for the others.

    Attributes:
        holdout: Accuracy on the holdout.
        estimated: Estimate of the live accuracy without labels.
        measured: Accuracy on the newest audited rows.
        honesty: Calibration on these rows.
        held_back: Errors of the estimate on parts of the holdout (cross-validation).
        missed: Error of the estimate on the audited rows.
        always: Accuracy on all audited rows with an anytime-valid interval; use this one to trigger actions.
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
        """Mean absolute error of the estimate on parts of the holdout."""
        return sum(map(abs, self.held_back)) / len(self.held_back) if self.held_back else None


def accuracies(reference: Reference, live: LiveSample, audited: Audited) -> Accuracy:
    """Compute all accuracies for which there are enough rows."""
    measured = honesty = None
    always = performance_estimate.always(audited.right) if len(audited.labels) else None
    if len(audited.labels) >= FEWEST:
        measured = performance_estimate.measured(audited.right[:RECENT])
        honesty = performance_estimate.honesty(audited.scores[:RECENT], audited.right[:RECENT])
    if reference.right is None or len(reference.right) < FEWEST:
        return Accuracy(measured=measured, honesty=honesty, always=always)
    calibration = performance_estimate.calibrate(reference.scores, reference.right, reference.groups)
    enough_live = len(live.scores) >= FEWEST
    return Accuracy(
        holdout=performance_estimate.measured(reference.right, reference.groups),
        estimated=performance_estimate.estimated(calibration, live.scores) if enough_live else None,
        measured=measured,
        honesty=honesty,
        held_back=performance_estimate.held_back(reference.scores, reference.right, reference.groups),
        missed=float((calibration.chance(audited.scores) - audited.right)[:RECENT].mean()) if measured else None,
        always=always,
    )
