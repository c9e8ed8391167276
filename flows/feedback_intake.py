"""Feedback becomes data: collected from the log, judged by its expectations, and pinned as a new data version."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact

import expectations
from expectations import Verdict, docs
from flows.pages import links, reports
from flows.registry.registry import Registry
from flows.registry.snapshot import Version
from flows.runs.stage import problem_and_registry, say, step
from ratchet.data.incoming import incoming_table
from ratchet.data.tables import canonical_csv
from ratchet.data.versions import dvc_repo, feedback_table, git, quarantine, transaction
from ratchet.monitoring import feedback, retrain_state
from ratchet.monitoring.feedback import FeedbackBatch
from ratchet.monitoring.log import database, predictions
from ratchet.project import data_pin
from ratchet.project.errors import Refusal
from ratchet.project.problem import Problem
from ratchet.state import ledger
from ratchet.state.ledger import DataChange

PAGE = "data-docs/feedback.html"
"""Great Expectations' own page, with the run of the version that was asked."""
CONTINUES = " It continues: no row changes its side of the split."
"""How the ledger's line begins and ends."""


def brings_more(by: str) -> bool:
    """Take in what people said, and say whether the data is another than that of the last turn."""
    problem, registry = problem_and_registry()
    live = registry.champion()
    if live is None:
        raise Refusal("Labels are taken in for a champion.", "none is live", "Turn the loop once: make run")
    bring_in(problem, registry, live, by)
    more = retrain_state.changed(problem)
    if not more:
        say("Nothing is there to learn from that the last turn had not, so no turn is made.")
    return more


def bring_in(problem: Problem, registry: Registry, live: Version, by: str) -> str:
    """Three steps that Prefect shows: what waits, whether it may come in, and the new data version; by: the trigger.

    Returns:
        What became of it, in a sentence.
    """
    given = predictions.untaken(database.place(problem.here), problem.name)
    found = collect(problem)
    verdict = validate(problem, registry, live, found) if found.said.height else None
    if verdict is not None and not verdict.passed:
        retrain_state.collected(
            problem, feedback.settle(problem, given, None), feedback_table.kept(problem.here.data).height
        )
        return kept_out(verdict)
    if verdict is not None:
        pin(problem, found, by)
    if problem.settings.optimise.commit:
        commit(problem)
    retrain_state.collected(problem, feedback.settle(problem, given, found), found.kept.height)
    return str(found)


def kept_out(verdict: Verdict) -> str:
    return f"No label was taken in, and all stay in the log. {verdict.headline} See the artifact data-validation."


@step("Collect feedback")
def collect(problem: Problem) -> FeedbackBatch:
    """What people said of the champion's answers since it was last collected, weighed against the pinned data."""
    waiting = feedback.waiting(problem)
    if waiting.height:
        dvc_repo.fetch(problem.here, problem.pin, incoming_table.rebuilder(problem.here, problem.pin.source))
    found = feedback.collect(problem, waiting)
    say(str(found))
    return found


@step("Validate feedback")
def validate(problem: Problem, registry: Registry, live: Version, found: FeedbackBatch) -> Verdict:
    """May these labels teach? Great Expectations judges; what may not is set aside with its reason, never dropped.

    Where the suite fails, none comes in and nothing is set aside: all of it is weighed again the next time.
    """
    verdict = expectations.check(found.facts, "feedback")
    if verdict.passed and found.aside.height:
        feedback.lay_aside(problem, found.aside, say)
    registry.log_text(live.run_id, docs.render(verdict), PAGE)
    page = links.artifact(problem.here, registry.experiment(), live.run_id, PAGE)
    shown = reports.validation(verdict, lying(problem), page)
    words = shown if verdict.passed else f"{kept_out(verdict)}\n\n{shown}"
    create_markdown_artifact(words, key="data-validation", description=title(verdict))
    say(verdict.headline if verdict.passed else kept_out(verdict))
    return verdict


def title(verdict: Verdict) -> str:
    if not verdict.passed:
        return f"Feedback: refused, none of {verdict.rows:,} labels taken"
    aside = f", {verdict.set_aside:,} set aside" if verdict.set_aside else ""
    return f"Feedback: {verdict.rows - verdict.set_aside:,} labels taken{aside}"


def lying(problem: Problem) -> quarantine.Quarantine | None:
    return quarantine.summary_of(problem.here, feedback.aside_path(problem.here, problem.name))


@step("Pin the new data version")
def pin(problem: Problem, found: FeedbackBatch, by: str) -> None:
    """The pinned table with what people said behind it; data.dvc names it, and git has it where that is wished."""
    here = problem.here
    if found.kept.equals(feedback_table.kept(here.data)):
        say("Nothing new to learn from: the data stays as it is.")
        return
    with transaction.laying_out(here) as folder:
        for name in (data_pin.TABLE, data_pin.SPLIT, data_pin.MUST):
            if (here.data / name).exists():
                transaction.beside(here.data / name, folder / name)
        canonical_csv.write(found.kept, folder / data_pin.FEEDBACK)
        source = data_pin.made_from(problem.pin.source, feedback=True, must=(folder / data_pin.MUST).exists())
        pinned = dvc_repo.into_cache(here, folder, source)
        transaction.make(here, pinned, None, None, line(problem, found, pinned.version, by), [])
    say(f"data.dvc pins {pinned.short}: {found.kept.height:,} rows of feedback beside the table.")


def commit(problem: Problem) -> None:
    """Have git know of the version that feedback made, now or where a kill came between; never of another."""
    here = problem.here
    made = [change for change in ledger.changes(here.ledger) if change.problem == problem.name][-1:]
    if not made or made[0].after != data_pin.pinned(here).version or made[0].cause != "feedback":
        return
    if not git.is_committed(here):
        say(
            git.commit(
                here, f"Learn from feedback: {made[0].why.removeprefix(ledger.FEEDBACK).removesuffix(CONTINUES)}"
            )
        )


def line(problem: Problem, found: FeedbackBatch, version: str, by: str) -> DataChange:
    data, rows = problem.settings.data, found.table_rows + found.kept.height
    named = {"text": data.text, "label": data.label, "group": data.group}
    why = f"{ledger.FEEDBACK}{found}{CONTINUES}"
    return DataChange(problem.name, problem.pin.version, version, rows, 0, by, why, named, cause="feedback")
