"""Watching: what the champion has met since it is live, held against what it was judged on -> Sight."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from prefect.artifacts import create_markdown_artifact

from flows.decision_record import REFERENCE_ROWS
from flows.pages import drift_report
from flows.pages.drift_report import Report
from flows.registry.registry import Registry
from flows.registry.snapshot import Version
from flows.runs.stage import say, step
from models.text.normalise import normalise
from ratchet.data.prepare import rows
from ratchet.data.prepare.redact import redacted
from ratchet.judging import bootstrap
from ratchet.monitoring import last_check
from ratchet.monitoring.drift import alpha_spending, drift
from ratchet.monitoring.drift.drift import Drift
from ratchet.monitoring.drift.performance_estimate import Rate
from ratchet.monitoring.drift.samples import Audited, LiveSample, Reference
from ratchet.monitoring.drift.text_statistics import MOST_CHARACTERS
from ratchet.monitoring.drift.two_sample import Ints
from ratchet.monitoring.log import database, predictions
from ratchet.monitoring.log.predictions import Prediction
from ratchet.project.problem import Problem

PAGE = "drift.html"
AUDITED = FIRST = 5_000
"""Rows that are read at most: audited answers, and first answers since the version is live."""
MOST_TEXTS = 2_500
"""Texts of either side that are read; more would show only moves too small to matter."""


@dataclass(frozen=True)
class DriftCheck:
    """What a look found, for whoever decides what comes next. at: seconds since 1970.

    measured: the accuracy on the newest audited answers, in an interval for this look alone. surely: on all of them, in
    an interval that holds for all looks together, which is the one to start anything by. estimated: without labels.
    Each is None where too little is known.
    """

    version: int
    at: float
    found: Drift

    @property
    def verdict(self) -> str:
        return self.found.verdict

    @property
    def drifted(self) -> bool:
        return self.found.drifted

    @property
    def accuracy(self) -> float | None:
        """The accuracy as it was measured on audited answers."""
        return self.measured.value if self.measured else None

    @property
    def measured(self) -> Rate | None:
        return self.found.accuracy.measured

    @property
    def surely(self) -> Rate | None:
        return self.found.accuracy.always

    @property
    def estimated(self) -> Rate | None:
        return self.found.accuracy.estimated


def watch(problem: Problem, registry: Registry, live: Version) -> DriftCheck:
    """One look: compare, report, and keep what the next look needs."""
    judged = recall(problem, registry, live)
    met, audited = gather(problem, live)
    sight = compare(problem, live, judged, met, audited)
    publish(problem, registry, live, sight)
    return sight


@step("Recall what the champion was judged on")
def recall(problem: Problem, registry: Registry, live: Version) -> Reference:
    """Its answers on the holdout, from its run; the texts of the holdout, from the pinned data."""
    known = registry.read_json(live.run_id, "reference.json")
    holdout = rows.prepared(problem).holdout.frame.head(max(MOST_TEXTS, REFERENCE_ROWS))
    known = completed(known, holdout)
    return Reference(
        characters=np.array(known["characters"], np.float64),
        labels=np.array(known["label"], np.str_),
        scores=np.array(known["score"], np.float64),
        truth=np.array(known["truth"], np.str_) if "truth" in known else None,
        groups=np.array(known["group"], np.int64) if "group" in known else None,
        texts=read(holdout["text"].head(MOST_TEXTS).to_list()),
        text_groups=numbered(holdout.head(MOST_TEXTS)),
    )


def completed(known: dict[str, Any], holdout: pl.DataFrame) -> dict[str, Any]:
    """A reference of before these were kept gets the right labels and the groups of the rows it was made from.

    Those of the pinned data, if they are the very rows: as many, and each as long.
    """
    if "truth" in known or known["characters"] != holdout["text"].str.len_chars().to_list()[: len(known["label"])]:
        return known
    made_from = holdout.head(len(known["label"]))
    groups = numbered(made_from)
    return known | {"truth": made_from["label"].to_list()} | ({} if groups is None else {"group": groups.tolist()})


def numbered(holdout: pl.DataFrame) -> Ints | None:
    """Which rows are of one group; None where each stands alone."""
    return bootstrap.group_indices(holdout["group"].to_list(), holdout.height) if "group" in holdout.columns else None


@step("Gather what it has met since")
def gather(problem: Problem, live: Version) -> tuple[LiveSample, Audited]:
    """The last distinct texts that it answered, and the answers of which an audit said what is right."""
    log, window = database.place(problem.here), problem.settings.optimise.window
    last = predictions.latest(log, problem.name, live.number, window)
    first = predictions.earliest(log, problem.name, live.number, last[-1].id, FIRST) if last else []
    learnt = trained_on([*last, *first], rows.prepared(problem).side("train"))
    told = predictions.audited(log, problem.name, live.number, AUDITED)
    return as_met(last, first, learnt), Audited(
        np.array([each.label for each in told], np.str_),
        np.array([each.score for each in told], np.float64),
        np.array([each.said for each in told], np.str_),
    )


def trained_on(asked: list[Prediction], train: Iterable[pl.DataFrame]) -> frozenset[str]:
    """The ids of those that ask for a text of the training rows, as far as texts are kept.

    A model is surer of what it has learnt, so somebody who tries it with its own table would look like a drift.
    """
    spelled = pl.DataFrame(
        {"id": [each.id for each in asked], "text": normalise([each.text or "" for each in asked])},
        schema={"id": pl.String, "text": pl.String},
    )
    found = [spelled.join(frame.select("text"), on="text", how="semi")["id"] for frame in train]
    return frozenset(name for part in found for name in part)


def as_met(last: list[Prediction], first: list[Prediction], learnt: frozenset[str]) -> LiveSample:
    """As columns. Texts are read as the holdout's are, in normal form."""
    every, last = len(last), [each for each in last if each.id not in learnt]
    kept = [each for each in last if each.text is not None][:MOST_TEXTS]
    return LiveSample(
        characters=np.array([each.characters for each in last], np.float64),
        labels=np.array([each.label for each in last], np.str_),
        scores=np.array([each.score for each in last], np.float64),
        texts=read(normalise([each.text or "" for each in kept])),
        teach=np.array([int((each.digest or each.id)[-1], 16) % 2 == 0 for each in kept], np.bool_),
        first=np.array([each.label for each in first if each.id not in learnt], np.str_),
        learnt=every - len(last),
    )


