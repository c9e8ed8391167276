"""What a row of texts to classes is: the columns it fits, and how a row that is set aside comes back."""

from __future__ import annotations

import polars as pl
import pytest

from ratchet.tasks.classify_text import rows
from ratchet.tasks.classify_text.columns import Columns

COLUMNS = Columns(text="quote", label="verdict", positive="good")


def test_inputs_under_the_owners_names_are_the_owners_column_again() -> None:
    table = pl.DataFrame({"quote": ["one", None, ""], "verdict": ["good", "bad", "bad"]})
    assert rows.owned(rows.inputs(table, COLUMNS).rename("text"), COLUMNS).equals(table.select("quote"))


@pytest.mark.parametrize(
    ("labels", "metric"),
    [
        (["a", "b"] * 10, "accuracy"),
        (["a"] * 15 + ["b"] * 5, "macro_f1"),
        (["a", "b", "c"] * 5, "macro_f1"),
        ([], "accuracy"),
    ],
)
def test_the_metric_suits_the_shares_of_the_classes(labels: list[str], metric: str) -> None:
    assert rows.usual_metric(pl.Series("label", labels, dtype=pl.String)) == metric


def test_a_table_that_is_to_come_must_have_the_positive_class_alone() -> None:
    assert rows.misfit(COLUMNS, None, ["good", "bad", "so so"]) is None
    misfit = rows.misfit(COLUMNS, None, ["fine", "bad", None])
    assert misfit is not None
    assert misfit[1] == "'good', and the classes are 'bad', 'fine'"


def test_every_rule_and_reason_is_about_a_fact_that_is_there() -> None:
    names = {fact.meta.output_name() for fact in rows.facts()}
    assert {rule.fact for rule in rows.RULES} <= names
    assert set(rows.REASONS) <= names | {"missing_text", "missing_label"}
    assert {rule.fact for rule in rows.RULES if rule.action == "set aside"} <= set(rows.REASONS)
