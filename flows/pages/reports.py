"""Sentences and tables of both UIs. Pure: results enter, Markdown leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from expectations import Verdict
from flows.pages import links as addresses
from flows.registry.snapshot import Version
from ratchet.data.versions.quarantine import Quarantine
from ratchet.judging.gate import Decision
from ratchet.judging.metrics import Scores
from ratchet.judging.must_list import BrokenMust, MustResult
from ratchet.judging.scorecard import ScorecardRow
from ratchet.judging.selection_bias import CorrectedFigure
from ratchet.judging.slices import Slice
from ratchet.problem.problem import Problem

Row = dict[str, str]

MOST_BROKEN = 100
"""Broken lines of data/must.csv that a page lists."""
LONGEST = 300
"""Characters of a text of data/must.csv that a page shows."""
GAP = "\u00a0\u00a0"
"""Spaces after each cell, for MLflow's pages, which set none between columns."""


def table(rows: Sequence[Mapping[str, str]], gap: str = "") -> str:
    """Return a Markdown table with the first row's keys as its head; the empty string for no rows."""
    if not rows:
        return ""
    head = list(rows[0])
    cells = [head, *([escaped(row[name]) for name in head] for row in rows)]
    lines = [[f"{cell}{gap}" for cell in line] for line in cells]
    lines.insert(1, ["---"] * len(head))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def marked(columns: Sequence[str]) -> str:
    """Return the names of columns between backticks, as part of a sentence."""
    *others, last = [f"`{column}`" for column in columns]
    return f"{', '.join(others)} and {last}" if others else last


def escaped(cell: str) -> str:
    return " ".join(cell.replace("|", "\\|").split())


def validation(verdict: Verdict, quarantined: Quarantine | None, page: str) -> str:
    """Return the verdict, the failed and the passed checks, and the rows in quarantine with the way to take them back.

    Args:
        verdict: The verdict of a suite; failed checks come first.
        quarantined: The rows in quarantine, where there are any.
        page: The address of Great Expectations' own page.
    """
    failed = sorted(
        (check for check in verdict.checks if not check.success), key=lambda check: check.severity != "critical"
    )
    failed_rows = [
        {
            "": "✗" if check.severity == "critical" else "!",
            "rule": check.name,
            "found": check.observed,
            "so": {"refuse": "table refused", "set aside": "row set aside", "flag": "flagged"}[check.action],
            "first rows": ", ".join(map(str, check.rows[:5])),
        }
        for check in failed
    ]
    passed_rows = [{"": "✓", "rule": check.name, "found": check.observed} for check in verdict.checks if check.success]
    aside = f"\n\n{set_aside(quarantined)}" if quarantined else ""
    broken = f"\n\n{table(failed_rows)}" if failed_rows else ""
    docs = f"[Great Expectations' own page]({page}), with the MLflow run."
    return f"{verdict.headline}{aside}{broken}\n\n{docs}\n\nThese hold:\n\n{table(passed_rows)}"


def set_aside(quarantined: Quarantine) -> str:
    """Return the rows in quarantine by reason, the places of the first ones, and how they are taken back."""
    counted = table([{"reason": reason, "rows": f"{rows:,}"} for reason, rows in quarantined.reasons])
    return (
        f"**{quarantined.rows:,} set aside**, no part of the data (first: {', '.join(quarantined.first)}):\n\n"
        f"{counted}\n\n"
        f"Mend them in `{quarantined.path}` and take them back: `make data ADD={quarantined.path}`"
    )


