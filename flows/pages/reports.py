"""Results -> the words and tables of the UIs. Pure: every sentence here is made from the result that it speaks of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from expectations import Verdict
from flows.pages import links as addresses
from flows.registry.snapshot import Version
from ratchet.data.versions.quarantine import Quarantine
from ratchet.judging.gate import Decision
from ratchet.judging.metrics import METRICS, Scores
from ratchet.judging.must_list import BrokenMust, MustResult
from ratchet.judging.scorecard import ScorecardRow
from ratchet.judging.selection_bias import Figure
from ratchet.judging.slices import Slice
from ratchet.project.problem import Problem

FIGURES = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "macro_f1": "macro F1",
    "log_loss": "log loss (lower is better)",
    "ece": "calibration error (lower is better)",
}

Row = dict[str, str]

MOST_BROKEN, LONGEST = 100, 300
"""Lines of data/must.csv that a page lists, and characters of a text that it shows."""


GAP = "\u00a0\u00a0"
"""After each cell where a page sets none between columns, as MLflow's do not."""


def table(rows: Sequence[Mapping[str, str]], gap: str = "") -> str:
    """A Markdown table with the first row's keys as its head; the empty string for no rows."""
    if not rows:
        return ""
    head = list(rows[0])
    cells = [head, *([escaped(row[name]) for name in head] for row in rows)]
    lines = [[f"{cell}{gap}" for cell in line] for line in cells]
    lines.insert(1, ["---"] * len(head))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def escaped(cell: str) -> str:
    return " ".join(cell.replace("|", "\\|").split())


def validation(verdict: Verdict, lying: Quarantine | None, page: str) -> str:
    """The verdict, every check in words, failed ones first, and what lies aside, where, and how it comes back.

    page: the address of Great Expectations' own page.
    """
    failed = sorted((c for c in verdict.checks if not c.success), key=lambda c: c.severity != "critical")
    broken = [
        {
            "": "✗" if check.severity == "critical" else "!",
            "rule": check.name,
            "found": check.observed,
            "so": {"refuse": "table refused", "set aside": "row set aside", "flag": "flagged"}[check.action],
            "first rows": ", ".join(map(str, check.rows[:5])),
        }
        for check in failed
    ]
    held = [{"": "✓", "rule": check.name, "found": check.observed} for check in verdict.checks if check.success]
    aside = f"\n\n{set_aside(lying)}" if lying else ""
    shown = f"\n\n{table(broken)}" if broken else ""
    docs = f"[Great Expectations' own page]({page}), with the MLflow run."
    return f"{verdict.headline}{aside}{shown}\n\n{docs}\n\nThese hold:\n\n{table(held)}"


def set_aside(lying: Quarantine) -> str:
    """Rows in quarantine by reason, the first places, and how they are taken back."""
    counted = table([{"reason": reason, "rows": f"{rows:,}"} for reason, rows in lying.reasons])
    return (
        f"**{lying.rows:,} set aside**, no part of the data (first: {', '.join(lying.first)}):\n\n{counted}\n\n"
        f"Mend them in `{lying.path}` and take them back: `make data ADD={lying.path}`"
    )


def candidates(problem: Problem, found: Mapping[str, tuple[Scores, float]]) -> str:
    """How the candidates did on the validation rows, best first by the declared metric."""
    metric = problem.settings.evaluate.metric
    ordered = sorted(found.items(), key=lambda item: METRICS[metric].best(item[1][0]), reverse=True)
    return table([
        {
            "candidate": name,
            f"validation {METRICS[metric].words}": f"{getattr(scores, metric):.4f}",
            "macro F1": f"{scores.macro_f1:.4f}",
            "log loss": f"{scores.log_loss:.4f}",
            "seconds": f"{seconds:.1f}",
        }
        for name, (scores, seconds) in ordered
    ])  # fmt: skip


