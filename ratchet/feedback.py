"""What people said of the champion's answers, on its way from the log of predictions into the next data version.

data/feedback.csv holds what a model may learn from (ratchet/steps/feedback.py has its columns), one row a text, in the
order of the predictions. What may not is in state/quarantine/feedback/, with its reason and under the owner's column
names, so that it can be taken in after all: make data ADD=state/quarantine/feedback/<problem>.csv
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from ratchet import predictions, quarantined, versions
from ratchet.ingest import FILE, LINE, REASON
from ratchet.places import Places
from ratchet.predictions import AT_ONCE, HEARD, LAST, Place
from ratchet.problem import Problem
from ratchet.rows import Raw
from ratchet.steps import feedback, table
from ratchet.steps.facts import compared
from ratchet.steps.feedback import AUDIT, COLUMNS, SURE, Traffic
from ratchet.steps.load import ORIGINAL

ANSWERED = """
    select count(*), sum(1 - score), sum(case when score >= ? then 1 else 0 end),
    sum(case when score >= ? then 1 - score else 0 end)
    from predictions where problem || '' = ? and id >= ? and role != 'shadow'"""
MEASURED = f"""
    select count(*), sum(case when feedback.label != predictions.label then 1 else 0 end)
    from {HEARD} and problem = ? and source = ? and predictions.id >= ? and {LAST}"""
"""Of what was answered since a prediction: by id, and not through all answers of the problem."""

NOTHING = pl.DataFrame(schema=dict.fromkeys(COLUMNS, pl.String))


@dataclass(frozen=True)
class Harvest:
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


def kept(folder: Path) -> pl.DataFrame:
    """The feedback that a data version holds; none where it has no such file."""
    path = folder / versions.FEEDBACK
    return table.read(path) if path.exists() else NOTHING


def aside_path(here: Places, problem: str) -> Path:
    return here.quarantine / "feedback" / f"{problem}.csv"


def waiting(problem: Problem) -> pl.DataFrame:
    """What was said of logged predictions and is neither learned from nor set aside.

    Returns:
        A last word each: prediction, text, predicted, score, label, source, chance, at.
    """
    log = predictions.place(problem.here)
    said = feedback.last_words(everything(log, problem.name))
    done = kept(problem.here.data).select("prediction", "label")
    names = problem.settings.data
    lying = quarantined.read(aside_path(problem.here, problem.name))
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
    if predictions.is_there(log):
        with predictions.connected(log) as connection:
            found = connection.execute(
                "select feedback.prediction, feedback.label, source, chance, feedback.at, text, predictions.label, "
                "score from feedback left join predictions on predictions.id = prediction "
                "where problem = ? or problem is null",
                (problem,),
            ).fetchall()
    return pl.DataFrame([tuple(row) for row in found], schema=schema, orient="row")


def traffic(log: Place, problem: str, since: object) -> Traffic:
    """What was answered from that prediction on, and how much of it should be wrong."""
    if since is None:
        return Traffic()
    with predictions.connected(log) as connection:
        answers, errors, sure, sure_errors = connection.execute(ANSWERED, (SURE, SURE, problem, since)).fetchone()
        audited, wrong = connection.execute(MEASURED, (problem, AUDIT, since)).fetchone()
    return Traffic(answers, errors or 0.0, sure or 0, sure_errors or 0.0, audited, wrong or 0)


def harvest(problem: Problem, said: pl.DataFrame) -> Harvest:
    """Weigh what was said against the pinned data, which lies in data/."""
    before, keys = kept(problem.here.data), compared(said["text"].drop_nulls()).unique()
    taught, labels, rows = [], set[str](), 0
    for frame in Raw(problem):
        rows += int((frame["label_source"] == ORIGINAL).sum())
        labels |= set(frame["label"].drop_nulls().unique())
        keyed = frame.select(compared(frame["text"]).alias("key"), pl.col("label").str.strip_chars())
        taught.append(keyed.filter(pl.col("key").is_in(keys.implode())))
    revised = before.filter(~pl.col("prediction").is_in(said["prediction"].implode()))
    table_says = pl.concat(taught) if taught else pl.DataFrame(schema={"key": pl.String, "label": pl.String})
    table_says = unrevised(table_says, before, revised)
    fresh = news(said, table_says, revised)
    since = traffic(predictions.place(problem.here), problem.name, fresh["prediction"].min())
    weighed = feedback.in_turn(feedback.weigh(fresh, table_says, labels, since), rows)
    new = fresh.filter(weighed["first"] & ~weighed["waits"]).select(
        "text",
        "label",
        pl.col("source").alias("label_source"),
        pl.col("chance").cast(pl.String),
        "prediction",
    )
    whole = pl.concat([revised, new]).sort("prediction")
    return Harvest(fresh, weighed, whole, set_aside(problem, fresh, feedback.reasons(weighed)), rows)


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


def lay_aside(problem: Problem, aside: pl.DataFrame) -> None:
    """Put rows beside those that were set aside before, on the disk before anything relies on it."""
    path = aside_path(problem.here, problem.name)
    put(path, quarantined.joined(quarantined.read(path), aside))


def put(path: Path, aside: pl.DataFrame) -> None:
    """What is set aside, as a whole."""
    from ratchet import change

    path.parent.mkdir(parents=True, exist_ok=True)
    change.written(change.staged(path), quarantined.written(aside))
    change.staged(path).replace(path)


def carried(before: pl.DataFrame, texts: pl.Series, gone: pl.Series) -> pl.DataFrame:
    """Of the last version's feedback, what stays beside a next table: texts of neither the table nor the withdrawn."""
    keys = compared(before["text"])
    return before.filter(~keys.is_in(compared(texts.drop_nulls()).implode()) & ~keys.is_in(gone.implode()))


def withdraw(here: Places, problem: str, gone: pl.Series) -> None:
    """What the owner has withdrawn is taken out of the log and of what was set aside, so that no turn learns it anew.

    The log keeps the answer, its digest and what was said of it; without a text it teaches nothing. Where texts are
    kept as `hash`, that is so from the beginning.

    Args:
        gone: texts in their compared form, whole and redacted: the log has them in the form that `deploy.log` said.
    """
    log, path = predictions.place(here), aside_path(here, problem)
    if not gone.len():
        return
    if predictions.is_there(log):
        with predictions.connected(log) as connection:
            take_out(connection, problem, gone)
    lying = quarantined.read(path)
    if lying.height:
        said = pl.any_horizontal(compared(lying[name]).is_in(gone.implode()).fill_null(False) for name in lying.columns)
        put(path, lying.filter(~said))


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
