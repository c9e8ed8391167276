"""Feedback on its way from the prediction log into the next data version.

The labels of the log and the pinned data enter; a FeedbackBatch leaves.

- data/feedback.csv holds the feedback that a model may learn from, one row a text, in the order of the predictions.
- state/quarantine/feedback/<problem>.csv holds the other rows, each with its reason and under the owner's column names,
  so that they can still be taken in: make data ADD=state/quarantine/feedback/<problem>.csv
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from models.text.normalise import compared_form
from ratchet.data.prepare.label_sources import AUDIT, ORIGINAL
from ratchet.data.prepare.rows import RawRows
from ratchet.data.versions import known_inputs, quarantine
from ratchet.data.versions.feedback_table import by_source, read_feedback
from ratchet.data.versions.quarantine import FILE, LINE, REASON
from ratchet.monitoring import retrain_state
from ratchet.monitoring.labels import feedback_rules, vetting
from ratchet.monitoring.labels.vetting import AUDITED, SURE, Part, Traffic
from ratchet.monitoring.log import database, predictions
from ratchet.monitoring.log.database import Place
from ratchet.monitoring.log.predictions import AT_ONCE, BATCH, HEARD, LAST, Label
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.progress import Say

ANSWERED = """
    select id, score from predictions where problem || '' = ? and id > ? and role != 'shadow' and route != ?
    order by id limit ?"""
"""Answers that can be labelled, after an id. SQLite searches by id instead of reading all answers of the problem."""
EARLIER = """
    select min(id) from (
        select id from predictions where problem || '' = ? and id < ? and role != 'shadow' and route != ?
        order by id desc limit ?) as before"""
MEASURED = f"""
    select predictions.id, feedback.label != predictions.label
    from {HEARD} and problem = ? and source = ? and {LAST} order by predictions.id"""
CORRECTED = f"""
    select predictions.id, feedback.label, source, predictions.score
    from {HEARD} and problem = ? and source != ? and feedback.label != predictions.label and predictions.id >= ?"""
BACK = 50_000
"""Answers before the first new label that establish a source's habit (vetting.py)."""

CORRECTION = {"prediction": pl.String, "label": pl.String, "source": pl.String, "sure": pl.Boolean}


@dataclass(frozen=True)
class FeedbackBatch:
    """New feedback, weighed against the data.

    Attributes:
        said: New labels, a row each.
        facts: Facts of each row of `said`, without texts, for the expectations to validate.
        kept: Content of the next data/feedback.csv.
        aside: Rows to quarantine now, with their reasons.
        table_rows: Rows of the owner's table.
    """

    said: pl.DataFrame
    facts: pl.DataFrame
    kept: pl.DataFrame
    aside: pl.DataFrame
    table_rows: int

    @cached_property
    def taken(self) -> pl.DataFrame:
        """The rows of `said` that the next data version learns from."""
        return self.said.filter(self.facts["first"] & ~self.facts["waits"])

    @property
    def waiting(self) -> int:
        return int(self.facts["waits"].sum())

    def __str__(self) -> str:
        """`13 new labels: 9 by users, 3 by the random audit to learn from; 1 set aside (...).`"""
        if not self.said.height:
            return "No new label waits."
        sources = ", ".join(f"{n:,} {WORDS.get(source, source)}" for source, n in Counter(self.taken["source"]).items())
        parts = [f"{self.said.height:,} new label{'s' * (self.said.height != 1)}: {sources or 'none'} to learn from"]
        parts += [f"{self.waiting:,} wait for the next turn"] if self.waiting else []
        if self.aside.height:
            reasons = ", ".join(f"{reason}: {n:,}" for reason, n in Counter(self.aside[REASON]).most_common())
            parts.append(f"{self.aside.height:,} set aside ({reasons})")
        return "; ".join(parts) + "."


WORDS = {"user": "by users", "audit": "of the random audit", "chosen": "that were asked for"}


def aside_path(here: Places, problem: str) -> Path:
    return here.quarantine / "feedback" / f"{problem}.csv"


