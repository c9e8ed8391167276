"""The report of a drift check: a Drift enters; verdict, next step, tables and pictures leave.

The same sections leave as Markdown, for the artifact `drift-report` in Prefect, and as an HTML page that needs no other
host, for state/reports/ and MLflow. Neither has an input that anybody sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from flows.pages import charts, reports
from ratchet.monitoring.drift import alpha_spending
from ratchet.monitoring.drift.accuracy import Accuracy
from ratchet.monitoring.drift.drift import STANDS, Drift
from ratchet.monitoring.drift.performance_estimate import Rate
from ratchet.monitoring.drift.two_sample import Shift
from ratchet.serving.pages import html
from ratchet.tasks import Task

if TYPE_CHECKING:
    from jinja2 import Template

MOST_CLASSES = 8
"""Classes whose shares are shown, those that moved most."""
TEMPLATES = Path(__file__).parent / "templates"
PROMISE = (
    f"Each look may spend only the share of {alpha_spending.ALPHA:.0%} a month that has come in since the last look: "
    "so of a hundred months of unchanged traffic at most five have a false alarm, however often the looks are."
)
SIGNS = (
    "✗ moved; ? seems to have moved, which the next looks will settle. In the picture, grey is when it was judged, "
    "blue lately, orange what moved."
)


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        title: The heading.
        words: Sentences below it.
        rows: The rows of a table.
        picture: The address of a picture; empty for none.
    """

    title: str
    words: str = ""
    rows: tuple[Mapping[str, str], ...] = ()
    picture: str = ""


@dataclass(frozen=True)
class Report:
    """The whole report.

    Attributes:
        verdict: The first line.
        subject: The version whose traffic was checked, and the time.
        next: What to do next.
        sections: The parts that there is something to say in.
    """

    verdict: str
    subject: str
    next: str
    sections: tuple[Section, ...]


def make_report(task: Task, problem: str, version: int, model: str, at: float, drift: Drift) -> Report:
    """Make the report of one drift check; `at` is its time in seconds since 1970."""
    moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
    subject = f"Version {version} ({model}) of {problem}, looked at {moment} UTC."
    sections = (shift_section(drift), accuracy_section(task, drift.accuracy), class_section(drift))
    return Report(drift.verdict, subject, next_step(task, drift), tuple(part for part in sections if part is not None))


def next_step(task: Task, drift: Drift) -> str:
    """Return what a person should do now."""
    holdout = drift.accuracy.holdout
    always = drift.accuracy.always
    if holdout and always and always.high < holdout.low:
        return (
            f"Next: it is right less often than when it was judged ({always} of all audited answers, {holdout} then). "
            "Correct answers on the service's page, and turn the loop: make optimise, then make run."
        )
    if drift.drifted and not task.can("feedback"):
        return "Next: bring newer rows in a table, make data ADD=file, and turn the loop: make run."
    if drift.drifted:
        return (
            f"Next: label some of the newest {task.units}, on the service's page or in a table for make data "
            "ADD=file, and turn the loop: make run."
        )
    return "Next: nothing needs doing. What the service and make predict answer is logged, and the next look sees it."


def shift_section(drift: Drift) -> Section | None:
    """Return the comparisons of recent traffic with the holdout."""
    if not drift.shifts:
        return None
    rows = tuple(as_row(shift) for shift in drift.shifts)
    picture = charts.as_address(charts.as_png(charts.shifts(drift.shifts)))
    return Section("What moved", " ".join(filter(None, (PROMISE, SIGNS, drift.unread))), rows, picture)


def as_row(shift: Shift) -> dict[str, str]:
    """Return one comparison as a row of the table."""
    suspected = shift.effect >= shift.worth and shift.p_value <= STANDS
    return {
        "": "✗" if shift.drifted else "?" if suspected else "✓",
        "what": shift.what,
        "when it was judged": shift.reference,
        "lately": shift.recent,
        "moved by": f"{shift.effect:.3f} (of note from {shift.worth:g})",
        "p": f"{shift.p_value:.2g}",
    }


def accuracy_section(task: Task, accuracy: Accuracy) -> Section | None:
    """Return the accuracies that are known, and how far the estimate can be trusted."""
    rates = known_rates(accuracy)
    if not rates:
        return None
    rows = tuple(
        {"accuracy": name, "": f"{rate.value:.1%}", "95% interval": f"{rate.low:.1%} to {rate.high:.1%}",
         "rows": f"{rate.rows:,}"}
        for name, rate in rates.items()
    )  # fmt: skip
    picture = charts.as_address(charts.as_png(charts.accuracies(rates)))
    return Section("How often it is right", " ".join(describe_trust(task, accuracy)), rows, picture)


def known_rates(accuracy: Accuracy) -> dict[str, Rate]:
    """Return the accuracies that are known, by their names."""
    rates = {
        charts.HOLDOUT: accuracy.holdout,
        "now, estimated without labels": accuracy.estimated,
        "now, on audited answers": accuracy.measured,
        "on all audited answers, for all looks": accuracy.always if accuracy.measured else None,
    }
    return {name: rate for name, rate in rates.items() if rate is not None}


def describe_trust(task: Task, accuracy: Accuracy) -> list[str]:
    """Return sentences on the estimate's error and on calibration."""
    sentences = []
    if accuracy.usual_error is not None:
        sentences.append(
            f"On {len(accuracy.held_back)} held-back parts of the holdout the estimate was off by "
            f"{100 * accuracy.usual_error:.1f} points on average."
        )
    if accuracy.missed is not None:
        sentences.append(f"On the audited answers it is off by {100 * accuracy.missed:+.1f} points.")
    if accuracy.estimated is not None:
        sentences.append(
            f"It sees {task.units} that became harder, not labels that changed their meaning; audited labels see both."
        )
    if accuracy.honesty is not None:
        sentences.append(
            f"On them the model was {accuracy.honesty.sure:.1%} sure and {accuracy.honesty.right:.1%} right; "
            f"calibration error {accuracy.honesty.error:.3f}."
        )
    return sentences


def class_section(drift: Drift) -> Section | None:
    """Return how often each class occurs now, corrected for the model's mistakes on the holdout."""
    if not drift.shares:
        return None
    rows = tuple(
        {"class": prior.label, "of the holdout": f"{prior.reference:.1%}", "now": f"{prior.recent:.1%}",
         "95% interval": f"{prior.low:.1%} to {prior.high:.1%}"}
        for prior in drift.shares[:MOST_CLASSES]
    )  # fmt: skip
    words = "Shares of the classes among the answers, corrected for the mistakes that the model made on the holdout."
    return Section("Which classes occur", words, rows)


def as_markdown(report: Report) -> str:
    """Return the artifact's text, with the verdict as its first line."""
    parts = [report.verdict, report.next, report.subject]
    for section in report.sections:
        parts += [f"## {section.title}", section.words, reports.table(section.rows)]
        parts.append(f"![{section.title}]({section.picture})" if section.picture else "")
    return "\n\n".join(part for part in parts if part)


def as_html(report: Report) -> str:
    """Return the report as an HTML page that holds everything it needs."""
    return template().render(report=report)


@cache
def template() -> Template:
    """Return the page's template, with the style sheet and the escaping of the service's pages."""
    from jinja2 import FileSystemLoader

    return html.environment().overlay(loader=FileSystemLoader(TEMPLATES)).get_template("drift_report.html")
