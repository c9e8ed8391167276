"""What a judgement is made of: the case, a model as it was judged on it, and what came of it. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from flows.registry.registry import Registry
from flows.registry.snapshot import Version
from ratchet.data.incoming import must_file
from ratchet.data.prepare.rows import Ready
from ratchet.judging import slices
from ratchet.judging.gate import Decision
from ratchet.judging.metrics import Floats, Scores
from ratchet.judging.must_list import Answered, Must
from ratchet.judging.slices import Masks
from ratchet.project.problem import Problem


@dataclass(frozen=True)
class Case:
    """What a judgement stands on: the problem, its registry, and the prepared rows."""

    problem: Problem
    registry: Registry
    prepared: Ready

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
class Judged:
    """One model on the holdout: reloaded from the registry, or the baseline. version: None for the baseline.

    seconds: that the answers took. must: how it answered data/must.csv; None where there is none.
    """

    name: str
    version: Version | None
    probabilities: Floats
    scores: Scores
    slices: Mapping[str, Scores]
    seconds: float
    must: Answered | None = None


@dataclass(frozen=True)
class Evaluation:
    """What evaluate found: the decision on a version, and the scorecard that it stands on."""

    problem: str
    version: int
    model: str
    decision: Decision
    scorecard: list[dict[str, str]]
