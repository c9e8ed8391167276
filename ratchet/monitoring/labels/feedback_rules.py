"""Rules for feedback: labels enter; the labels that a model may learn from and the reasons against the rest leave.

All functions take and return frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

import polars as pl

from models.text.normalise import compared_form
from ratchet.data.prepare import row_facts
from ratchet.data.prepare.label_sources import AUDIT, STRENGTH
from ratchet.monitoring.labels import vetting
from ratchet.monitoring.labels.vetting import SURE, Traffic
from ratchet.tasks import Task
from ratchet.tasks.values import Labels

AT_ONCE, FEW = 0.10, 500
"""Labels that one source may add in a turn: a share of the table's rows, but at least FEW."""

REASONS = {
    "unknown_id": "no prediction of that id is logged",
    "unknown_label": "no class of the problem",
    "no_text": "the log kept no text",
    "unsound": "the text is blank, too long, or holds control characters",
    "contradicts": "the table has this text with another label",
    "conflict": "the same text was given another label, too",
    "improbable": "more corrections than the model can have made mistakes",
    "unusual": "several times as many corrections as this source used to give",
}
"""Facts that set a row aside, each with its reason, in order of precedence."""
OF_ANY_INPUT = {
    "unknown_label": "no label that the problem has",
    "no_text": "the log kept no {unit}",
    "unsound": "the {unit} could be no row of the table",
    "contradicts": "the table has this {unit} with another label",
    "conflict": "the same {unit} was given another label, too",
}
"""The reasons of kinds whose inputs are no texts, where they differ from REASONS; `unit` is what an input is called."""


def last_words(labels: pl.DataFrame) -> pl.DataFrame:
    """The last label of the strongest source for each prediction, in the order of the predictions.

    Args:
        labels: Columns prediction, label, source and at (seconds); one row for each label of a prediction.
    """
    strength = pl.col("source").replace_strict(STRENGTH, default=0, return_dtype=pl.Int8)
    return labels.sort("prediction", strength, "at", "label").unique("prediction", keep="last", maintain_order=True)


def weigh(task: Task, rows: pl.DataFrame, table: pl.DataFrame, labels: Labels, traffic: Traffic | None) -> pl.DataFrame:
    """The facts of each label, without its text, for the expectations to validate.

    Args:
        task: The kind of problem.
        rows: Last words: columns prediction, text, predicted, score, label and source. Text, predicted and score are
            null if the prediction is not logged.
        table: Labels of the owner's table and of earlier feedback for these texts: columns `key` (the compared form)
            and `label`.
        labels: Output columns of a model of this data (`JudgingFace.labels`).
        traffic: Answers around the new labels; None where answers have no confidence, so that no label is improbable
            or unusual.

    Returns:
        One row for each label, in order, with the columns

        - `row`, `label`, `source`
        - the facts of REASONS
        - `set_aside`: whether any of these facts holds
        - `known`: whether the table has this text with this label
        - `first`: whether this row stands for its text
        - `class_share`: share of the label among the `first` rows; null for the others
    """
    row_check = row_facts.row_only_facts(rows.select("text", "label"), task)
    keyed = rows.with_columns(
        compared_form(rows["text"]).alias("key"), row_check["set_aside"].alias("bad")
    ).with_row_index("row", 1)
    labels_of_key = table.group_by("key").agg(pl.col("label").unique().alias("taught"))
    joined = keyed.join(labels_of_key, on="key", how="left", maintain_order="left")
    taught = pl.col("taught").list.contains(pl.col("label")).fill_null(False)
    facts = joined.with_columns(
        pl.col("predicted").is_null().alias("unknown_id"),
        (~pl.col("label").is_in(possible(task, rows["label"].unique(), labels).implode())).alias("unknown_label"),
        (pl.col("predicted").is_not_null() & pl.col("text").is_null()).alias("no_text"),
        (pl.col("text").is_not_null() & pl.col("bad")).alias("unsound"),
        (pl.lit(task.rows.ONE_TARGET) & pl.col("taught").is_not_null() & ~taught).alias("contradicts"),
        taught.alias("known"),
    )
    facts = facts.with_columns(_conflict(facts), *_implausible(facts, traffic))
    facts = facts.with_columns(pl.any_horizontal(*REASONS).alias("set_aside"))
    stays = ~pl.col("set_aside") & ~pl.col("known")
    facts = facts.with_columns(_first(facts.with_columns(stays.alias("stays"))))
    share = pl.when("first").then(pl.col("first").sum().over("label") / pl.col("first").sum())
    return facts.select("row", "label", "source", *REASONS, "set_aside", "known", "first", share.alias("class_share"))