def waiting_labels(problem: Problem) -> pl.DataFrame:
    """The labels of the log that are neither learned nor set aside.

    Returns:
        The last word on each prediction: prediction, text, predicted, score, label, source, chance, at.
    """
    log = database.place(problem.here)
    labels = feedback_rules.last_words(read_labels(log, problem.name))
    settled = read_feedback(problem.here.data).select("prediction", "label")
    quarantined = pl.DataFrame()
    with suppress(Refusal):  # `append_quarantine` keeps and reports an unreadable file when it adds rows
        quarantined = quarantine.read(aside_path(problem.here, problem.name))
    if {FILE, problem.settings.data.label} <= set(quarantined.columns):
        settled = pl.concat([settled, _quarantined_labels(problem, quarantined)])
    return labels.join(settled, on=["prediction", "label"], how="anti", maintain_order="left")


def _quarantined_labels(problem: Problem, quarantined: pl.DataFrame) -> pl.DataFrame:
    """The columns prediction and label of quarantined rows."""
    return quarantined.select(pl.col(FILE).alias("prediction"), pl.col(problem.settings.data.label).alias("label"))


def read_labels(log: Place, problem: str) -> pl.DataFrame:
    """Read all labels of the log, each with its prediction if that is logged."""
    schema = {
        "prediction": pl.String, "label": pl.String, "source": pl.String, "chance": pl.Float64, "at": pl.Float64,
        "text": pl.String, "predicted": pl.String, "score": pl.Float64,
    }  # fmt: skip
    rows = []
    if database.is_there(log):
        with database.connected(log) as connection:
            rows = connection.execute(
                "select feedback.prediction, feedback.label, source, chance, feedback.at, text, predictions.label, "
                "score from feedback left join predictions on predictions.id = prediction "
                "where problem = ? or problem is null",
                (problem,),
            ).fetchall()
    return pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row")


def read_traffic(problem: Problem, new: pl.DataFrame, learned: pl.DataFrame) -> Traffic:
    """Read the answers around the new labels, the audit's findings and the earlier corrections.

    Args:
        new: New labels.
        learned: Rows of data/feedback.csv that stay unchanged.
    """
    log = database.place(problem.here)
    first = new["prediction"].min()
    if first is None:
        return Traffic()
    with database.connected(log) as connection:
        (start,) = connection.execute(EARLIER, (problem.name, first, BATCH, BACK)).fetchone()
        start = start or first
        audits = connection.execute(MEASURED, (problem.name, AUDIT)).fetchall()
        corrections = connection.execute(CORRECTED, (problem.name, AUDIT, start)).fetchall()
        rows = [(prediction, label, source, score >= SURE) for prediction, label, source, score in corrections]
        earlier = earlier_corrections(problem, pl.DataFrame(rows, schema=CORRECTION, orient="row"), learned)
        corrected = {*new["prediction"], *earlier["prediction"]}
        stretches = vetting.stretches(read_answers(connection, problem, str(start)[:-1]), corrected)
    audited = pl.DataFrame([(prediction, bool(wrong)) for prediction, wrong in audits], AUDITED, orient="row")
    return Traffic(stretches, audited, earlier)


def earlier_corrections(problem: Problem, corrections: pl.DataFrame, learned: pl.DataFrame) -> pl.DataFrame:
    """The corrections of the log that the data has, and those that were set aside as unusual (`held`)."""
    quarantined = quarantine.read(aside_path(problem.here, problem.name))
    unusual = learned.clear().select("prediction", "label")
    if {FILE, problem.settings.data.label} <= set(quarantined.columns):
        unusual_rows = quarantined.filter(pl.col(REASON) == feedback_rules.REASONS["unusual"])
        unusual = _quarantined_labels(problem, unusual_rows)
    on = ["prediction", "label"]
    return pl.concat(
        [
            corrections.join(learned.select(on), on=on).with_columns(held=pl.lit(False)),
            corrections.join(unusual, on=on).with_columns(held=pl.lit(True)),
        ]
    ).drop("label")


