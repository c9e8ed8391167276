"""The result of a suite: a Check for each expectation and a Verdict over all; `merge_results` adds those of slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Action = Literal["refuse", "set aside", "flag"]
"""What follows from a failure: the table is refused, the row is set aside, or a person is told."""


@dataclass(frozen=True)
class Check:
    """The result of one expectation.

    Attributes:
        name: the rule as a sentence.
        severity: `critical` or `warning`.
        action: what follows from a failure.
        success: whether the rule holds.
        unexpected: number of rows that break a rule about rows; else None.
        share: the same as a share of all rows.
        rows: numbers of the first of them in the source table; never the texts.
        observed: the observation in words.
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
    """Whether a table may cross a border, with the checks that decide it.

    Attributes:
        suite: name of the suite.
        rows: of the table.
        set_aside: rows that have to be set aside.
        checks: one for each expectation.
        seconds: time of the suite, without loading Great Expectations.
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
        """Whether no critical check failed; rows may still have to be set aside."""
        return not self.refusals

    @property
    def refusals(self) -> tuple[Check, ...]:
        """The failed critical checks, for which the table is refused."""
        return tuple(check for check in self.checks if not check.success and check.severity == "critical")

    @property
    def warnings(self) -> tuple[Check, ...]:
        """The failed checks that refuse nothing."""
        return tuple(check for check in self.checks if not check.success and check.severity != "critical")

    @property
    def headline(self) -> str:
        """One sentence, the verdict first."""
        if not self.passed:
            first = self.refusals[0]
            broken = _count(len(self.refusals), "rule")
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
"""The most unexpected values that Great Expectations shows."""


def merge_results(slices: Sequence[dict[str, Any]], table: dict[str, Any]) -> dict[str, Any]:
    """Merge the results of slices into one result over the whole table.

    Args:
        slices: for each slice in order, the results of the rules about rows.
        table: the results of the rules about the table.
    """
    by_rule = zip(*(sorted(slice_["results"], key=_description) for slice_ in slices), strict=True)
    results = [*map(_merge_rule, by_rule), *table["results"]]
    held = sum(result["success"] for result in results)
    statistics = {
        "evaluated_expectations": len(results),
        "successful_expectations": held,
        "unsuccessful_expectations": len(results) - held,
        "success_percent": 100 * held / len(results),
    }
    return table | {"success": held == len(results), "results": results, "statistics": statistics}


def _description(result: dict[str, Any]) -> str:
    return str(result["expectation_config"]["description"])


def _merge_rule(parts: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """Merge one rule over all slices: counts are added, and the sum is compared with `mostly` as in each slice."""
    config = parts[0]["expectation_config"]
    results = [part["result"] for part in parts]
    if not_judged := next(
        (part for part in parts if part["exception_info"].get("raised_exception") is not False), None
    ):
        return not_judged
    if "observed_value" in results[0]:  # the number of rows
        rows = sum(result["observed_value"] for result in results)
        return parts[0] | {"success": rows >= config["kwargs"]["min_value"], "result": {"observed_value": rows}}
    rows, broken, missing = (sum(result[name] for result in results) for name in COUNTS)
    present = rows - missing
    holds = present == 0 or (present - broken) / present >= config["kwargs"].get("mostly", 1.0)
    share = broken / present * 100 if present else None
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