def possible(task: Task, targets: Iterable[str], labels: Labels) -> pl.Series:
    """Those of the targets that a model with these outputs can give."""
    found = []
    for target in targets:
        with suppress(ValueError):
            task.judging.truth([target], labels)
            found.append(target)
    return pl.Series("label", found, dtype=pl.String)


def _conflict(facts: pl.DataFrame) -> pl.Series:
    """Whether the strongest source of a row's text gave it more than one label; weaker sources are overruled."""
    strength = pl.col("source").replace_strict(STRENGTH, default=0, return_dtype=pl.Int8)
    is_sound = ~pl.col("unknown_label") & pl.col("key").is_not_null()
    is_strongest = strength == strength.filter(is_sound).max().over("key")
    labels = pl.col("label").filter(is_sound & is_strongest).n_unique().over("key")
    return facts.select((is_sound & is_strongest & (labels > 1)).fill_null(False).alias("conflict"))["conflict"]


def _implausible(facts: pl.DataFrame, traffic: Traffic | None) -> list[pl.Series] | list[pl.Expr]:
    """The facts `improbable` and `unusual` (vetting.py); an audit label is always believed."""
    if traffic is None:
        return [pl.lit(False).alias(name) for name in ("improbable", "unusual")]
    is_correction = (pl.col("label") != pl.col("predicted")).fill_null(False)
    sure = is_correction & (pl.col("score") >= SURE).fill_null(False)
    rows = facts.select("row", "prediction", "source", is_correction.alias("wrong"), sure.alias("sure"))
    rows = rows.filter(pl.col("source") != AUDIT)
    flags = pl.concat([rows.select("row"), vetting.implausible(rows, traffic)], how="horizontal")
    all_flags = facts.select("row").join(flags, on="row", how="left", maintain_order="left")
    return all_flags.drop("row").fill_null(False).get_columns()


def _first(facts: pl.DataFrame) -> pl.Series:
    """Whether a row stands for its text: the first row of the strongest source."""
    ordered = facts.filter("stays").sort(
        pl.col("source").replace_strict(STRENGTH, default=0, return_dtype=pl.Int8), "row", descending=[True, False]
    )
    rows = ordered.unique("key", keep="first", maintain_order=True)["row"]
    return facts.select(pl.col("row").is_in(rows.implode()).alias("first"))["first"]


def limit_per_turn(facts: pl.DataFrame, table_rows: int, untaught: Mapping[str, int] | None = None) -> pl.DataFrame:
    """Add the fact `waits`: whether a row exceeds the labels that its source may add in a turn. An audit never waits.

    Args:
        facts: Return value of `weigh`.
        table_rows: Rows of the owner's table.
        untaught: Rows of each source that are in the data and that no turn has learned.
    """
    most = max(FEW, int(AT_ONCE * table_rows))
    count = (pl.col("first") & (pl.col("source") != AUDIT)).cast(pl.Int64).cum_sum().over("source")
    before = pl.col("source").replace_strict(dict(untaught or {}), default=0, return_dtype=pl.Int64)
    waits = pl.col("first") & (pl.col("source") != AUDIT) & (count + before > most)
    return facts.with_columns(waits.alias("waits"))


def reasons(task: Task, facts: pl.DataFrame) -> pl.Series:
    """The first reason that sets each row aside; null if none does."""
    of_any = {fact: words.format(unit=task.columns.UNIT) for fact, words in OF_ANY_INPUT.items()}
    named = REASONS if task.signals.HAS_TEXTS else REASONS | of_any
    reason = pl.coalesce(pl.when(pl.col(fact)).then(pl.lit(words)) for fact, words in named.items())
    return facts.select(reason.alias("reason")).to_series()
