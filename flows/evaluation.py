"""An evaluation: the problem with its prepared rows, a model's result on the holdout, and the decision.

The gate learns from earlier evaluations. A version's tag `gate` has the metric, the lead over the champion of its time
with its error and pull (ratchet/judging/gate_memory.py), and the rows of the holdout. Versions of another split, judged
by another metric, without a champion to meet, or with the champion's very answers teach nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from flows.registry.registry import Registry
from flows.registry.snapshot import Standing, Version
from ratchet.data.incoming import must_file
from ratchet.data.prepare.rows import PreparedRows
from ratchet.judging import slices
from ratchet.judging.gate import Decision
from ratchet.judging.gate_memory import Measured, PastChallenger
from ratchet.judging.metrics import Floats, Metric, Scores, Truth
from ratchet.judging.must_list import Must, MustResult
from ratchet.judging.scorecard import ScorecardRow
from ratchet.judging.slices import Masks
from ratchet.problem.data_pin import MUST
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal
from ratchet.tasks.contract import JudgingFace


@dataclass(frozen=True)
class EvaluationContext:
    """What an evaluation needs.

    Attributes:
        problem: The problem.
        registry: The problem's registry.
        prepared: The prepared rows.
    """

    problem: Problem
    registry: Registry
    prepared: PreparedRows

    @property
    def holdout(self) -> pl.DataFrame:
        return self.prepared.holdout.frame

    @cached_property
    def labels(self) -> tuple[str, ...]:
        return self.prepared.labels

    @property
    def judging(self) -> JudgingFace:
        """How the kind of problem holds outputs against the truth."""
        return self.problem.task.judging

    @cached_property
    def truth(self) -> Truth:
        return self.judging.truth(self.holdout["label"].to_list(), self.labels)

    @cached_property
    def metric(self) -> Metric:
        """The metric that decides, as it is for the problem's labels."""
        settings = self.problem.settings
        return self.judging.metric(settings.evaluate.metric, self.labels, settings.data)

    @property
    def groups(self) -> list[str | None] | None:
        return self.holdout["group"].to_list() if "group" in self.holdout.columns else None

    @cached_property
    def slices(self) -> Masks:
        """The parts of the holdout that are scored separately, as masks."""
        of_inputs = self.judging.slices(self.holdout["text"])
        return slices.slices(of_inputs, self.holdout, self.problem.settings.data.slices)

    @cached_property
    def musts(self) -> tuple[Must, ...]:
        """The answers that data/must.csv demands of every model.

        Raises:
            Refusal: A line is faulty, or the kind of problem takes no such list.
        """
        task = self.problem.task
        if task.can("must"):
            return must_file.read_checked_list(self.problem.here.data, self.labels)
        if (self.problem.here.data / MUST).exists():
            raise Refusal(
                f"A problem of task {task.name} takes no {must_file.NAMED}.", "that file", "Remove it: make data"
            )
        return ()

    def score(self, truth: Truth, outputs: Floats) -> Scores:
        """All figures of outputs on some of the rows."""
        return self.judging.score(truth, outputs, self.labels, self.problem.settings.data)


@dataclass(frozen=True)
class HoldoutResult:
    """The result of one model on the holdout.

    Attributes:
        name: The model's name in the gate's sentences.
        version: The version; None for the baseline.
        outputs: Shape (rows, k).
        scores: All metrics.
        slices: The scores of each slice.
        seconds: The time that the answers took.
        must: The answers to data/must.csv; None where there is none.
    """

    name: str
    version: Version | None
    outputs: Floats
    scores: Scores
    slices: Mapping[str, Scores]
    seconds: float
    must: MustResult | None = None


@dataclass(frozen=True)
class Evaluation:
    """The decision on a version, with its scorecard."""

    problem: str
    version: int
    model: str
    decision: Decision
    scorecard: list[ScorecardRow]


GATE = "gate"
"""The tag of a version with what the gate measured of it."""
MOST = 200
"""Challengers that the gate learns from at most; older ones say little of today's."""
FIGURES = ("ahead", "error", "pull", "rows")
MOST_ROWS = 1e12
"""No holdout has so many rows."""


def earlier(context: EvaluationContext, challenger: Version) -> tuple[PastChallenger, ...]:
    """Return the other challengers of this split that the gate may learn from, oldest first."""
    metric = context.metric
    lineage = context.problem.lineage
    others = [
        version
        for version in context.registry.snapshot().versions
        if version.tags.get("lineage") == lineage and version.number != challenger.number
    ]
    pasts = [past for version in others if (past := remembered(version, metric)) is not None]
    return tuple(sorted(pasts, key=lambda past: past.version)[-MOST:])


def remembered(version: Version, metric: Metric) -> PastChallenger | None:
    """Read a version's tags; None where it met no champion in that metric, or a tag cannot be read."""
    try:
        record = json.loads(version.tags.get(GATE, ""))
        against = int(version.tags["decided_against"])
        figures = [record[name] for name in FIGURES]
        if record["metric"] != metric.name or not 1 <= against != version.number or not are_plausible(metric, figures):
            return None
    except (KeyError, TypeError, ValueError):  # never written, or written by hand
        return None
    measured = Measured(*(np.array([float(figure)]) for figure in figures))
    return PastChallenger(version.number, against, measured, version.standing is Standing.PROMOTE)


def are_plausible(metric: Metric, figures: list[float]) -> bool:
    """Whether the figures, in the order of FIGURES, can have been measured."""
    if not all(type(figure) in (int, float) and math.isfinite(figure) for figure in figures):
        return False
    ahead, error, pull, rows = figures
    widest = metric.largest
    return abs(ahead) <= widest and 0 <= error <= widest and 0 <= pull <= 1 <= rows < MOST_ROWS and rows == int(rows)


def with_latest(context: EvaluationContext, version: Version) -> tuple[PastChallenger, ...]:
    """Return the earlier challengers, and as the last one this version, which was just decided on."""
    latest = remembered(version, context.metric)
    return (*earlier(context, version), *([latest] if latest else []))


def standing(decision: Decision) -> Standing:
    """Return the standing that a decision gives to the judged version."""
    return Standing.PROMOTE if decision.promote else Standing(decision.verdict.lower())


def gate_tag(decision: Decision, metric: Metric, rows: int) -> str:
    """Return the tag `gate` of a judged version; `none` where there is nothing to learn from it."""
    if decision.error is None or decision.difference is None or decision.pull is None:
        return "none"
    figures = {"ahead": decision.difference, "error": decision.error, "pull": decision.pull, "rows": rows}
    return json.dumps({"metric": metric.name, **figures})