def read_answers(connection: Any, problem: Problem, after: str) -> Iterator[Part]:
    """Read the answers with ids above `after`, in order, in batches.

    Beyond the log's retention only labelled answers are left, so nothing is known of how many were wrong: their scores
    count as 0.
    """
    forgotten = predictions.identities(1, time.time() - 86_400 * problem.settings.deploy.log.days)[0]
    while rows := connection.execute(ANSWERED, (problem.name, after, BATCH, AT_ONCE)).fetchall():
        ids = [prediction for prediction, _ in rows]
        scores = [0.0 if prediction < forgotten else score for prediction, score in rows]
        yield ids, np.array(scores, np.float64)
        after = ids[-1]


def collect(problem: Problem, labels_given: pl.DataFrame) -> FeedbackBatch:
    """Weigh labels against the pinned data, which must lie in data/.

    Args:
        labels_given: Labels as `waiting_labels` returns them.
    """
    before = read_feedback(problem.here.data)
    keys = compared_form(labels_given["text"].drop_nulls()).unique()
    parts = []
    targets = set[str]()
    table_rows = 0
    for frame in RawRows(problem):
        table_rows += int((frame["label_source"] == ORIGINAL).sum())
        targets |= set(frame["label"].drop_nulls().unique())
        keyed = frame.select(compared_form(frame["text"]).alias("key"), pl.col("label").str.strip_chars())
        parts.append(keyed.filter(pl.col("key").is_in(keys.implode())))
    unchanged = before.filter(~pl.col("prediction").is_in(labels_given["prediction"].implode()))
    taught = pl.concat(parts) if parts else pl.DataFrame(schema={"key": pl.String, "label": pl.String})
    taught = drop_revised(taught, before, unchanged)
    fresh = keep_informative(labels_given, taught, unchanged)
    task = problem.task
    traffic = read_traffic(problem, fresh, unchanged) if task.can("confidence") else None
    facts = feedback_rules.weigh(task, fresh, taught, task.judging.labels(targets), traffic)
    facts = feedback_rules.limit_per_turn(facts, table_rows, retrain_state.untaught(problem, by_source(before)))
    new = fresh.filter(facts["first"] & ~facts["waits"]).select(
        "text",
        "label",
        pl.col("source").alias("label_source"),
        pl.col("chance").cast(pl.String),
        "prediction",
    )
    next_feedback = pl.concat([unchanged, new]).sort("prediction")
    aside = rows_to_quarantine(problem, fresh, feedback_rules.reasons(task, facts))
    return FeedbackBatch(fresh, facts, next_feedback, aside, table_rows)


def keep_informative(labels: pl.DataFrame, taught: pl.DataFrame, learned: pl.DataFrame) -> pl.DataFrame:
    """Keep the labels that add information: the table and earlier feedback do not have them yet.

    An audit label also counts if earlier feedback has it. The other labels stay in the log for good. They must not
    reach the vetting, which counts corrections among the answers since the first new label.
    """
    learned_keys = learned.select(compared_form(learned["text"]).alias("key"), "label")
    in_table = is_taught(labels, taught)
    in_feedback = is_taught(labels, learned_keys)
    return labels.filter(~(in_table | (in_feedback & (labels["source"] != AUDIT))))


def is_taught(labels: pl.DataFrame, taught: pl.DataFrame) -> pl.Series:
    """Whether each row's text occurs in `taught` with the same label.

    Args:
        labels: Columns `text` and `label`.
        taught: Columns `key` (the compared form of the text) and `label`.
    """
    pairs = taught.select("key", "label").unique().with_columns(is_taught=pl.lit(True))
    keyed = labels.select(compared_form(labels["text"]).alias("key"), "label")
    return keyed.join(pairs, on=["key", "label"], how="left", maintain_order="left")["is_taught"].fill_null(False)


