"""Runs a suite: facts and a suite enter, a Verdict leaves. It writes no file and opens no connection.

A table of one slice is judged whole. For a longer table, rules about rows are judged slice by slice and their counts
added (verdict.py). Rules about the table depend only on the distinct values of their columns, so they are judged once,
over all combinations of values that occur.
"""

from __future__ import annotations

import gc
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import polars as pl

from expectations.rules import Rules
from expectations.verdict import Check, Verdict, merge_results

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations import Expectation

EXAMPLES = 5
"""Row numbers named in a failed check."""

TABLE_WIDE = ("label", "class", "split", "class_rows", "class_share")
"""Columns whose rules depend only on their distinct values."""


@dataclass
class Broken:
    """The rows that break one rule.

    Attributes:
        count: of all such rows.
        first: numbers of the first EXAMPLES of them.
    """

    count: int = 0
    first: list[int] = field(default_factory=list)


@dataclass
class Tally:
    """Counts over the slices of facts.

    Attributes:
        rows: of all slices.
        set_aside: rows that have to be set aside.
        broken: by fact, the rows that break its rule.
    """

    rows: int = 0
    set_aside: int = 0
    broken: dict[str, Broken] = field(default_factory=dict)

    def add(self, facts: pl.DataFrame, row_rules: Iterable[str]) -> None:
        """Count a slice."""
        self.rows += facts.height
        self.set_aside += int(facts["set_aside"].sum())
        for fact in row_rules:
            rows = facts.filter(pl.col(fact))["row"]
            broken = self.broken.setdefault(fact, Broken())
            broken.count += len(rows)
            broken.first += rows.head(EXAMPLES - len(broken.first)).to_list()


def judge(slices: Iterable[pl.DataFrame], make_suite: Callable[[Rules], ExpectationSuite], rules: Rules) -> Verdict:
    """The verdict of one suite over the facts of one table, in one slice or more of at most SLICE rows."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations  # noqa: F401  loading it does not count as time of the suite

    start = time.perf_counter()
    suite, tally = make_suite(rules), Tally()
    evidence = _evidence(iter(slices), suite, tally)
    order = {expectation.description: index for index, expectation in enumerate(suite.expectations)}
    results = sorted(evidence["results"], key=lambda result: order[result["expectation_config"]["description"]])
    checks = tuple(_check(result, tally) for result in results)
    seconds = time.perf_counter() - start
    return Verdict(suite.name, tally.rows, tally.set_aside, checks, seconds, evidence)


def _evidence(slices: Iterator[pl.DataFrame], suite: ExpectationSuite, tally: Tally) -> dict[str, Any]:
    """Great Expectations' result over all slices."""
    first = next(slices)
    second = next(slices, None)
    if second is None:
        tally.add(first, _row_rules(suite, first))
        return _validate(_needed_columns(first, suite.expectations), suite, suite.expectations)
    by_row = [expectation for expectation in suite.expectations if is_about_rows(expectation)]
    by_table = [expectation for expectation in suite.expectations if not is_about_rows(expectation)]
    results = []
    combinations = pl.DataFrame()
    for facts in chain((first, second), slices):
        tally.add(facts, _row_rules(suite, facts))
        results.append(_validate(_needed_columns(facts, by_row), suite, by_row))
        gc.collect()  # a context of Great Expectations holds its frame, and refers to itself
        combinations = pl.concat([combinations, _distinct(facts, by_table)], how="diagonal").unique(maintain_order=True)
    return merge_results(results, _validate(combinations, suite, by_table))


def is_about_rows(expectation: Expectation) -> bool:
    """Whether the expectation counts rows, so that the results of two slices can be added."""
    counts = ("expect_column_values_to_be_in_set", "expect_table_row_count_to_be_between")
    return expectation.expectation_type in counts


def _row_rules(suite: ExpectationSuite, facts: pl.DataFrame) -> list[str]:
    """The boolean facts that the suite requires to be false in every row."""
    by_row = [expectation for expectation in suite.expectations if is_about_rows(expectation)]
    columns = dict.fromkeys(getattr(expectation, "column", "") for expectation in by_row)
    return [fact for fact in columns if fact in facts.columns]


def _distinct(facts: pl.DataFrame, expectations: list[Expectation]) -> pl.DataFrame:
    """All combinations of the TABLE_WIDE values that these rules need, with an empty column `group` if the facts have
    a group."""
    needed = _needed_columns(facts, expectations).columns
    distinct = facts.select(name for name in TABLE_WIDE if name in needed).unique(maintain_order=True)
    return distinct.with_columns(pl.lit(None, pl.String).alias("group")) if "group" in facts.columns else distinct


def _validate(facts: pl.DataFrame, suite: ExpectationSuite, expectations: list[Expectation]) -> dict[str, Any]:
    """Great Expectations' result as plain JSON, independent of its classes and version."""
    import great_expectations as gx

    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("ratchet").add_dataframe_asset(suite.name)
    whole = asset.add_batch_definition_whole_dataframe("facts")
    batch = whole.get_batch(batch_parameters={"dataframe": facts.to_pandas()})
    part = gx.ExpectationSuite(name=suite.name, expectations=expectations)
    result = batch.validate(part, result_format="BASIC").to_json_dict()
    plain: dict[str, Any] = json.loads(json.dumps(result))
    return plain


def _needed_columns(facts: pl.DataFrame, expectations: Iterable[Expectation]) -> pl.DataFrame:
    """The columns that these rules need; converting the others to pandas would waste time."""
    names = {getattr(expectation, "column", "row") for expectation in expectations} | {"row"}
    names |= {"split"} if names & {"label"} else set()
    return facts.select(column for column in facts.columns if column in names)


def _check(result: dict[str, Any], tally: Tally) -> Check:
    """The Check of one result; a rule that Great Expectations could not judge refuses the table."""
    config = result["expectation_config"]
    fact = config["kwargs"].get("column")
    broken = tally.broken.get(fact) if config["kwargs"].get("value_set") == [False] else None
    is_judged = result["exception_info"].get("raised_exception") is False
    return Check(
        name=config["description"],
        severity=config["severity"] if is_judged else "critical",
        action=config["meta"]["action"] if is_judged else "refuse",
        success=result["success"],
        unexpected=None if broken is None else broken.count,
        share=None if broken is None else broken.count / max(tally.rows, 1),
        rows=() if broken is None else tuple(broken.first),
        observed=_observed(result, fact) if broken is None else _rows(broken.count, tally.rows),
    )


def _observed(result: dict[str, Any], fact: str | None) -> str:
    """The observation of an expectation about the table, in words."""
    details = result["result"]
    if details.get("observed_value") is not None:
        value = details["observed_value"]
        return f"{value:.2%}." if str(fact).endswith("_share") else f"{value:,.0f}."
    differences = [
        f"{words} {', '.join(map(str, details[key]))}"
        for key, words in (("partial_missing_list", "missing"), ("partial_unexpected_list", "unexpected"))
        if details.get(key)
    ]
    if differences:
        return f"{'; '.join(differences)}."
    return "as expected." if result["success"] else "no values to judge."


def _rows(broken: int, rows: int) -> str:
    return f"{broken:,} of {rows:,} rows ({broken / rows:.2%})." if broken else "no row breaks it."
