"""The verdict as a page: what was asked of a table, what was found, and Great Expectations' own record.

A Verdict enters, one HTML text leaves. Great Expectations' page takes its looks and scripts from other
people's hosts; this one has a style sheet of its own and no script, so it reads the same offline, in a
mail, or kept for ten years.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from expectations.verdict import Check, Verdict

if TYPE_CHECKING:
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; }
h5, h6 { font-size: 1rem; margin: 1rem 0 .2rem; }
details { margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .3rem .6rem; vertical-align: top; }
tr + tr td { border-top: 1px solid #8884; }
.good, .text-success { color: #1e8449; }
.warn, .text-warning { color: #b9770e; }
.bad, .text-danger { color: #c0392b; }
.fa-check-circle::before { content: "✓"; }
.fa-times::before { content: "✗"; }
.fa-exclamation-triangle::before { content: "!"; }
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{style}</style></head>
<body>
<h1>{headline}</h1>
<table>
<thead><tr><th></th><th>Rule</th><th>Found</th><th>If broken</th><th>First rows</th></tr></thead>
<tbody>
{checks}
</tbody>
</table>
<details><summary>The record of Great Expectations</summary>
{record}
</details>
</body></html>
"""

ROW = '<tr><td class="{look}">{mark}</td>{cells}</tr>'

IF_BROKEN = {
    "refuse": "the table is refused",
    "set aside": "the row is set aside",
    "flag": "a person is told",
}

DEAD_LINK = r'<a href="\.\./[^"]*"\s*>(.*?)</a>'
"""A link to other pages of Great Expectations' site, which is not built."""


def render(verdict: Verdict) -> str:
    """The whole page, which refers to nothing outside itself."""
    return PAGE.format(
        title=escape(f"Validation of the {verdict.suite} table"),
        style=STYLE,
        headline=escape(verdict.headline),
        checks="\n".join(map(_row, verdict.checks)),
        record=_record(verdict.evidence),
    )


def _row(check: Check) -> str:
    failed = ("bad", "✗") if check.severity == "critical" else ("warn", "!")
    look, mark = ("good", "✓") if check.success else failed
    texts = (check.name, check.observed, IF_BROKEN[check.action], ", ".join(map(str, check.rows)))
    return ROW.format(look=look, mark=mark, cells="".join(f"<td>{escape(text)}</td>" for text in texts))


def _record(evidence: Mapping[str, Any]) -> str:
    """The sections of Great Expectations' validation page, rendered by its own code."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view.view import DefaultJinjaSectionView

    document: Any = ValidationResultsPageRenderer(run_info_at_end=True).render(_result(_printable(evidence)))
    view: Any = DefaultJinjaSectionView()
    sections = [
        view.render({"section": section, "section_loop": {"index": at}})
        for at, section in enumerate(document.to_json_dict()["sections"], start=1)
    ]
    return re.sub(DEAD_LINK, r"\1", "\n".join(sections))


def _result(evidence: dict[str, Any]) -> ExpectationSuiteValidationResult:
    from great_expectations.core.expectation_validation_result import expectationSuiteValidationResultSchema

    loaded: ExpectationSuiteValidationResult = expectationSuiteValidationResultSchema.load(evidence)
    return loaded


def _printable(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """The evidence as Great Expectations 1.24 can print it.

    It does not escape what it found, so a label could carry a script. And it stumbles over a count of
    unexpected values without their share, which its expectations about distinct values leave.
    """
    results = evidence["results"]
    mended = [dict(one, result=_escaped(_without_lone_count(one["result"]))) for one in results]
    return dict(evidence, results=mended)


def _without_lone_count(found: dict[str, Any]) -> dict[str, Any]:
    alone = "unexpected_count" in found and found.get("unexpected_percent") is None
    return dict(found, unexpected_count=0) if alone else found


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _escaped(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    return escape(value) if isinstance(value, str) else value
