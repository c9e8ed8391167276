"""What the gate remembers: each judged version carries what was measured of it as a tag, and one search reads them all.

A version's tag `gate` says the metric, how far it was ahead of the champion of its time, the error and the pull of that
(ratchet/judging/gate_memory.py), and the rows of the holdout. Versions of another split or judged by another metric,
and those that met no champion or answered just as it did, teach nothing.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from flows.evaluation import Case
from flows.registry.snapshot import PROMOTE, Version
from ratchet.judging.gate import Decision
from ratchet.judging.gate_memory import Measured, Past

GATE = "gate"
MOST = 200
"""Challengers remembered; older ones say little of today's."""
FIGURES = ("ahead", "error", "pull", "rows")
MOST_ROWS = 1e12
"""No holdout has so many, and no figure is so large."""


def earlier(case: Case, challenger: Version) -> tuple[Past, ...]:
    """The challengers before this one that the gate may learn from, oldest first."""
    metric, lineage = case.problem.settings.evaluate.metric, case.problem.lineage
    others = [
        version
        for version in case.registry.holdings().versions
        if version.tags.get("lineage") == lineage and version.number != challenger.number
    ]
    known = [past for version in others if (past := remembered(version, metric)) is not None]
    return tuple(sorted(known, key=lambda past: past.version)[-MOST:])


def remembered(version: Version, metric: str) -> Past | None:
    """What a version's tags tell; None where it met no champion in that metric, or where they are nonsense."""
    try:
        told, against = json.loads(version.tags.get(GATE, "")), int(version.tags["decided_against"])
        figures = [told[name] for name in FIGURES]
        if told["metric"] != metric or not 1 <= against != version.number or not can_be(metric, figures):
            return None
    except (KeyError, TypeError, ValueError):  # never written, or by hand
        return None
    measured = Measured(*(np.array([float(figure)]) for figure in figures))
    return Past(version.number, against, measured, version.tags.get("decision") == PROMOTE)


def can_be(metric: str, figures: list[Any]) -> bool:
    """Whether numbers, in the order of FIGURES, can have been measured."""
    if not all(type(figure) in (int, float) and abs(figure) < MOST_ROWS for figure in figures):
        return False
    ahead, error, pull, rows = figures
    widest = math.inf if metric == "log_loss" else 1
    return abs(ahead) <= widest and 0 <= error <= widest and 0 <= pull <= 1 <= rows and rows == int(rows)


def judged(case: Case, version: Version) -> tuple[Past, ...]:
    """The same with this one, which was just decided on, as its last."""
    own = remembered(version, case.problem.settings.evaluate.metric)
    return (*earlier(case, version), *([own] if own else []))


def told(decision: Decision, metric: str, rows: int) -> str:
    """The tag of a version that was decided on; `none` where there is nothing to learn from it."""
    if decision.error is None or decision.difference is None or decision.pull is None:
        return "none"
    figures = {"ahead": decision.difference, "error": decision.error, "pull": decision.pull, "rows": rows}
    return json.dumps({"metric": metric, **figures})
