"""Checks for drift: compares the champion's live answers with its answers on the holdout -> DriftCheck."""

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
from models.text.redact import redact
from ratchet.data.prepare import rows
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
from ratchet.problem.problem import Problem
from ratchet.tasks import Task
from ratchet.tasks.values import Answered

PAGE = "drift.html"
MOST_AUDITED = 5_000
"""Audited answers that are read at most."""
MOST_FIRST = 5_000
"""First answers since the version is live that are read at most."""
MOST_INPUTS = 2_500
"""Inputs that are read of either side; more would show only shifts too small to matter."""


@dataclass(frozen=True)
class DriftCheck:
    """The result of one check.

    Attributes:
        version: The number of the champion.
        at: Seconds since 1970.
        drift: The comparisons and accuracies.
    """

    version: int
    at: float
    drift: Drift

    @property
    def always(self) -> Rate | None:
        """The accuracy on all audited answers in an anytime-valid interval; use this one to trigger actions.

        None where too little is known.
        """
        return self.drift.accuracy.always


def check_drift(problem: Problem, registry: Registry, live: Version) -> DriftCheck:
    """Compare, report, and store what the next check needs."""
    reference = read_reference(problem, registry, live)
    sample, audited = read_live_sample(problem, live)
    check = compare(problem, live, reference, sample, audited)
    publish(problem, registry, live, check)
    return check


@step("Read the champion's answers on the holdout")
def read_reference(problem: Problem, registry: Registry, live: Version) -> Reference:
    """Read the champion's answers on the holdout from its run, and the holdout's inputs from the pinned data."""
    columns = registry.read_json(live.run_id, "reference.json")
    holdout = rows.load_prepared(problem).holdout.frame.head(max(MOST_INPUTS, REFERENCE_ROWS))
    columns = with_labels_and_groups(columns, holdout)
    return Reference(
        Answered(
            np.array(columns["characters"], np.float64),
            np.array(columns["label"], np.str_),
            np.array(columns["score"], np.float64),
        ),
        truth=np.array(columns["truth"], np.str_) if "truth" in columns else None,
        groups=np.array(columns["group"], np.int64) if "group" in columns else None,
        inputs=as_logged(problem.task, holdout["text"].head(MOST_INPUTS).to_list()),
        input_groups=group_indices(holdout.head(MOST_INPUTS)),
    )


def with_labels_and_groups(columns: dict[str, Any], holdout: pl.DataFrame) -> dict[str, Any]:
    """Add the right labels and groups of the pinned rows to an older reference that was stored without them.

    The rows must be those that the reference was made from: as many, and each as long.
    """
    if (
        "truth" in columns
        or columns["characters"] != holdout["text"].str.len_chars().to_list()[: len(columns["label"])]
    ):
        return columns
    source = holdout.head(len(columns["label"]))
    groups = group_indices(source)
    return columns | {"truth": source["label"].to_list()} | ({} if groups is None else {"group": groups.tolist()})


def group_indices(holdout: pl.DataFrame) -> Ints | None:
    """Return the group of each row as a number; None where there are no groups."""
    return bootstrap.group_indices(holdout["group"].to_list(), holdout.height) if "group" in holdout.columns else None


@step("Read the champion's live answers")
def read_live_sample(problem: Problem, live: Version) -> tuple[LiveSample, Audited]:
    """Read the last distinct inputs that the champion answered, and the answers with an audited label."""
    log = database.place(problem.here)
    window = problem.settings.optimise.window
    last = predictions.latest(log, problem.name, live.number, window)
    first = predictions.earliest(log, problem.name, live.number, last[-1].id, MOST_FIRST) if last else []
    learnt = trained_on([*last, *first], rows.load_prepared(problem).side("train"))
    audited = predictions.audited(log, problem.name, live.number, MOST_AUDITED)
    truth = np.array([answer.said for answer in audited], np.str_)
    return as_sample(problem.task, last, first, learnt), Audited(as_columns(audited), truth)


def trained_on(answers: list[Prediction], train: Iterable[pl.DataFrame]) -> frozenset[str]:
    """Return the ids of the answers to inputs of the training rows, as far as inputs are kept.

    A model is surer of training rows, so somebody who tries it with its own table would look like a drift.
    """
    texts = pl.DataFrame(
        {"id": [answer.id for answer in answers], "text": normalise([answer.text or "" for answer in answers])},
        schema={"id": pl.String, "text": pl.String},
    )
    parts = [texts.join(frame.select("text"), on="text", how="semi")["id"] for frame in train]
    return frozenset(name for part in parts for name in part)


def as_sample(task: Task, last: list[Prediction], first: list[Prediction], learnt: frozenset[str]) -> LiveSample:
    """Return answers as columns, without those to training rows; inputs are normalised as the holdout's are."""
    new = [answer for answer in last if answer.id not in learnt]
    with_input = [answer for answer in new if answer.text is not None][:MOST_INPUTS]
    return LiveSample(
        as_columns(new),
        inputs=as_logged(task, normalise([answer.text or "" for answer in with_input])),
        teach=np.array([int((answer.digest or answer.id)[-1], 16) % 2 == 0 for answer in with_input], np.bool_),
        first=as_columns([answer for answer in first if answer.id not in learnt]),
        learnt=len(last) - len(new),
    )


def as_columns(answers: list[Prediction]) -> Answered:
    return Answered(
        np.array([answer.characters for answer in answers], np.float64),
        np.array([answer.label for answer in answers], np.str_),
        np.array([answer.score for answer in answers], np.float64),
    )


def as_logged(task: Task, inputs: list[str]) -> tuple[str, ...]:
    """Return the inputs; of texts the beginning of each, with private data redacted, as the log may have it."""
    if not task.signals.HAS_TEXTS:
        return tuple(inputs)
    return tuple(redact(text[:MOST_CHARACTERS]) for text in inputs)


@step("Compare live answers with the holdout")
def compare(problem: Problem, live: Version, reference: Reference, sample: LiveSample, audited: Audited) -> DriftCheck:
    """Compare at the alpha that has accrued since the last check, and store this check for the next one."""
    now = time.time()
    before = last_check.last(problem.here, problem.name, live.number)
    hours = (now - before.tested) / 3600 if before and before.tested else None
    called = frozenset(before.called) if before else frozenset()
    result = drift.compare(problem.task, reference, sample, audited, alpha_spending.allowed(hours), called)
    last_check.write(problem.here, last_check.summarise(problem.name, live.number, now, before, result))
    return DriftCheck(live.number, now, result)


@step("Write the drift report")
def publish(problem: Problem, registry: Registry, live: Version, check: DriftCheck) -> Report:
    """Publish the report, its verdict first: in Prefect, with the version's run in MLflow, and below the state."""
    report = drift_report.make_report(problem.task, problem.name, live.number, live.model, check.at, check.drift)
    description = f"Version {live.number} ({live.model}): {check.drift.headline}"
    create_markdown_artifact(drift_report.as_markdown(report), key="drift-report", description=description)
    page = drift_report.as_html(report)
    registry.log_text(live.run_id, page, f"watch/{PAGE}")
    problem.here.reports.mkdir(parents=True, exist_ok=True)
    (problem.here.reports / PAGE).write_text(page, encoding="utf-8")
    say(check.drift.verdict)
    return report
