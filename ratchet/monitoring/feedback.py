"""What people said of the champion's answers, on its way from the log of predictions into the next data version.

data/feedback.csv holds what a model may learn from (ratchet/monitoring/labels/feedback_rules.py has its columns), one
row a text, in the order of the predictions. What may not is in state/quarantine/feedback/, with its reason and under
the owner's column names, so that it can be taken in after all: make data ADD=state/quarantine/feedback/<problem>.csv
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

from ratchet.data.prepare.label_sources import AUDIT, ORIGINAL
from ratchet.data.prepare.row_facts import compared
from ratchet.data.prepare.rows import RawRows
from ratchet.data.versions import quarantine
from ratchet.data.versions.feedback_table import by_source, kept
from ratchet.data.versions.quarantine import FILE, LINE, REASON
from ratchet.monitoring import retrain_state
from ratchet.monitoring.labels import feedback_rules, vetting
from ratchet.monitoring.labels.vetting import AUDITED, SURE, Part, Traffic
from ratchet.monitoring.log import database, predictions
from ratchet.monitoring.log.database import Place
from ratchet.monitoring.log.predictions import AT_ONCE, BATCH, HEARD, LAST, Label
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.problem import Problem
from ratchet.project.progress import Say

ANSWERED = """
    select id, score from predictions where problem || '' = ? and id > ? and role != 'shadow' and route != ?
    order by id limit ?"""
"""Answers that somebody can label, from an id on: by id, and not through all answers of the problem."""
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
"""Answers before the first new label that tell what was usual."""

GIVEN = {"prediction": pl.String, "label": pl.String, "source": pl.String, "sure": pl.Boolean}


@dataclass(frozen=True)
class FeedbackBatch:
    """What is to become of it. facts: of each row of `said`, without texts (for the expectations to judge).

    kept: the whole of the next data/feedback.csv. aside: the rows set aside now, with their reasons.
    """

    said: pl.DataFrame
    facts: pl.DataFrame
    kept: pl.DataFrame
    aside: pl.DataFrame
    table_rows: int

    @cached_property
    def taken(self) -> pl.DataFrame:
        """The rows that are learned from now and were not before."""
        return self.said.filter(self.facts["first"] & ~self.facts["waits"])

    @property
    def waiting(self) -> int:
        return int(self.facts["waits"].sum())

    def __str__(self) -> str:
        """`12 labels came: 9 by users, 3 of the audit; 1 set aside (...)`."""
        if not self.said.height:
            return "No new label waits."
        came = ", ".join(f"{n:,} {WORDS.get(source, source)}" for source, n in Counter(self.taken["source"]).items())
        parts = [f"{self.said.height:,} new label{'s' * (self.said.height != 1)}: {came or 'none'} to learn from"]
        parts += [f"{self.waiting:,} wait for the next turn"] if self.waiting else []
        if self.aside.height:
            why = ", ".join(f"{reason}: {n:,}" for reason, n in Counter(self.aside[REASON]).most_common())
            parts.append(f"{self.aside.height:,} set aside ({why})")
        return "; ".join(parts) + "."


WORDS = {"user": "by users", "audit": "of the random audit", "chosen": "that were asked for"}


def aside_path(here: Places, problem: str) -> Path:
    return here.quarantine / "feedback" / f"{problem}.csv"


def waiting(problem: Problem) -> pl.DataFrame:
    """What was said of logged predictions and is neither learned from nor set aside.

    Returns:
        A last word each: prediction, text, predicted, score, label, source, chance, at.
    """
    log = database.place(problem.here)
    said = feedback_rules.last_words(everything(log, problem.name))
    done = kept(problem.here.data).select("prediction", "label")
    names = problem.settings.data
    lying = pl.DataFrame()
    with suppress(Refusal):  # what cannot be read is kept, and told, as soon as rows come beside it
        lying = quarantine.read(aside_path(problem.here, problem.name))
    if {FILE, names.label} <= set(lying.columns):
        done = pl.concat([done, lying.select(pl.col(FILE).alias("prediction"), pl.col(names.label).alias("label"))])
    return said.join(done, on=["prediction", "label"], how="anti", maintain_order="left")


def everything(log: Place, problem: str) -> pl.DataFrame:
    """Every label that was given, with the prediction that it is of, where that is logged."""
    schema = {
        "prediction": pl.String, "label": pl.String, "source": pl.String, "chance": pl.Float64, "at": pl.Float64,
        "text": pl.String, "predicted": pl.String, "score": pl.Float64,
    }  # fmt: skip
    found = []
    if database.is_there(log):
        with database.connected(log) as connection:
            found = connection.execute(
                "select feedback.prediction, feedback.label, source, chance, feedback.at, text, predictions.label, "
                "score from feedback left join predictions on predictions.id = prediction "
                "where problem = ? or problem is null",
                (problem,),
            ).fetchall()
    return pl.DataFrame([tuple(row) for row in found], schema=schema, orient="row")


def traffic(problem: Problem, fresh: pl.DataFrame, learned: pl.DataFrame) -> Traffic:
    """What was answered around the new labels, what the audit found of it, and what was corrected before.

    Args:
        fresh: the new labels. learned: rows of data/feedback.csv that stay as they are.
    """
    log, name = database.place(problem.here), problem.name
    first = fresh["prediction"].min()
    if first is None:
        return Traffic()
    with database.connected(log) as connection:
        (start,) = connection.execute(EARLIER, (name, first, BATCH, BACK)).fetchone()
        start = start or first
        audits = connection.execute(MEASURED, (name, AUDIT)).fetchall()
        corrected = connection.execute(CORRECTED, (name, AUDIT, start)).fetchall()
        rows = [(each, label, source, score >= SURE) for each, label, source, score in corrected]
        earlier = taken_before(problem, pl.DataFrame(rows, schema=GIVEN, orient="row"), learned)
        names = {*fresh["prediction"], *earlier["prediction"]}
        stretches = vetting.stretches(answered(connection, problem, str(start)[:-1]), names)
    return Traffic(
        stretches, pl.DataFrame([(each, bool(wrong)) for each, wrong in audits], AUDITED, orient="row"), earlier
    )


def taken_before(problem: Problem, corrected: pl.DataFrame, learned: pl.DataFrame) -> pl.DataFrame:
    """Of all corrections in the log, those that the data has, and those that were set aside as unusual: `held`."""
    names, lying = problem.settings.data, quarantine.read(aside_path(problem.here, problem.name))
    held = learned.clear().select("prediction", "label")
    if {FILE, names.label} <= set(lying.columns):
        unusual = lying.filter(pl.col(REASON) == feedback_rules.REASONS["unusual"])
        held = unusual.select(pl.col(FILE).alias("prediction"), pl.col(names.label).alias("label"))
    parts = [(learned.select("prediction", "label"), False), (held, True)]
    found = [corrected.join(rows, on=["prediction", "label"]).with_columns(held=pl.lit(held)) for rows, held in parts]
    return pl.concat(found).drop("label")


def answered(connection: Any, problem: Problem, after: str) -> Iterator[Part]:
    """The answers with ids above that, in order, some at a time.

    Where the log has forgotten what nobody labelled, what is left may all be wrong for all that it tells.
    """
    forgotten = predictions.identities(1, time.time() - 86_400 * problem.settings.deploy.log.days)[0]
    while rows := connection.execute(ANSWERED, (problem.name, after, BATCH, AT_ONCE)).fetchall():
        ids = [name for name, _ in rows]
        yield ids, np.array([0.0 if name < forgotten else score for name, score in rows], np.float64)
        after = ids[-1]


def collect(problem: Problem, said: pl.DataFrame) -> FeedbackBatch:
    """Weigh what was said against the pinned data, which lies in data/."""
    before, keys = kept(problem.here.data), compared(said["text"].drop_nulls()).unique()
    taught, labels, rows = [], set[str](), 0
    for frame in RawRows(problem):
        rows += int((frame["label_source"] == ORIGINAL).sum())
        labels |= set(frame["label"].drop_nulls().unique())
        keyed = frame.select(compared(frame["text"]).alias("key"), pl.col("label").str.strip_chars())
        taught.append(keyed.filter(pl.col("key").is_in(keys.implode())))
    revised = before.filter(~pl.col("prediction").is_in(said["prediction"].implode()))
    table_says = pl.concat(taught) if taught else pl.DataFrame(schema={"key": pl.String, "label": pl.String})
    table_says = unrevised(table_says, before, revised)
    fresh = news(said, table_says, revised)
    weighed = feedback_rules.weigh(fresh, table_says, labels, traffic(problem, fresh, revised))
    weighed = feedback_rules.in_turn(weighed, rows, retrain_state.untaught(problem, by_source(before)))
    new = fresh.filter(weighed["first"] & ~weighed["waits"]).select(
        "text",
        "label",
        pl.col("source").alias("label_source"),
        pl.col("chance").cast(pl.String),
        "prediction",
    )
    whole = pl.concat([revised, new]).sort("prediction")
    return FeedbackBatch(fresh, weighed, whole, set_aside(problem, fresh, feedback_rules.reasons(weighed)), rows)


def news(said: pl.DataFrame, table_says: pl.DataFrame, revised: pl.DataFrame) -> pl.DataFrame:
    """What says more than the table or what was learned before; of a text that people labelled, an audit's word does.

    The rest stays in the log for good, so it must not count: corrections are held to what was answered since the first.
    """
    learned = revised.select(compared(revised["text"]).alias("key"), "label")
    known, told = is_among(said, table_says), is_among(said, learned)
    return said.filter(~(known | (told & (said["source"] != AUDIT))))


def is_among(said: pl.DataFrame, taught: pl.DataFrame) -> pl.Series:
    """Whether a row's text is there with that label. taught: columns `key` (compared form), `label`."""
    there = taught.select("key", "label").unique().with_columns(there=pl.lit(True))
    keyed = said.select(compared(said["text"]).alias("key"), "label")
    return keyed.join(there, on=["key", "label"], how="left", maintain_order="left")["there"].fill_null(False)


