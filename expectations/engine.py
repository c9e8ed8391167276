"""Runs a suite: facts and a suite enter, a Verdict leaves. No file is written, no network called."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import polars as pl

from expectations.rules import Rules
from expectations.verdict import Check, Verdict

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite

EXAMPLES = 5
"""Row numbers named in a failed check: enough to go and look."""


def judge(facts: pl.DataFrame, make_suite: Callable[[Rules], ExpectationSuite], rules: Rules) -> Verdict:
    """The verdict of one suite over one table's facts."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations  # noqa: F401  its start is not part of the time that a suite takes

    start = time.perf_counter()
    suite = make_suite(rules)
    evidence = _validate(facts, suite)
    order = {expectation.description: at for at, expectation in enumerate(suite.expectations)}
    results = sorted(evidence["results"], key=lambda found: order[found["expectation_config"]["description"]])
    checks = tuple(_check(found, facts) for found in results)
    seconds = time.perf_counter() - start
    return Verdict(suite.name, facts.height, int(facts["set_aside"].sum()), checks, seconds, evidence)


def _validate(facts: pl.DataFrame, suite: ExpectationSuite) -> dict[str, Any]:
    """Great Expectations' result as plain JSON, which outlives its objects and versions."""
    import great_expectations as gx

    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("ratchet").add_dataframe_asset(suite.name)
    whole = asset.add_batch_definition_whole_dataframe("facts")
    batch = whole.get_batch(batch_parameters={"dataframe": _judged(facts, suite).to_pandas()})
    result = batch.validate(suite, result_format="BASIC").to_json_dict()
    plain: dict[str, Any] = json.loads(json.dumps(result))
    return plain


def _judged(facts: pl.DataFrame, suite: ExpectationSuite) -> pl.DataFrame:
    """The columns that the suite looks at; turning the others into pandas would be time for nothing."""
    wanted = {getattr(expectation, "column", "row") for expectation in suite.expectations} | {"row", "split"}
    return facts.select(column for column in facts.columns if column in wanted)


def _check(found: dict[str, Any], facts: pl.DataFrame) -> Check:
    config = found["expectation_config"]
    fact = config["kwargs"].get("column")
    about_rows = config["kwargs"].get("value_set") == [False] and fact in facts.columns
    broken = facts.filter(pl.col(fact))["row"] if about_rows else None
    return Check(
        name=config["description"],
        severity=config["severity"],
        action=config["meta"]["action"],
        success=found["success"],
        unexpected=None if broken is None else len(broken),
        share=None if broken is None else len(broken) / max(facts.height, 1),
        rows=() if broken is None else tuple(broken.head(EXAMPLES).to_list()),
        observed=_observed(found, fact) if broken is None else _rows(len(broken), facts.height),
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
    return f"{'; '.join(odd)}." if odd else "as it should be." if found["success"] else "nothing to judge by."


def _rows(broken: int, rows: int) -> str:
    return f"{broken:,} of {rows:,} rows ({broken / rows:.2%})." if broken else "no such row."