def scorecard(
    problem: Problem,
    challenger: Scores,
    champion: Scores | None,
    baseline: Scores,
    decision: Decision,
    corrected: Figure | None = None,
    champions: Figure | None = None,
) -> list[ScorecardRow]:
    """Metric by metric on the holdout; the one that decides has its interval, and both figures less their luck."""
    rows = []
    for name, words in FIGURES.items():
        decides = name == problem.settings.evaluate.metric
        rows.append(
            ScorecardRow(
                words,
                getattr(challenger, name),
                getattr(champion, name) if champion else None,
                getattr(baseline, name),
                decides,
                decision.interval if decides else None,
            )
        )
        if decides and corrected is not None and champions is not None:
            rows.append(ScorecardRow(f"{words}, less luck", corrected.value, champions.value, None))
    return rows


def scorecard_table(rows: Sequence[ScorecardRow]) -> str:
    """The scorecard as a Markdown table."""
    return table([row.cells | {"metric": f"{row.metric}{' *decides*' * row.decides}"} for row in rows])


def slices(
    problem: Problem, challenger: Mapping[str, Scores], champion: Mapping[str, Scores] | None, found: Sequence[Slice]
) -> list[Row]:
    """The declared metric, slice by slice. found: what the gate found of each, above 0 better."""
    metric, known = problem.settings.evaluate.metric, {slice.name: slice for slice in found}
    return [
        {
            "slice": name,
            "rows": f"{scores.rows:,}",
            f"challenger {METRICS[metric].words}": f"{getattr(scores, metric):.4f}",
            "champion": f"{getattr(champion[name], metric):.4f}" if champion and name in champion else "none",
            "better by [95% over all slices]": ahead(known.get(name)),
        }
        for name, scores in challenger.items()
    ]


def ahead(found: Slice | None) -> str:
    """`-0.0912 [-0.1302, -0.0522] *worse*`; nothing where no champion was there to be compared with."""
    if found is None:
        return ""
    low, high = found.interval
    return f"{found.ahead:+.4f} [{low:+.4f}, {high:+.4f}]{' *worse*' * found.harmed}"


def must(answered: MustResult | None) -> str:
    """How data/must.csv was answered, each line that was broken first; nothing where there is no list."""
    if answered is None:
        return ""
    rows = [
        {"line": f"{one.line}", "text": one.text[:LONGEST], "got": one.got, "must get": wanted(one)}
        for one in answered.broken[:MOST_BROKEN]
    ]
    more = len(answered.broken) - len(rows)
    parts = [f"{answered}.", table(rows), f"{more:,} more are not shown." if more else ""]
    return "\n\n## data/must.csv\n\n" + "\n\n".join(part for part in parts if part)


def wanted(broken: BrokenMust) -> str:
    return broken.must if broken.same_as is None else f"{broken.must}, as {broken.same_as[:LONGEST]}"


def decision(found: Decision, read_on: str) -> str:
    """The decision, what it stands on, and what comes next. read_on: links."""
    checks = [{"": "✓" if c.success else "✗", "condition": c.name, "found": c.detail} for c in found.checks]
    after = (
        "*deploy* makes it champion." if found.promote else "The champion stays; better data or candidates come first."
    )
    return f"{found.verdict}: {found.reason}\n\n{table(checks)}\n\nNext: {after}\n\n{read_on}"


def links(problem: Problem, version: Version, experiment: str, rival: Version | None = None) -> str:
    """Where to read on in MLflow, once `make ui` has opened it; rival: whom it may be compared with."""
    here = problem.here
    pages = {
        f"version {version.number}": addresses.version(here, problem.name, version.number),
        "its run": addresses.run(here, experiment, version.run_id),
        f"all of {problem.name}": addresses.model(here, problem.name),
    }
    if rival is not None:
        pages[f"side by side with version {rival.number}"] = addresses.comparison(
            here, experiment, version.run_id, rival.run_id
        )
    data = version.tags.get("data_version", problem.pin.version)
    pages[f"all builds on data {data[:8]}"] = addresses.built_on(here, experiment, data)
    return f"In MLflow: {addresses.markdown(pages)}."


def champion(live: Version, previous: Version | None, read_on: str) -> str:
    """Why it is live, where to read on, and the way back where there is one."""
    back = f"Before: version {previous.number} ({previous.model}); back to it: `make rollback`" if previous else ""
    return f"Why: {live.tags.get('decision_reason', '')}\n\n{read_on}\n\n{back or 'Nothing was live before.'}"
