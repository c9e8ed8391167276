"""How strict the suites are, and the one form that most of their rules have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from great_expectations.expectations import ExpectColumnValuesToBeInSet

    from expectations.verdict import Action


@dataclass(frozen=True)
class Rules:
    """The limits; each default is the one the documentation names.

    labels: the declared classes; none means that any will do.
    grouped: the problem declares a group, so each row should have one.
    max_set_aside: a larger share of bad rows means that the table is bad, not the rows.
    max_damaged: a larger share of texts with encoding damage means that the whole table was read wrongly.
    max_duplicates, max_conflicts: shares above which a person is told; copies are dropped in any case.
    min_rows: the fewest rows from which a class can be learned; below it a person is told.
    min_share: the smallest share of a class before a person is told.
    max_class: the largest share of a class among new labels before a person is told.
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
    """The expectation that a yes-or-no fact is false in every row, but for an allowed share of them."""
    from great_expectations.expectations import ExpectColumnValuesToBeInSet

    return ExpectColumnValuesToBeInSet(column=fact, value_set=[False], mostly=1.0 - allowed, **said(sentence, action))


def said(sentence: str, action: Action) -> dict[str, Any]:
    """The words and the weight of an expectation, as Great Expectations takes them."""
    severity = "warning" if action == "flag" else "critical"
    return {"description": sentence, "severity": severity, "meta": {"action": action}}


def warned(sentence: str, action: Action) -> dict[str, Any]:
    """The same for a rule by which no table is refused, however many rows break it."""
    return {**said(sentence, action), "severity": "warning"}
