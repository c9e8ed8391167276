"""What people said of answers -> which of it a model may learn from, and why not the rest. Frames in, frames out."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from ratchet.data.prepare import row_facts
from ratchet.data.prepare.label_sources import AUDIT, STRENGTH
from ratchet.monitoring.labels import vetting
from ratchet.monitoring.labels.vetting import SURE, Traffic

AT_ONCE, FEW = 0.10, 500
"""Labels that one source may add from one turn to the next, as a share of the table's rows and at least."""

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
"""The facts that set a row aside, each with its reason, in the order in which they are looked for."""


def last_words(said: pl.DataFrame) -> pl.DataFrame:
    """Of everything that was said of a prediction, the last word of the strongest source; in the predictions' order.

    Args:
        said: columns prediction, label, source and at (seconds), one row for each label of a prediction.
    """
    strength = pl.col("source").replace_strict(STRENGTH, default=0, return_dtype=pl.Int8)
    return said.sort("prediction", strength, "at", "label").unique("prediction", keep="last", maintain_order=True)


def weigh(said: pl.DataFrame, table: pl.DataFrame, labels: set[str], traffic: Traffic) -> pl.DataFrame:
    """The facts of each row, without its text: what the expectations judge by.

    Args:
        said: last words, columns prediction, text, predicted, score, label and source; the first three but the id are
            missing where no such prediction is logged.
        table: what the owner's table and earlier feedback say of these texts, columns `key` (compared form), `label`.
        labels: the classes of the problem.

    Returns:
        One row for each, in order, with `row`, `label`, `source`, the facts of REASONS, `set_aside`, `known` (the text
        is there already with this label), `first` (of its text) and `class_share`
            (of its label among the first; missing for the others).
    """
    sound = row_facts.alone(said.select("text", "label"))
    keyed = said.with_columns(sound[row_facts.KEY].alias("key"), sound["set_aside"].alias("bad")).with_row_index(
        "row", 1
    )
    known = table.group_by("key").agg(pl.col("label").unique().alias("taught"))
    joined = keyed.join(known, on="key", how="left", maintain_order="left")
    taught = pl.col("taught").list.contains(pl.col("label")).fill_null(False)
    found = joined.with_columns(
        pl.col("predicted").is_null().alias("unknown_id"),
        (~pl.col("label").is_in(sorted(labels))).alias("unknown_label"),
        (pl.col("predicted").is_not_null() & pl.col("text").is_null()).alias("no_text"),
        (pl.col("text").is_not_null() & pl.col("bad")).alias("unsound"),
        (pl.col("taught").is_not_null() & ~taught).alias("contradicts"),
        taught.alias("known"),
    )
    found = found.with_columns(_conflict(found), *_doubted(found, traffic))
    found = found.with_columns(pl.any_horizontal(*REASONS).alias("set_aside"))
    stays = ~pl.col("set_aside") & ~pl.col("known")
    found = found.with_columns(_first(found.with_columns(stays.alias("stays"))))
    share = pl.when("first").then(pl.col("first").sum().over("label") / pl.col("first").sum())
    return found.select("row", "label", "source", *REASONS, "set_aside", "known", "first", share.alias("class_share"))


def _conflict(found: pl.DataFrame) -> pl.Series:
    """Whether the strongest source of a row's text gave it more than one label; weaker ones just lose."""
    strength = pl.col("source").replace_strict(STRENGTH, default=0, return_dtype=pl.Int8)
    sound = ~pl.col("unknown_label") & pl.col("key").is_not_null()
    strongest = strength == strength.filter(sound).max().over("key")
    labels = pl.col("label").filter(sound & strongest).n_unique().over("key")
    return found.select((sound & strongest & (labels > 1)).fill_null(False).alias("conflict"))["conflict"]


def _doubted(found: pl.DataFrame, traffic: Traffic) -> list[pl.Series]:
    """Who cannot be believed (vetting.py); the audit always can."""
    corrects = (pl.col("label") != pl.col("predicted")).fill_null(False)
    sure = corrects & (pl.col("score") >= SURE).fill_null(False)
    told = found.select("row", "prediction", "source", corrects.alias("wrong"), sure.alias("sure"))
    told = told.filter(pl.col("source") != AUDIT)
    flags = pl.concat([told.select("row"), vetting.doubted(told, traffic)], how="horizontal")
    every = found.select("row").join(flags, on="row", how="left", maintain_order="left")
    return every.drop("row").fill_null(False).get_columns()


def _first(found: pl.DataFrame) -> pl.Series:
    """Whether a row is the one that its text is kept by: of the strongest source, and the first of those."""
    order = found.filter("stays").sort(
        pl.col("source").replace_strict(STRENGTH, default=0, return_dtype=pl.Int8), "row", descending=[True, False]
    )
    rows = order.unique("key", keep="first", maintain_order=True)["row"]
    return found.select(pl.col("row").is_in(rows.implode()).alias("first"))["first"]


def in_turn(weighed: pl.DataFrame, table_rows: int, untaught: Mapping[str, int] | None = None) -> pl.DataFrame:
    """The facts with `waits`: which rows come after what their source may add in one turn. An audit never waits.

    Args:
        untaught: rows of each source that are in the data already, and that no turn has learned.
    """
    most = max(FEW, int(AT_ONCE * table_rows))
    taken = (pl.col("first") & (pl.col("source") != AUDIT)).cast(pl.Int64).cum_sum().over("source")
    before = pl.col("source").replace_strict(dict(untaught or {}), default=0, return_dtype=pl.Int64)
    waits = pl.col("first") & (pl.col("source") != AUDIT) & (taken + before > most)
    return weighed.with_columns(waits.alias("waits"))


def reasons(weighed: pl.DataFrame) -> pl.Series:
    """Why each row is set aside: the first reason that holds, missing where none does."""
    said = pl.coalesce(pl.when(pl.col(fact)).then(pl.lit(words)) for fact, words in REASONS.items())
    return weighed.select(said.alias("reason")).to_series()
