"""The suites of Great Expectations, one file for each border that data crosses, found by being here.

A table's facts enter `check`, a Verdict leaves. A file `expectations/<name>.py` is a suite when it has a
function `suite(rules) -> ExpectationSuite` whose every expectation has a description (the rule as a
sentence, which the UIs show), a severity, and in `meta` an action. Great Expectations takes seconds to
load, so it loads in `check` and not before.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from expectations.rules import Rules
from expectations.verdict import Check, Verdict

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SLICE", "Check", "Rules", "Verdict", "check", "check_slices", "load", "names"]

_NOT_SUITES = {"__init__", "docs", "engine", "rules", "tally", "verdict"}

SLICE = 500_000
"""Rows of facts that Great Expectations judges at a time: as pandas they take some tens of MB."""


def names() -> tuple[str, ...]:
    """The names of all suites, sorted: the files beside this one."""
    return tuple(sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in _NOT_SUITES))


def load() -> None:
    """Load Great Expectations now, for whoever has something else to wait for meanwhile."""
    import_module("expectations.engine")
    for name in names():
        import_module(f"expectations.{name}").suite(Rules())


def check(facts: pl.DataFrame, suite: str, rules: Rules | None = None) -> Verdict:
    """What the suite of that name says of these facts (`ratchet.data.prepare.row_facts.measure` makes them).

    Raises:
        LookupError: there is no such suite.
    """
    return check_slices([facts], suite, rules)


def check_slices(slices: Iterable[pl.DataFrame], suite: str, rules: Rules | None = None) -> Verdict:
    """The same for a long table, whose facts come in slices of at most SLICE rows, one or more (`Survey.slices`).

    Raises:
        LookupError: there is no such suite.
    """
    if suite not in names():
        raise LookupError(f"A suite must be one of {', '.join(names())}. Received: {suite!r}.")
    from expectations.engine import judge

    return judge(slices, import_module(f"expectations.{suite}").suite, rules or Rules())
