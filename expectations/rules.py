"""The limits of the suites, and the form that most of their expectations have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from great_expectations.expectations import ExpectColumnValuesToBeInSet

    from expectations.verdict import Action


@dataclass(frozen=True)
class Rules:
    """The limits; the defaults are those of the documentation.

    Attributes:
        labels: the declared classes; empty to allow any.
        grouped: whether the problem declares a group, so that each row should have one.
        max_set_aside: share of bad rows above which the table is refused.
        max_damaged: share of texts with encoding damage above which the whole table was read wrongly.
        max_duplicates: share of copies above which a person is told; copies are dropped in any case.
        max_conflicts: share of conflicting copies above which a person is told; they are dropped in any case.
        max_classes: the most classes.
        min_rows: the fewest rows from which a class can be learned; below it a person is told.
        min_share: share of a class below which a person is told.
        max_class: share of a class among new labels above which a person is told.
    """

    labels: tuple[str, ...] = ()
    grouped: bool = False
    max_set_aside: float = 0.10
    max_damaged: float = 0.10
    max_duplicates: float = 0.05
    max_conflicts: float = 0.01
    max_classes: int = 1_000
    min_rows: int = 20
    min_share: float = 0.01
    max_class: float = 0.90


def never(fact: str, sentence: str, action: Action, allowed: float = 0.0) -> ExpectColumnValuesToBeInSet:
    """The expectation that a boolean fact is false in every row, except for an allowed share of the rows."""
    from great_expectations.expectations import ExpectColumnValuesToBeInSet

    return ExpectColumnValuesToBeInSet(
        column=fact, value_set=[False], mostly=1.0 - allowed, **wording(sentence, action)
    )


def wording(sentence: str, action: Action) -> dict[str, Any]:
    """Description, severity and action of an expectation, as keyword arguments of Great Expectations."""
    severity = "warning" if action == "flag" else "critical"
    return {"description": sentence, "severity": severity, "meta": {"action": action}}


def warning_wording(sentence: str, action: Action) -> dict[str, Any]:
    """The same for a rule that never refuses a table, however many rows break it."""
    return {**wording(sentence, action), "severity": "warning"}
