"""Runs a suite: facts and a suite enter, a Verdict leaves. No file is written, no network called.

Facts in one slice are judged whole. Of a longer table, Great Expectations judges the rules about rows slice by slice,
and what it counted is added up (tally.py); the rules about the table look at columns of which only the distinct values
matter, so they are judged once, over every combination of these that occurs.
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
from expectations.verdict import Check, Verdict, added

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations import Expectation

EXAMPLES = 5
"""Row numbers named in a failed check: enough to go and look."""

TABLE_WIDE = ("label", "class", "split", "class_rows", "class_share")
"""Columns of which a rule asks only what occurs in them."""


@dataclass
class Broken:
    """The rows that break one rule: how many, and the numbers of the first few."""

    count: int = 0
    first: list[int] = field(default_factory=list)


@dataclass
class Seen:
    """What is remembered of facts that went by. broken: by fact."""

    rows: int = 0
    set_aside: int = 0
    broken: dict[str, Broken] = field(default_factory=dict)

    def add(self, facts: pl.DataFrame, row_rules: Iterable[str]) -> None:
        """Remember a slice."""
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
    import great_expectations  # noqa: F401  its start is not part of the time that a suite takes

    start = time.perf_counter()
    suite, seen = make_suite(rules), Seen()
    evidence = _evidence(iter(slices), suite, seen)
    order = {expectation.description: at for at, expectation in enumerate(suite.expectations)}
    results = sorted(evidence["results"], key=lambda found: order[found["expectation_config"]["description"]])
    checks = tuple(_check(found, seen) for found in results)
    seconds = time.perf_counter() - start
    return Verdict(suite.name, seen.rows, seen.set_aside, checks, seconds, evidence)


def _evidence(slices: Iterator[pl.DataFrame], suite: ExpectationSuite, seen: Seen) -> dict[str, Any]:
    """Great Expectations' result for all the slices."""
    facts, more = next(slices), next(slices, None)
    if more is None:
        seen.add(facts, _row_rules(suite, facts))
        return _validate(_judged(facts, suite.expectations), suite, suite.expectations)
    by_row = [one for one in suite.expectations if about_rows(one)]
    by_table = [one for one in suite.expectations if not about_rows(one)]
    parts, census = [], pl.DataFrame()
    for part in chain((facts, more), slices):
        seen.add(part, _row_rules(suite, part))
        parts.append(_validate(_judged(part, by_row), suite, by_row))
        gc.collect()  # a context of Great Expectations holds its frame, and is held by itself
        census = pl.concat([census, _occurring(part)], how="diagonal").unique(maintain_order=True)
    return added(parts, _validate(census, suite, by_table))


def about_rows(expectation: Expectation) -> bool:
    """Whether it counts rows, so that its results for two parts of a table can be added."""
    counts = ("expect_column_values_to_be_in_set", "expect_table_row_count_to_be_between")
    return expectation.expectation_type in counts


def _row_rules(suite: ExpectationSuite, facts: pl.DataFrame) -> list[str]:
    """The yes-or-no facts that the suite wants to be false in every row."""
    wanted = dict.fromkeys(getattr(one, "column", "") for one in suite.expectations if about_rows(one))
    return [fact for fact in wanted if fact in facts.columns]


def _occurring(facts: pl.DataFrame) -> pl.DataFrame:
    """Every combination of table-wide values; of the group, that there is such a column."""
    occurring = facts.select(name for name in TABLE_WIDE if name in facts.columns).unique(maintain_order=True)
    return occurring.with_columns(pl.lit(None, pl.String).alias("group")) if "group" in facts.columns else occurring


def _validate(facts: pl.DataFrame, suite: ExpectationSuite, expectations: list[Expectation]) -> dict[str, Any]:
    """Great Expectations' result as plain JSON, which outlives its objects and versions."""
    import great_expectations as gx

    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("ratchet").add_dataframe_asset(suite.name)
    whole = asset.add_batch_definition_whole_dataframe("facts")
    batch = whole.get_batch(batch_parameters={"dataframe": facts.to_pandas()})
    asked = gx.ExpectationSuite(name=suite.name, expectations=expectations)
    result = batch.validate(asked, result_format="BASIC").to_json_dict()
    plain: dict[str, Any] = json.loads(json.dumps(result))
    return plain


def _judged(facts: pl.DataFrame, expectations: Iterable[Expectation]) -> pl.DataFrame:
    """The columns that these rules look at; turning the others into pandas would be time for nothing."""
    wanted = {getattr(expectation, "column", "row") for expectation in expectations} | {"row"}
    wanted |= {"split"} if wanted & {"label"} else set()
    return facts.select(column for column in facts.columns if column in wanted)


def _check(found: dict[str, Any], seen: Seen) -> Check:
    """A rule that Great Expectations could not judge refuses the table, whatever it asks for otherwise."""
    config = found["expectation_config"]
    fact = config["kwargs"].get("column")
    broken = seen.broken.get(fact) if config["kwargs"].get("value_set") == [False] else None
    judged = found["exception_info"].get("raised_exception") is False
    return Check(
        name=config["description"],
        severity=config["severity"] if judged else "critical",
        action=config["meta"]["action"] if judged else "refuse",
        success=found["success"],
        unexpected=None if broken is None else broken.count,
        share=None if broken is None else broken.count / max(seen.rows, 1),
        rows=() if broken is None else tuple(broken.first),
        observed=_observed(found, fact) if broken is None else _rows(broken.count, seen.rows),
    )


def _observed(found: dict[str, Any], fact: str | None) -> str:
    """What an expectation that is not about rows found, in words."""
    result = found["result"]
    if result.get("observed_value") is not None:
        value = result["observed_value"]
        return f"{value:.2%}." if str(fact).endswith("_share") else f"{value:,.0f}."
    odd = [
        f"{words} {', '.join(map(str, result[key]))}"
        for key, words in (("partial_missing_list", "without"), ("partial_unexpected_list", "besides"))
        if result.get(key)
    ]
    return f"{'; '.join(odd)}." if odd else "just so." if found["success"] else "nothing to judge by."


def _rows(broken: int, rows: int) -> str:
    return f"{broken:,} of {rows:,} rows ({broken / rows:.2%})." if broken else "no row breaks it."
