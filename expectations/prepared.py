"""The suite of prepared rows, at the border before training: may a model learn from this table, and a holdout judge it?

Nothing is set aside here: preparing should have left no bad row, so a bad row is a fault of this code and refuses the
table. The suite judges the facts of `ratchet.data.prepare.table_facts` over a frame with a column `split`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from expectations.rules import Rules, never, wording

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations import Expectation

SPLITS = ("train", "validation", "holdout")


def suite(rules: Rules) -> ExpectationSuite:
    """Rules about rows, then about splits, then about the classes of each split."""
    from great_expectations import ExpectationSuite

    return ExpectationSuite(name="prepared", expectations=[*_rows(rules), *_splits(rules), *_classes(rules)])


def _rows(rules: Rules) -> list[Expectation]:
    return [
        never("set_aside", f"Every row has a sound {rules.unit} and a label.", "refuse"),
        never("duplicate", f"No {rules.unit} is there twice.", "refuse"),
        never("conflict", f"No {rules.unit} has two labels.", "refuse"),
    ]


def _splits(rules: Rules) -> list[Expectation]:
    from great_expectations.expectations import ExpectColumnDistinctValuesToEqualSet

    three = "Each of train, validation and holdout has rows, and there is no other split."
    group = never("group_crosses", "No group is in two splits.", "refuse")
    return [
        ExpectColumnDistinctValuesToEqualSet(column="split", value_set=list(SPLITS), **wording(three, "refuse")),
        never("text_crosses", f"No {rules.unit} is in two splits.", "refuse"),
        *([group] if rules.grouped else []),
    ]


def _classes(rules: Rules) -> list[Expectation]:
    """Rules about classes: train must have every class; a holdout without one can still judge the others."""
    from great_expectations.expectations import ExpectColumnDistinctValuesToEqualSet
    from great_expectations.expectations.row_conditions import Column

    if not rules.labels:
        return []
    labels = list(rules.labels)
    everywhere = wording("The classes are the declared ones.", "refuse")
    return [
        ExpectColumnDistinctValuesToEqualSet(column="label", value_set=labels, **everywhere),
        *(
            ExpectColumnDistinctValuesToEqualSet(
                column="label",
                value_set=labels,
                row_condition=Column("split") == split,
                **wording(f"The {split} rows have every class.", "refuse" if split == "train" else "flag"),
            )
            for split in SPLITS
        ),
    ]
