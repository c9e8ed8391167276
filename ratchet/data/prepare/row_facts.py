"""Facts of each row of a table (missing parts, copies, and those of its kind), and which rows are set aside.

A frame with `text` and `label` enters, optionally with `group` and `split`. A frame of the same rows in the same order
leaves, with one column a fact and without the inputs, so that nothing that validates or prints facts can leak one. Of
one input by itself the kind of problem says the facts (`rows.facts`, ratchet/tasks).
`row` is the row's number in the source table, from 1, or that of the frame where it has one. Here are the facts that
depend on no other row; ratchet/data/prepare/table_facts.py adds those that need the whole table.
"""

from __future__ import annotations

import polars as pl

from models.text.normalise import compared_form
from ratchet.tasks import Task

REASONS = {"missing_text": "missing input", "missing_label": "missing label"}
"""The facts of every kind that set a row aside -> the reason; those of the kind follow, and may word these."""

KEY = "_key"
"""The column of inputs in compared form; `measure_table` drops it, so that no input is among the facts."""

_KEPT = ("row", "label", "group", "split", "label_source")


def row_only_facts(frame: pl.DataFrame, task: Task) -> pl.DataFrame:
    """The facts that depend on no other row, and `example_key` as `_key`.

    Raises:
        ValueError: the frame has no column `text` or no column `label`.
    """
    if not {"text", "label"} <= set(frame.columns):
        raise ValueError(f"Facts need the columns text and label. Received: {frame.columns}. Load the table first.")
    numbered = frame if "row" in frame.columns else frame.with_row_index("row", offset=1)
    known = numbered.select(column for column in ("text", *_KEPT) if column in numbered.columns)
    keyed = known.with_columns(example_key(known, task).alias(KEY))
    facts = keyed.with_columns(*_missing(), _padded(), _missing_group(known), *task.rows.facts())
    return facts.with_columns(*_staying(task)).drop("text")


def example_key(frame: pl.DataFrame, task: Task) -> pl.Series:
    """What makes two rows copies: the input in compared form, and the target too where an input may have several."""
    inputs = compared_form(frame["text"])
    return inputs if task.rows.ONE_TARGET else inputs + "\0" + frame["label"].str.strip_chars().fill_null("")


def flaws(frame: pl.DataFrame, task: Task) -> pl.DataFrame:
    """The facts that set a row aside, and no others: all that `set_aside` needs."""
    facts = (*_missing(), *task.rows.facts())
    return frame.select("row", *(fact for fact in facts if fact.meta.output_name() in reason_words(task)))


def reason_words(task: Task) -> dict[str, str]:
    """The facts that set a row aside -> the reason; the first that holds is given."""
    return REASONS | dict(task.rows.REASONS)


def _missing() -> list[pl.Expr]:
    text, label = pl.col("text"), pl.col("label")
    return [
        text.is_null().alias("missing_text"),
        (~label.str.contains(r"\S")).fill_null(True).alias("missing_label"),
    ]


def _padded() -> pl.Expr:
    label = pl.col("label")
    return (label != label.str.strip_chars()).fill_null(False).alias("padded_label")


def _missing_group(known: pl.DataFrame) -> pl.Expr:
    """Whether a row of the owner's table has no group; a row of feedback needs none."""
    missing = pl.col("group").is_null() if "group" in known.columns else pl.lit(True)
    own = pl.col("label_source") == "original" if "label_source" in known.columns else pl.lit(True)
    return (missing & own).alias("missing_group")


def _staying(task: Task) -> list[pl.Expr]:
    """`set_aside`: whether a row will be set aside. `class`: the label of one that will not, where it is a class."""
    aside = pl.any_horizontal(*reason_words(task))
    classes = [pl.when(~aside).then(pl.col("label")).alias("class")] if task.rows.HAS_CLASSES else []
    return [*classes, aside.alias("set_aside")]


def set_aside(frame: pl.DataFrame, facts: pl.DataFrame, task: Task) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Divide a frame by its facts.

    Returns:
        The valid rows; and the others, with columns `reason` and `row`.

    Raises:
        ValueError: the facts are not those of this frame.
    """
    if facts.height != frame.height:
        raise ValueError(
            f"A frame and its facts must have the same rows. Received: {frame.height:,} rows, "
            f"facts of {facts.height:,}. Measure the frame again."
        )
    reason = reasons(facts, task)
    numbered = frame.with_columns(facts["row"], reason)
    return frame.filter(reason.is_null()), numbered.filter(reason.is_not_null())


def reasons(facts: pl.DataFrame, task: Task) -> pl.Series:
    """The reason why each row is set aside, the first that holds; null for a valid row."""
    reason = pl.coalesce(_reason(fact, words) for fact, words in reason_words(task).items())
    return facts.select(reason.alias("reason")).to_series()


def _reason(fact: str, words: str) -> pl.Expr:
    return pl.when(pl.col(fact)).then(pl.lit(words))
