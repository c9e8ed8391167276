"""What a look at live traffic found, in words: a verdict first, what to do next, tables, pictures. A Drift enters.

The same sections leave as Markdown, for the artifact `drift-report` in Prefect, and as a page of HTML that needs no
other host, for state/reports/ and MLflow. No text that anybody sent is in either.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from flows.pages import charts, reports
from ratchet.monitoring.drift import alpha_spending
from ratchet.monitoring.drift.accuracy import Accuracy
from ratchet.monitoring.drift.drift import STANDS, Drift
from ratchet.monitoring.drift.performance_estimate import Rate
from ratchet.monitoring.drift.two_sample import Shift
from ratchet.project.paths import ROOT

MOST_CLASSES = 8
"""Classes whose shares are shown, those that moved most."""
STYLE = ROOT / "ratchet" / "serving" / "pages" / "templates" / "page.css"
TABLES = "table{border-collapse:collapse;width:100%;font-size:.93rem}th,td{text-align:left;padding:.3rem .8rem .3rem 0;\
border-top:1px solid var(--line)}img{max-width:100%;background:#fff;border-radius:.5rem}"
"""What the service's style has not, for it shows no table."""
PROMISE = (
    f"Each look may spend only what has come in since the one before, {alpha_spending.ALPHA:.0%} in a month: so of a "
    "hundred months of unchanged traffic at most five have a false alarm, however often one looks."
)
SIGNS = (
    "✗ moved; ? moved, it seems, and the next looks will tell. In the picture grey is when it was judged, blue lately, "
    "orange what moved."
)


@dataclass(frozen=True)
class Section:
    """A part of the report. picture: the address of one; empty for none."""

    title: str
    words: str = ""
    rows: tuple[Mapping[str, str], ...] = ()
    picture: str = ""


@dataclass(frozen=True)
class Report:
    """All of it. subject: whose traffic this is, and when it was looked at."""

    verdict: str
    subject: str
    next: str
    sections: tuple[Section, ...]


def report(problem: str, version: int, model: str, at: float, found: Drift) -> Report:
    """The report of one look. at: seconds since 1970."""
    moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
    subject = f"Version {version} ({model}) of {problem}, looked at {moment} UTC."
    sections = (compared(found), of_accuracy(found.accuracy), of_classes(found))
    return Report(found.verdict, subject, what_next(found), tuple(part for part in sections if part is not None))


def what_next(found: Drift) -> str:
    """What a person would do now."""
    known, surely = found.accuracy.holdout, found.accuracy.always
    if known and surely and surely.high < known.low:
        return (
            f"Next: it is right less often than when it was judged ({surely} of all audited answers, {known} then). "
            "Correct answers on the service's page, and turn the loop: make optimise, then make run."
        )
    if found.drifted:
        return (
            "Next: label some of the newest texts, on the service's page or in a table for make data ADD=file, "
            "and turn the loop: make run."
        )
    return "Next: nothing needs doing. What the service and make predict answer is logged, and the next look sees it."


def compared(found: Drift) -> Section | None:
    """What was compared, and how."""
    if not found.shifts:
        return None
    rows = tuple(as_row(shift) for shift in found.shifts)
    picture = charts.as_address(charts.as_png(charts.shifts(found.shifts)))
    return Section("What moved", " ".join(filter(None, (PROMISE, SIGNS, found.unread))), rows, picture)


def as_row(shift: Shift) -> dict[str, str]:
    suspected = shift.effect >= shift.worth and shift.p_value <= STANDS
    return {
        "": "✗" if shift.drifted else "?" if suspected else "✓",
        "what": shift.what,
        "when it was judged": shift.reference,
        "lately": shift.recent,
        "moved by": f"{shift.effect:.3f} (of note from {shift.worth:g})",
        "p": f"{shift.p_value:.2g}",
    }


def of_accuracy(known: Accuracy) -> Section | None:
    """What is known of the accuracy, and how far the estimate can be trusted."""
    figures = named(known)
    if not figures:
        return None
    rows = tuple(
        {"accuracy": name, "": f"{figure.value:.1%}", "95% interval": f"{figure.low:.1%} to {figure.high:.1%}",
         "rows": f"{figure.rows:,}"}
        for name, figure in figures.items()
    )  # fmt: skip
    return Section(
        "How often it is right",
        " ".join(trust(known)),
        rows,
        charts.as_address(charts.as_png(charts.accuracies(figures))),
    )


def named(known: Accuracy) -> dict[str, Rate]:
    """The accuracies that are known, by their names."""
    figures = {
        charts.HOLDOUT: known.holdout,
        "now, estimated without labels": known.estimated,
        "now, on audited answers": known.measured,
        "on all audited answers, for all looks": known.always if known.measured else None,
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


def trust(known: Accuracy) -> list[str]:
    """Sentences on the estimate's error and on calibration."""
    said = []
    if known.usual_error is not None:
        said.append(
            f"On {len(known.held_back)} held-back parts of the holdout the estimate was off by "
            f"{100 * known.usual_error:.1f} points on average."
        )
    if known.missed is not None:
        said.append(f"On the audited answers it is off by {100 * known.missed:+.1f} points.")
    if known.estimated is not None:
        said.append("It sees texts that became harder, not labels that changed their meaning; audited labels see both.")
    if known.honesty is not None:
        said.append(
            f"On them the model was {known.honesty.sure:.1%} sure and {known.honesty.right:.1%} right; "
            f"calibration error {known.honesty.error:.3f}."
        )
    return said


def of_classes(found: Drift) -> Section | None:
    """How often each class occurs now, the model's usual mistakes undone."""
    if not found.shares:
        return None
    rows = tuple(
        {"class": prior.label, "of the holdout": f"{prior.reference:.1%}", "now": f"{prior.recent:.1%}",
         "95% interval": f"{prior.low:.1%} to {prior.high:.1%}"}
        for prior in found.shares[:MOST_CLASSES]
    )  # fmt: skip
    words = "Shares of the classes as the answers tell them, with the mistakes that it made on the holdout undone."
    return Section("Which classes occur", words, rows)


def as_markdown(told: Report) -> str:
    """The artifact's text, the verdict its first line."""
    parts = [told.verdict, told.next, told.subject]
    for section in told.sections:
        parts += [f"## {section.title}", section.words, reports.table(section.rows)]
        parts.append(f"![{section.title}]({section.picture})" if section.picture else "")
    return "\n\n".join(part for part in parts if part)


def as_html(told: Report) -> str:
    """The same as a page that holds all it needs."""
    body = "".join(map(section_html, told.sections))
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="content-security-policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(told.verdict)}</title><style>{style()}{TABLES}</style></head><body><main>"
        f"<h1>{html.escape(told.verdict)}</h1><p>{html.escape(told.next)}</p><p>{html.escape(told.subject)}</p>"
        f"{body}</main></body></html>\n"
    )


def section_html(section: Section) -> str:
    shown = f'<p><img src="{section.picture}" alt="{html.escape(section.title)}"></p>' if section.picture else ""
    words = f"<p>{html.escape(section.words)}</p>" if section.words else ""
    return f"<section><h2>{html.escape(section.title)}</h2>{words}{table_html(section.rows)}{shown}</section>"


def table_html(rows: tuple[Mapping[str, str], ...]) -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in rows[0])
    lines = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row.values()) for row in rows)
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(f'<tr>{line}</tr>' for line in lines)}</tbody></table>"
    )


@cache
def style() -> str:
    """The look of the service's page."""
    return STYLE.read_text(encoding="utf-8")