def unrevised(taught: pl.DataFrame, before: pl.DataFrame, revised: pl.DataFrame) -> pl.DataFrame:
    """What is known of the texts, less what the very people who said it have changed their mind about."""
    changed = before.join(revised, on="prediction", how="anti")
    withdrawn = changed.select(compared(changed["text"]).alias("key"), "label")
    return taught.join(withdrawn, on=["key", "label"], how="anti")


def set_aside(problem: Problem, rows: pl.DataFrame, reasons: pl.Series) -> pl.DataFrame:
    """The rows that are set aside, under the owner's column names; their place is the prediction's id."""
    names = problem.settings.data
    return rows.filter(reasons.is_not_null()).select(
        pl.Series(REASON, reasons.drop_nulls(), dtype=pl.String),
        pl.col("prediction").alias(FILE),
        pl.lit("1").alias(LINE),
        pl.col("text").alias(names.text),
        pl.col("label").alias(names.label),
    )


def settle(problem: Problem, given: Sequence[Label], found: FeedbackBatch | None) -> int:
    """Note in the log what need not wait there any more, as it was taken in, set aside, or says nothing new.

    Args:
        given: labels that were in the log before any was weighed.
        found: what became of them; None where none may come in.

    Returns:
        How many labels are left that had not been looked at before.
    """
    if found is None:
        return sum(each.new for each in given)
    waiting = found.said.filter(found.facts["waits"])
    same = compared(found.said["text"]).is_in(compared(waiting["text"]).implode()).fill_null(False)
    stay = set(found.said.filter(same)["prediction"])  # with others of the same text, which may yet be taken instead
    predictions.take(database.place(problem.here), [each for each in given if each.prediction not in stay])
    return sum(each.new for each in given if each.prediction in stay)


