"""What a suite found: one Check for each expectation, a Verdict over all of them, and the counts of slices added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Action = Literal["refuse", "set aside", "flag"]
"""What a failure means: the table is refused, the row is set aside, or a person is told."""


@dataclass(frozen=True)
class Check:
    """One expectation and how it went.

    unexpected: rows that break it, where it is about rows.
    share: the same as a share of all rows.
    rows: the first few of them, as row numbers in the source table; never the texts.
    observed: what was found, in words.
    """

    name: str
    severity: str
    action: Action
    success: bool
    unexpected: int | None
    share: float | None
    rows: tuple[int, ...]
    observed: str

    def __str__(self) -> str:
        mark = "✓" if self.success else "✗" if self.severity == "critical" else "!"
        return f"{mark} {self.name} Found: {self.observed}"


@dataclass(frozen=True)
class Verdict:
    """Whether a table may cross a border, and every check that says so.

    passed: no check of severity critical failed; rows may still have to be set aside.
    seconds: what the suite took, without the start of Great Expectations.
    evidence: Great Expectations' own result as JSON, which `expectations.docs.render` turns into a page.
    """

    suite: str
    rows: int
    set_aside: int
    checks: tuple[Check, ...]
    seconds: float
    evidence: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def passed(self) -> bool:
        return not self.refusals

    @property
    def refusals(self) -> tuple[Check, ...]:
        """The checks for which the table is refused."""
        return tuple(c for c in self.checks if not c.success and c.severity == "critical")

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The failed checks that a person should know of, and that stop nothing."""
        return tuple(c for c in self.checks if not c.success and c.severity != "critical")

    @property
    def headline(self) -> str:
        """One sentence, the verdict first."""
        if not self.passed:
            first, broken = self.refusals[0], _count(len(self.refusals), "rule")
            colon = ", first:" if len(self.refusals) > 1 else ":"
            return f"Refused: the {self.suite} table breaks {broken}{colon} {first.name} Found: {first.observed}"
        stay = f"all {self.rows:,}" if not self.set_aside else f"{self.rows - self.set_aside:,} of {self.rows:,}"
        aside = f" ({self.set_aside:,} set aside)" if self.set_aside else ""
        held = sum(check.success for check in self.checks)
        warned = f" with {_count(len(self.warnings), 'warning')}" if self.warnings else ""
        return (
            f"Accepted{warned}: {stay} rows of the {self.suite} table stay{aside}, "
            f"{held} of {len(self.checks)} checks hold."
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


COUNTS = ("element_count", "unexpected_count", "missing_count")

EXAMPLES = 20
"""Unexpected values that Great Expectations shows."""


def added(slices: Sequence[dict[str, Any]], table: dict[str, Any]) -> dict[str, Any]:
    """One result over the whole table.

    Args:
        slices: the results of the rules about rows, for each slice in order.
        table: the result of the rules about the table.
    """
    by_rule = zip(*(sorted(part["results"], key=_rule) for part in slices), strict=True)
    results = [*map(_one, by_rule), *table["results"]]
    held = sum(found["success"] for found in results)
    statistics = {
        "evaluated_expectations": len(results),
        "successful_expectations": held,
        "unsuccessful_expectations": len(results) - held,
        "success_percent": 100 * held / len(results),
    }
    return table | {"success": held == len(results), "results": results, "statistics": statistics}


def _rule(found: dict[str, Any]) -> str:
    return str(found["expectation_config"]["description"])


def _one(parts: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """One rule: its counts are sums, and it holds by the same comparison with `mostly` that every slice went by."""
    config, results = parts[0]["expectation_config"], [part["result"] for part in parts]
    if failed := next((part for part in parts if part["exception_info"].get("raised_exception") is not False), None):
        return failed
    if "observed_value" in results[0]:  # the number of rows
        rows = sum(result["observed_value"] for result in results)
        return parts[0] | {"success": rows >= config["kwargs"]["min_value"], "result": {"observed_value": rows}}
    rows, broken, missing = (sum(result[name] for result in results) for name in COUNTS)
    there = rows - missing
    holds = there == 0 or (there - broken) / there >= config["kwargs"].get("mostly", 1.0)
    share = broken / there * 100 if there else None
    examples = [value for result in results for value in result["partial_unexpected_list"]][:EXAMPLES]
    result = {
        "element_count": rows,
        "unexpected_count": broken,
        "unexpected_percent": share,
        "partial_unexpected_list": examples,
        "missing_count": missing,
        "missing_percent": missing / rows * 100,
        "unexpected_percent_total": broken / rows * 100,
        "unexpected_percent_nonmissing": share,
    }
    return parts[0] | {"success": holds, "result": result}
