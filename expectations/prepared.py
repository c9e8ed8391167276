"""May a model learn from this table, and may its holdout judge one? The border between preparing and
training.

Nothing is set aside here: preparing was meant to leave no bad row, so one is a fault of ours and refuses
the table. The suite judges the facts of `ratchet.data.prepare.row_facts` over a frame that has a column `split`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from expectations.rules import Rules, never, said

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations import Expectation

SPLITS = ("train", "validation", "holdout")


def suite(rules: Rules) -> ExpectationSuite:
    """Clean rows first, then honest splits, then classes in each of them."""
    from great_expectations import ExpectationSuite

    return ExpectationSuite(name="prepared", expectations=[*_rows(), *_splits(rules), *_classes(rules)])


def _rows() -> list[Expectation]:
    return [
        never("set_aside", "Every row has a sound text and a label.", "refuse"),
        never("duplicate", "No text is there twice.", "refuse"),
        never("conflict", "No text has two labels.", "refuse"),
    ]


def _splits(rules: Rules) -> list[Expectation]:
    from great_expectations.expectations import ExpectColumnDistinctValuesToEqualSet

    three = "Each of train, validation and holdout has rows, and there is no other split."
    group = never("group_crosses", "No group is in two splits.", "refuse")
    return [
        ExpectColumnDistinctValuesToEqualSet(column="split", value_set=list(SPLITS), **said(three, "refuse")),
        never("text_crosses", "No text is in two splits.", "refuse"),
        *([group] if rules.grouped else []),
    ]


def _classes(rules: Rules) -> list[Expectation]:
    """Train must have every class; a holdout without one can still judge the others."""
    from great_expectations.expectations import ExpectColumnDistinctValuesToEqualSet
    from great_expectations.expectations.row_conditions import Column

    if not rules.labels:
        return []
    labels = list(rules.labels)
    everywhere = said("The classes are the declared ones.", "refuse")
    return [
        ExpectColumnDistinctValuesToEqualSet(column="label", value_set=labels, **everywhere),
        *(
            ExpectColumnDistinctValuesToEqualSet(
                column="label",
                value_set=labels,
                row_condition=Column("split") == split,
                **said(f"The {split} rows have every class.", "refuse" if split == "train" else "flag"),
            )
            for split in SPLITS
        ),
    ]
