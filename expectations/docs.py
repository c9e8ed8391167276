"""The validation page: a Verdict enters, one HTML text leaves, with every check and Great Expectations' own record.

Great Expectations' own page loads styles and scripts from third-party hosts. This page has its style inline (docs.html)
and no script, so it reads the same offline, in a mail, or after ten years.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expectations.verdict import Verdict

if TYPE_CHECKING:
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
    from jinja2 import Template

CONSEQUENCES = {
    "refuse": "the table is refused",
    "set aside": "the row is set aside",
    "flag": "a person is told",
}
"""What follows from a broken rule, by the action of its Check."""

DEAD_LINK = r'<a href="\.\./[^"]*"\s*>(.*?)</a>'
"""A link to other pages of Great Expectations' site, which is not built."""


def render(verdict: Verdict) -> str:
    """The whole page, which refers to nothing outside itself."""
    from markupsafe import Markup

    record = Markup(_record(verdict.evidence))  # its strings are escaped by `_printable`
    return _template().render(verdict=verdict, consequences=CONSEQUENCES, record=record)


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("docs.html")


def _record(evidence: Mapping[str, Any]) -> str:
    """The sections of Great Expectations' validation page, rendered by its own code."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaSectionView

    document: Any = ValidationResultsPageRenderer(run_info_at_end=True).render(_result(_printable(evidence)))
    view: Any = DefaultJinjaSectionView()
    sections = [
        view.render({"section": section, "section_loop": {"index": index}})
        for index, section in enumerate(document.to_json_dict()["sections"], start=1)
    ]
    return re.sub(DEAD_LINK, r"\1", "\n".join(sections))


def _result(evidence: dict[str, Any]) -> ExpectationSuiteValidationResult:
    from great_expectations.core.expectation_validation_result import expectationSuiteValidationResultSchema

    result: ExpectationSuiteValidationResult = expectationSuiteValidationResultSchema.load(evidence)
    return result


def _printable(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """The evidence in a form that Great Expectations 1.24 can print.

    Great Expectations does not escape observed values, so a label could carry a script. It also fails on a count of
    unexpected values without their share, as its expectations about distinct values give it.
    """
    results = [dict(result, result=_escaped(_without_lone_count(result["result"]))) for result in evidence["results"]]
    return dict(evidence, results=results)


def _without_lone_count(result: dict[str, Any]) -> dict[str, Any]:
    is_lone = "unexpected_count" in result and result.get("unexpected_percent") is None
    return dict(result, unexpected_count=0) if is_lone else result


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _escaped(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    return escape(value) if isinstance(value, str) else value