def candidates(problem: Problem, results: Mapping[str, tuple[Scores, float]]) -> str:
    """Return a table of the candidates' scores on the validation rows, best first by the deciding metric."""
    metric = problem.settings.metric
    judging = problem.task.judging
    ordered = sorted(results.items(), key=lambda item: metric.best(item[1][0]), reverse=True)
    return table([
        {
            "candidate": name,
            f"validation {metric.words}": f"{getattr(scores, metric.name):.4f}",
            **{judging.METRICS[other].words: f"{getattr(scores, other):.4f}" for other in judging.COMPARED},
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
    corrected: CorrectedFigure | None = None,
    champions: CorrectedFigure | None = None,
) -> list[ScorecardRow]:
    """Return the metrics on the holdout; the deciding one has its interval, and both models' corrected figures.

    Args:
        problem: The problem, whose settings name the deciding metric.
        challenger: The challenger's scores.
        champion: The champion's scores, where there is one.
        baseline: The baseline's scores.
        decision: The gate's decision.
        corrected: The challenger's deciding metric, corrected for selection bias.
        champions: The champion's, likewise.
    """
    rows = []
    for name, words in problem.task.judging.FIGURES.items():
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
    """Return the scorecard as a Markdown table."""
    return table([row.cells | {"metric": f"{row.metric}{' *decides*' * row.decides}"} for row in rows])


def slices(
    problem: Problem,
    challenger: Mapping[str, Scores],
    champion: Mapping[str, Scores] | None,
    comparisons: Sequence[Slice],
) -> list[Row]:
    """Return the deciding metric of each slice as a row; `comparisons` are the gate's, above 0 better."""
    metric = problem.settings.metric
    by_name = {slice.name: slice for slice in comparisons}
    return [
        {
            "slice": name,
            "rows": f"{scores.rows:,}",
            f"challenger {metric.words}": f"{getattr(scores, metric.name):.4f}",
            "champion": f"{getattr(champion[name], metric.name):.4f}" if champion and name in champion else "none",
            "better by [95% over all slices]": ahead(by_name.get(name)),
        }
        for name, scores in challenger.items()
    ]


def ahead(comparison: Slice | None) -> str:
    """Return `-0.0912 [-0.1302, -0.0522] *worse*`; empty where there was no champion to compare with."""
    if comparison is None:
        return ""
    low, high = comparison.interval
    return f"{comparison.ahead:+.4f} [{low:+.4f}, {high:+.4f}]{' *worse*' * comparison.harmed}"


def must(result: MustResult | None) -> str:
    """Return the answers to data/must.csv, broken lines first; empty where there is no list."""
    if result is None:
        return ""
    rows = [
        {"line": f"{broken.line}", "text": broken.text[:LONGEST], "got": broken.got, "must get": wanted(broken)}
        for broken in result.broken[:MOST_BROKEN]
    ]
    more = len(result.broken) - len(rows)
    parts = [f"{result}.", table(rows), f"{more:,} more are not shown." if more else ""]
    return "\n\n## data/must.csv\n\n" + "\n\n".join(part for part in parts if part)


def wanted(broken: BrokenMust) -> str:
    """Return the answer that the line demands."""
    return broken.must if broken.same_as is None else f"{broken.must}, as {broken.same_as[:LONGEST]}"


def decision(decision: Decision, read_on: str) -> str:
    """Return the decision, its conditions, and what comes next; `read_on` are links."""
    checks = [
        {"": "✓" if check.success else "✗", "condition": check.name, "found": check.detail} for check in decision.checks
    ]
    next_step = (
        "*deploy* makes it champion."
        if decision.promote
        else "The champion stays; better data or candidates come first."
    )
    return f"{decision.verdict}: {decision.reason}\n\n{table(checks)}\n\nNext: {next_step}\n\n{read_on}"


def links(problem: Problem, version: Version, experiment: str, rival: Version | None = None) -> str:
    """Return links to MLflow's pages on a version, which answer once `make ui` runs.

    Args:
        problem: The problem.
        version: The version.
        experiment: The id of the problem's experiment.
        rival: The version that it may be compared with.
    """
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
    """Return why the champion is live, where to read on, and the way back where there is one."""
    back = f"Before: version {previous.number} ({previous.model}); back to it: `make rollback`" if previous else ""
    return f"Why: {live.tags.get('decision_reason', '')}\n\n{read_on}\n\n{back or 'Nothing was live before.'}"