def lay_aside(problem: Problem, aside: pl.DataFrame, say: Say) -> None:
    """Put rows beside those that were set aside before, on the disk before anything relies on it."""
    path = aside_path(problem.here, problem.name)
    quarantine.put(path, quarantine.joined(quarantine.readable(path, say), aside))


def withdraw(here: Places, problem: str, gone: pl.Series) -> None:
    """What the owner has withdrawn is taken out of the log and of what was set aside, so that no turn learns it anew.

    The log keeps the answer, its digest and what was said of it; without a text it teaches nothing. Where texts are
    kept as `hash`, that is so from the beginning.

    Args:
        gone: texts in their compared form, whole and redacted: the log has them in the form that `deploy.log` said.

    Raises:
        Refusal: what was set aside cannot be read; nothing is taken out then.
    """
    log, path = database.place(here), aside_path(here, problem)
    if not gone.len():
        return
    lying = quarantine.read(path)
    if database.is_there(log):
        with database.connected(log) as connection:
            take_out(connection, problem, gone)
    if lying.height:
        said = pl.any_horizontal(compared(lying[name]).is_in(gone.implode()).fill_null(False) for name in lying.columns)
        quarantine.put(path, lying.filter(~said))


def take_out(connection: Any, problem: str, gone: pl.Series) -> None:
    """Leave out of the log the texts that are gone, some thousand rows at a time."""
    after = ""
    while rows := connection.execute(
        "select id, text from predictions where problem || '' = ? and id > ? and text is not null order by id limit ?",
        (problem, after, AT_ONCE),
    ).fetchall():
        found = pl.DataFrame([tuple(row) for row in rows], schema={"id": pl.String, "text": pl.String}, orient="row")
        for name in found.filter(compared(found["text"]).is_in(gone.implode()))["id"]:
            connection.execute("update predictions set text = null where id = ?", (name,))
        after = rows[-1][0]
