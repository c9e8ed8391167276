"""An evaluation: the problem with its prepared rows, a model as it was judged on them, and what came of it.

The gate remembers earlier evaluations. A version's tag `gate` says the metric, how far the version was ahead of the
champion of its time, the error and the pull of that (ratchet/judging/gate_memory.py), and the rows of the holdout.
Versions of another split or judged by another metric, and those that met no champion or answered just as it did, teach
nothing.
"""

from __future__ import annotations

import json
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
from ratchet.judging.metrics import METRICS, Floats, Scores
from ratchet.judging.must_list import Must, MustResult
from ratchet.judging.scorecard import ScorecardRow
from ratchet.judging.slices import Masks
from ratchet.project.problem import Problem


@dataclass(frozen=True)
class EvaluationContext:
    """What a judgement stands on: the problem, its registry, and the prepared rows."""

    problem: Problem
    registry: Registry
    prepared: PreparedRows

    @property
    def holdout(self) -> pl.DataFrame:
        return self.prepared.holdout.frame

    @cached_property
    def labels(self) -> tuple[str, ...]:
        return self.prepared.labels

    @cached_property
    def truth(self) -> list[str]:
        return self.holdout["label"].to_list()

    @property
    def groups(self) -> list[str | None] | None:
        return self.holdout["group"].to_list() if "group" in self.holdout.columns else None

    @cached_property
    def slices(self) -> Masks:
        """The parts of the holdout that are looked at by themselves."""
        return slices.slices(self.holdout, self.problem.settings.data.slices)

    @cached_property
    def musts(self) -> tuple[Must, ...]:
        """What every model must answer, as data/must.csv says."""
        return must_file.sound(self.problem.here.data, self.labels)

    @property
    def positive(self) -> int | None:
        """The place of the class that precision, recall and F1 are of; None where they are means over classes."""
        named = self.problem.settings.data.positive
        return self.labels.index(named) if named in self.labels and len(self.labels) == 2 else None


@dataclass(frozen=True)
class HoldoutResult:
    """One model on the holdout: reloaded from the registry, or the baseline. version: None for the baseline.

    seconds: that the answers took. must: how it answered data/must.csv; None where there is none.
    """

    name: str
    version: Version | None
    probabilities: Floats
    scores: Scores
    slices: Mapping[str, Scores]
    seconds: float
    must: MustResult | None = None


@dataclass(frozen=True)
class Evaluation:
    """What evaluate found: the decision on a version, and the scorecard that it stands on."""

    problem: str
    version: int
    model: str
    decision: Decision
    scorecard: list[ScorecardRow]


GATE = "gate"
MOST = 200
"""Challengers remembered; older ones say little of today's."""
FIGURES = ("ahead", "error", "pull", "rows")
MOST_ROWS = 1e12
"""No holdout has so many, and no figure is so large."""


def earlier(case: EvaluationContext, challenger: Version) -> tuple[PastChallenger, ...]:
    """The challengers before this one that the gate may learn from, oldest first."""
    metric, lineage = case.problem.settings.evaluate.metric, case.problem.lineage
    others = [
        version
        for version in case.registry.snapshot().versions
        if version.tags.get("lineage") == lineage and version.number != challenger.number
    ]
    known = [past for version in others if (past := remembered(version, metric)) is not None]
    return tuple(sorted(known, key=lambda past: past.version)[-MOST:])


def remembered(version: Version, metric: str) -> PastChallenger | None:
    """What a version's tags tell; None where it met no champion in that metric, or where they are nonsense."""
    try:
        told, against = json.loads(version.tags.get(GATE, "")), int(version.tags["decided_against"])
        figures = [told[name] for name in FIGURES]
        if told["metric"] != metric or not 1 <= against != version.number or not can_be(metric, figures):
            return None
    except (KeyError, TypeError, ValueError):  # never written, or by hand
        return None
    measured = Measured(*(np.array([float(figure)]) for figure in figures))
    return PastChallenger(version.number, against, measured, version.standing is Standing.PROMOTE)


def can_be(metric: str, figures: list[float]) -> bool:
    """Whether numbers, in the order of FIGURES, can have been measured."""
    if not all(type(figure) in (int, float) and abs(figure) < MOST_ROWS for figure in figures):
        return False
    ahead, error, pull, rows = figures
    widest = METRICS[metric].largest
    return abs(ahead) <= widest and 0 <= error <= widest and 0 <= pull <= 1 <= rows and rows == int(rows)


def judged(case: EvaluationContext, version: Version) -> tuple[PastChallenger, ...]:
    """The same with this one, which was just decided on, as its last."""
    own = remembered(version, case.problem.settings.evaluate.metric)
    return (*earlier(case, version), *([own] if own else []))


def standing(decision: Decision) -> Standing:
    """What a decision makes of the version that was judged."""
    return Standing.PROMOTE if decision.promote else Standing(decision.verdict.lower())


def told(decision: Decision, metric: str, rows: int) -> str:
    """The tag of a version that was decided on; `none` where there is nothing to learn from it."""
    if decision.error is None or decision.difference is None or decision.pull is None:
        return "none"
    figures = {"ahead": decision.difference, "error": decision.error, "pull": decision.pull, "rows": rows}
    return json.dumps({"metric": metric, **figures})