def read(texts: list[str]) -> tuple[str, ...]:
    """Of each text what is looked at: its beginning, without what looks private, as the log may have it."""
    return tuple(redacted(text[:MOST_CHARACTERS]) for text in texts)


@step("Compare the two")
def compare(problem: Problem, live: Version, judged: Reference, met: LiveSample, audited: Audited) -> DriftCheck:
    """The look itself, as sure as this look must be; and what is kept of it for the next."""
    now, before = time.time(), last_check.last(problem.here, problem.name, live.number)
    hours = (now - before.tested) / 3600 if before and before.tested else None
    called = frozenset(before.called) if before else frozenset()
    found = drift.compare(judged, met, audited, alpha_spending.allowed(hours), called)
    last_check.keep(problem.here, last_check.of(problem.name, live.number, now, before, found))
    return DriftCheck(live.number, now, found)


@step("Write the drift report")
def publish(problem: Problem, registry: Registry, live: Version, sight: DriftCheck) -> Report:
    """The report, its verdict first: in Prefect, with the version's run in MLflow, and as a page of the state."""
    told = drift_report.report(problem.name, live.number, live.model, sight.at, sight.found)
    short = f"Version {live.number} ({live.model}): {sight.found.headline}"
    create_markdown_artifact(drift_report.as_markdown(told), key="drift-report", description=short)
    page = drift_report.as_html(told)
    registry.log_text(live.run_id, page, f"watch/{PAGE}")
    problem.here.reports.mkdir(parents=True, exist_ok=True)
    (problem.here.reports / PAGE).write_text(page, encoding="utf-8")
    say(sight.verdict)
    return told
