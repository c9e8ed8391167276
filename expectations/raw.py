"""The suite of raw rows, at the border between a file and a data version: may this table come in?

A rule about rows sets a bad row aside, with the reason, as long as few rows are bad. A rule about the table refuses it.
A flag stops nothing and tells a person. The suite judges the facts of `ratchet.data.prepare.table_facts`, those of the
kind of problem among them, whose rules stand behind those of every kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from expectations.rules import Rules, never, wording
from ratchet.project.printable import with_article

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations import Expectation

    from expectations.verdict import Action


def suite(rules: Rules) -> ExpectationSuite:
    """Rules about the table, then about rows, then about classes, then flags."""
    from great_expectations import ExpectationSuite

    return ExpectationSuite(name="raw", expectations=[*_table(rules), *_rows(rules), *_classes(rules), *_flags(rules)])


def _table(rules: Rules) -> list[Expectation]:
    from great_expectations.expectations import ExpectColumnToExist, ExpectTableRowCountToBeBetween

    rows = ExpectTableRowCountToBeBetween(min_value=2, **wording("The table has rows.", "refuse"))
    group = ExpectColumnToExist(column="group", **wording("The declared group column is there.", "refuse"))
    return [
        rows,
        *([group] if rules.grouped else []),
        never(
            "set_aside",
            f"At most {rules.max_set_aside:.0%} of the rows have to be set aside.",
            "refuse",
            rules.max_set_aside,
        ),
        *_of_kind(rules, "refuse"),
    ]


def _rows(rules: Rules) -> list[Expectation]:
    return [
        never("missing_text", f"Every row has {with_article(rules.unit)}.", "set aside", rules.max_set_aside),
        never("missing_label", "Every row has a label.", "set aside", rules.max_set_aside),
        *_of_kind(rules, "set aside"),
    ]


def _of_kind(rules: Rules, action: Action) -> list[Expectation]:
    """The rules with that action that only this kind of problem has."""
    return [
        never(rule.fact, rule.sentence, action, rules.max_set_aside if action == "set aside" else rule.allowed)
        for rule in rules.rows
        if rule.action == action
    ]


def _classes(rules: Rules) -> list[Expectation]:
    """Rules about classes, counted over the rows that stay: a class with blank texts only is no class."""
    from great_expectations.expectations import (
        ExpectColumnMinToBeBetween,
        ExpectColumnUniqueValueCountToBeBetween,
    )

    if not rules.has_classes:
        return []
    many = wording(f"There are 2 to {rules.max_classes:,} classes.", "refuse")
    two = wording("Every class has 2 rows or more.", "refuse")
    few = wording(f"Every class has {rules.min_rows} rows or more.", "flag")
    rare = wording(f"Every class has {rules.min_share:.0%} of the rows or more.", "flag")
    return [
        ExpectColumnUniqueValueCountToBeBetween(column="class", min_value=2, max_value=rules.max_classes, **many),
        *_declared(rules),
        ExpectColumnMinToBeBetween(column="class_rows", min_value=2, **two),
        ExpectColumnMinToBeBetween(column="class_rows", min_value=rules.min_rows, **few),
        ExpectColumnMinToBeBetween(column="class_share", min_value=rules.min_share, **rare),
    ]


def _declared(rules: Rules) -> list[Expectation]:
    from great_expectations.expectations import ExpectColumnDistinctValuesToBeInSet

    if not rules.labels:
        return []
    words = wording("Every label is a declared one.", "refuse")
    return [ExpectColumnDistinctValuesToBeInSet(column="class", value_set=list(rules.labels), **words)]


def _flags(rules: Rules) -> list[Expectation]:
    return [
        never(
            "duplicate",
            f"Few {rules.unit}s are copies of an earlier one; copies are dropped.",
            "flag",
            rules.max_duplicates,
        ),
        never(
            "conflict",
            f"Few {rules.unit}s have copies with another label; all are dropped.",
            "flag",
            rules.max_conflicts,
        ),
        never("padded_label", "No label has white space around it.", "flag"),
        *_of_kind(rules, "flag"),
        *([never("missing_group", "Every row has its group.", "flag")] if rules.grouped else []),
    ]
