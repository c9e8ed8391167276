"""The suites of Great Expectations: one file for each border that data crosses, discovered in this folder.

The facts of a table enter `check`, a Verdict leaves. A suite is a file `expectations/<name>.py` with a function
`suite(rules) -> ExpectationSuite`. Each expectation has a description (the rule as a sentence, which the UIs show), a
severity, and an action in `meta`. Great Expectations takes seconds to load, so `check` loads it, and not the import.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from expectations.rules import Rules, rules_of
from expectations.verdict import Check, Verdict

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SLICE", "Check", "Rules", "Verdict", "check", "check_slices", "load", "names", "rules_of"]

_NOT_SUITES = {"__init__", "docs", "engine", "rules", "verdict"}

SLICE = 500_000
"""Rows of facts that Great Expectations judges at a time; as a pandas frame they take some tens of MB."""


def names() -> tuple[str, ...]:
    """The names of all suites, sorted: the other files of this folder."""
    paths = Path(__file__).parent.glob("*.py")
    return tuple(sorted(path.stem for path in paths if path.stem not in _NOT_SUITES))


def load() -> None:
    """Load Great Expectations ahead, while something else has to be waited for."""
    import_module("expectations.engine")
    for name in names():
        import_module(f"expectations.{name}").suite(Rules())


def check(facts: pl.DataFrame, suite: str, rules: Rules) -> Verdict:
    """The verdict of a suite on the facts of a table (ratchet/data/prepare/table_facts.py).

    Raises:
        LookupError: there is no such suite.
    """
    return check_slices([facts], suite, rules)


def check_slices(slices: Iterable[pl.DataFrame], suite: str, rules: Rules) -> Verdict:
    """The verdict on a long table, whose facts come in one or more slices of at most SLICE rows (`TableFacts.slices`).

    Raises:
        LookupError: there is no such suite.
    """
    if suite not in names():
        raise LookupError(f"A suite must be one of {', '.join(names())}. Received: {suite!r}.")
    from expectations.engine import judge

    return judge(slices, import_module(f"expectations.{suite}").suite, rules)
