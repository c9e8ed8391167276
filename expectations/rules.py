"""The limits of the suites, and the form that most of their expectations have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ratchet.tasks import Task
from ratchet.tasks.values import RowRule

if TYPE_CHECKING:
    from great_expectations.expectations import ExpectColumnValuesToBeInSet

    from expectations.verdict import Action


@dataclass(frozen=True)
class Rules:
    """What the kind of problem adds to every suite, and the limits; these are by default those of the documentation.

    Attributes:
        unit: what an input is called in a sentence.
        rows: the checks of raw rows by the facts that only this kind has.
        has_classes: whether labels are classes.
        has_confidence: whether answers have a probability, by which corrections are judged.
        labels: the declared classes; empty to allow any.
        grouped: whether the problem declares a group, so that each row should have one.
        max_set_aside: share of bad rows above which the table is refused.
        max_duplicates: share of copies above which a person is told; copies are dropped in any case.
        max_conflicts: share of conflicting copies above which a person is told; they are dropped in any case.
        max_classes: the most classes.
        min_rows: the fewest rows from which a class can be learned; below it a person is told.
        min_share: share of a class below which a person is told.
        max_class: share of a class among new labels above which a person is told.
    """

    unit: str = "input"
    rows: tuple[RowRule, ...] = ()
    has_classes: bool = False
    has_confidence: bool = False
    labels: tuple[str, ...] = ()
    grouped: bool = False
    max_set_aside: float = 0.10
    max_duplicates: float = 0.05
    max_conflicts: float = 0.01
    max_classes: int = 1_000
    min_rows: int = 20
    min_share: float = 0.01
    max_class: float = 0.90


def rules_of(task: Task, labels: Sequence[str] = (), grouped: bool = False) -> Rules:
    """The rules of a kind of problem.

    Args:
        labels: the declared labels; they count only where they are classes.
        grouped: whether the problem declares a group.
    """
    face = task.rows
    return Rules(
        unit=task.columns.UNIT,
        rows=tuple(face.RULES),
        has_classes=face.HAS_CLASSES,
        has_confidence=task.can("confidence"),
        labels=tuple(labels) if face.HAS_CLASSES else (),
        grouped=grouped,
    )


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
