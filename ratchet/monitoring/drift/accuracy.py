"""A version's accuracy on the holdout, now by estimate, and now by audited labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratchet.monitoring.drift import performance_estimate
from ratchet.monitoring.drift.performance_estimate import FEWEST, Honesty, Rate
from ratchet.monitoring.drift.samples import Audited, LiveSample, Reference
from ratchet.monitoring.drift.two_sample import Floats, Names
from ratchet.tasks import Task

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


def accuracies(task: Task, reference: Reference, live: LiveSample, audited: Audited) -> Accuracy:
    """Compute all accuracies for which there are enough rows; none for a kind whose answers are not right or wrong.

    The estimate and the calibration need a kind that states its confidence.
    """
    if not task.can("right_or_wrong"):
        return Accuracy()
    is_sure = task.can("confidence")
    measured = honesty = None
    right = rightness(task, audited.answered.answers, audited.truth)
    scores = audited.answered.confidences[:RECENT]
    always = performance_estimate.always(right) if len(right) else None
    if len(right) >= FEWEST:
        measured = performance_estimate.measured(right[:RECENT])
        honesty = performance_estimate.honesty(scores, right[:RECENT]) if is_sure else None
    if reference.truth is None or len(reference.truth) < FEWEST:
        return Accuracy(measured=measured, honesty=honesty, always=always)
    before = rightness(task, reference.answered.answers, reference.truth)
    holdout = performance_estimate.measured(before, reference.groups)
    if not is_sure:
        return Accuracy(holdout=holdout, measured=measured, always=always)
    calibration = performance_estimate.calibrate(reference.answered.confidences, before, reference.groups)
    enough_live = len(live.answered) >= FEWEST
    return Accuracy(
        holdout=holdout,
        estimated=performance_estimate.estimated(calibration, live.answered.confidences) if enough_live else None,
        measured=measured,
        honesty=honesty,
        held_back=performance_estimate.held_back(reference.answered.confidences, before, reference.groups),
        missed=float((calibration.chance(scores) - right[:RECENT]).mean()) if measured else None,
        always=always,
    )


def rightness(task: Task, answers: Names, truth: Names) -> Floats:
    """1 for each right answer, else 0."""
    pairs = zip(answers.tolist(), truth.tolist(), strict=True)
    return np.array([task.judging.loss(answer, target) == 0 for answer, target in pairs], np.float64)