def drop_revised(taught: pl.DataFrame, before: pl.DataFrame, unchanged: pl.DataFrame) -> pl.DataFrame:
    """Drop the labels of earlier feedback whose prediction has a newer label.

    Args:
        taught: Columns `key` (the compared form of the text) and `label`, of the table and earlier feedback.
        before: Earlier feedback.
        unchanged: Earlier feedback whose predictions have no newer label.
    """
    revised = before.join(unchanged, on="prediction", how="anti")
    withdrawn = revised.select(compared_form(revised["text"]).alias("key"), "label")
    return taught.join(withdrawn, on=["key", "label"], how="anti")


def rows_to_quarantine(problem: Problem, rows: pl.DataFrame, reasons: pl.Series) -> pl.DataFrame:
    """The rows that have a reason, under the owner's column names; the file column holds the prediction's id."""
    data = problem.settings.data
    aside = rows.filter(reasons.is_not_null())
    return aside.select(
        pl.Series(REASON, reasons.drop_nulls(), dtype=pl.String),
        pl.col("prediction").alias(FILE),
        pl.lit("1").alias(LINE),
        *problem.task.rows.owned(aside["text"], data),
        pl.col("label").alias(data.label),
    )


def settle(problem: Problem, given: Sequence[Label], batch: FeedbackBatch | None) -> int:
    """Mark the labels of the log that need not wait any more: taken in, set aside, or without new information.

    Args:
        given: Labels that were in the log before any was weighed.
        batch: The weighed labels; None if none may be taken in.

    Returns:
        Number of labels that stay in the log and were never looked at before.
    """
    if batch is None:
        return sum(label.new for label in given)
    waiting_rows = batch.said.filter(batch.facts["waits"])
    same_text = compared_form(batch.said["text"]).is_in(compared_form(waiting_rows["text"]).implode()).fill_null(False)
    stay = set(batch.said.filter(same_text)["prediction"])  # other labels of a waiting text may still be taken instead
    predictions.mark_taken(database.place(problem.here), [label for label in given if label.prediction not in stay])
    return sum(label.new for label in given if label.prediction in stay)


def append_quarantine(problem: Problem, aside: pl.DataFrame, say: Say) -> None:
    """Append rows to the quarantined feedback; they are on the disk when this returns."""
    path = aside_path(problem.here, problem.name)
    quarantine.put(path, quarantine.join_rows(quarantine.read_or_rename(path, say), aside))


def erase_withdrawn(here: Places, problem: str, gone: pl.Series) -> None:
    """Remove texts that the owner has withdrawn from the log and the quarantine, so that no turn learns them again.

    The log keeps the answer, its digest and its labels; without a text they teach nothing. If the log keeps texts as
    `hash`, there is no text to remove.

    Args:
        gone: Withdrawn texts in their compared form, both whole and redacted: the log has the form that `deploy.log`
            demanded.

    Raises:
        Refusal: The quarantine cannot be read. Nothing is removed then.
    """
    log = database.place(here)
    path = aside_path(here, problem)
    if not gone.len():
        return
    rows = quarantine.read(path)
    if database.is_there(log):
        with database.connected(log) as connection:
            erase_texts(connection, problem, gone)
    if rows.height:
        columns = [*rows.get_columns(), *known_inputs.inputs(rows, known_inputs.readers(here, problem))]
        is_gone = pl.any_horizontal(compared_form(each).is_in(gone.implode()).fill_null(False) for each in columns)
        quarantine.put(path, rows.filter(~is_gone))


def erase_texts(connection: Any, problem: str, gone: pl.Series) -> None:
    """Set withdrawn texts of the log to null, AT_ONCE rows at a time."""
    after = ""
    while rows := connection.execute(
        "select id, text from predictions where problem || '' = ? and id > ? and text is not null order by id limit ?",
        (problem, after, AT_ONCE),
    ).fetchall():
        texts = pl.DataFrame([tuple(row) for row in rows], schema={"id": pl.String, "text": pl.String}, orient="row")
        for prediction in texts.filter(compared_form(texts["text"]).is_in(gone.implode()))["id"]:
            connection.execute("update predictions set text = null where id = ?", (prediction,))
        after = rows[-1][0]
