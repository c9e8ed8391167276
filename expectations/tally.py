"""What Great Expectations counted in the slices of a table, added up as if it had counted the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
