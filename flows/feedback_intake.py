"""Makes feedback a new data version: collected from the log, validated by its expectations, and pinned."""

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
from ratchet.problem import data_pin
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal
from ratchet.state import ledger
from ratchet.state.ledger import DataChange

PAGE = "data-docs/feedback.html"
"""Great Expectations' own page, with the champion's run."""
CONTINUES = " It continues: no row changes its side of the split."
"""The end of the ledger's line."""
UNHEARD = "No label is taken in: answers to this kind of problem are not corrected."


def take_in(by: str) -> bool:
    """Take in waiting feedback; returns whether the data differs from that of the last turn.

    Raises:
        Refusal: There is no champion.
    """
    problem, registry = problem_and_registry()
    live = registry.champion()
    if live is None:
        raise Refusal("Labels are taken in for a champion.", "none is live", "Turn the loop once: make run")
    ingest(problem, registry, live, by)
    has_changed = retrain_state.has_changed(problem)
    if not has_changed:
        say("There is nothing to learn from that the last turn did not have, so no turn is made.")
    return has_changed


def ingest(problem: Problem, registry: Registry, live: Version, by: str) -> str:
    """Collect the waiting feedback, validate it, and pin the new data version.

    Args:
        problem: The problem.
        registry: The problem's registry.
        live: The champion, whose run gets the validation page.
        by: The trigger.

    Returns:
        The outcome in a sentence.
    """
    if not problem.task.can("feedback"):
        say(UNHEARD)
        return UNHEARD
    untaken = predictions.waiting_labels(database.place(problem.here), problem.name)
    batch = collect(problem)
    verdict = validate(problem, registry, live, batch) if batch.said.height else None
    if verdict is not None and not verdict.passed:
        rows = feedback_table.read_feedback(problem.here.data).height
        retrain_state.record_collection(problem, feedback.settle(problem, untaken, None), rows)
        return refusal_sentence(verdict)
    if verdict is not None:
        pin(problem, batch, by)
    if problem.settings.optimise.commit:
        commit(problem)
    retrain_state.record_collection(problem, feedback.settle(problem, untaken, batch), batch.kept.height)
    return str(batch)


def refusal_sentence(verdict: Verdict) -> str:
    return f"No label was taken in, and all stay in the log. {verdict.headline} See the artifact data-validation."


@step("Collect feedback")
def collect(problem: Problem) -> FeedbackBatch:
    """Collect the labels that people gave since the last time, and weigh them against the pinned data."""
    waiting = feedback.waiting_labels(problem)
    if waiting.height:
        incoming_table.fetch_pinned(problem.here, problem.pin)
    batch = feedback.collect(problem, waiting)
    say(str(batch))
    return batch


@step("Validate feedback")
def validate(problem: Problem, registry: Registry, live: Version, batch: FeedbackBatch) -> Verdict:
    """Validate the labels with Great Expectations; those that may not teach are set aside with a reason, never dropped.

    Where the suite fails, none is taken and nothing is set aside: all labels are weighed again the next time.
    """
    verdict = expectations.check(batch.facts, "feedback", expectations.rules_of(problem.task))
    if verdict.passed and batch.aside.height:
        feedback.append_quarantine(problem, batch.aside, say)
    registry.log_text(live.run_id, docs.render(verdict), PAGE)
    page = links.artifact(problem.here, registry.experiment(), live.run_id, PAGE)
    report = reports.validation(verdict, set_aside(problem), page)
    text = report if verdict.passed else f"{refusal_sentence(verdict)}\n\n{report}"
    create_markdown_artifact(text, key="data-validation", description=title(verdict))
    say(verdict.headline if verdict.passed else refusal_sentence(verdict))
    return verdict


def title(verdict: Verdict) -> str:
    """Return the artifact's description."""
    if not verdict.passed:
        return f"Feedback: refused, none of {verdict.rows:,} labels taken"
    aside = f", {verdict.set_aside:,} set aside" if verdict.set_aside else ""
    return f"Feedback: {verdict.rows - verdict.set_aside:,} labels taken{aside}"


def set_aside(problem: Problem) -> quarantine.Quarantine | None:
    """Return the feedback in quarantine; None where there is none."""
    return quarantine.summary_of(problem.here, feedback.aside_path(problem.here, problem.name))


@step("Pin the new data version")
def pin(problem: Problem, batch: FeedbackBatch, by: str) -> None:
    """Pin the table with the feedback beside it, by data.dvc."""
    here = problem.here
    if batch.kept.equals(feedback_table.read_feedback(here.data)):
        say("Nothing new to learn from: the data stays as it is.")
        return
    with transaction.staging_folder(here) as folder:
        for name in (data_pin.TABLE, data_pin.SPLIT, data_pin.MUST):
            if (here.data / name).exists():
                transaction.link_or_copy(here.data / name, folder / name)
        canonical_csv.write(batch.kept, folder / data_pin.FEEDBACK)
        source = data_pin.made_from(problem.pin.source, feedback=True, must=(folder / data_pin.MUST).exists())
        pinned = dvc_repo.into_cache(here, folder, source)
        transaction.change_data(here, pinned, None, None, ledger_line(problem, batch, pinned.version, by), [])
    say(f"data.dvc pins {pinned.short}: {batch.kept.height:,} rows of feedback beside the table.")


def commit(problem: Problem) -> None:
    """Commit data.dvc to git where feedback made its version, now or before a kill; never another version."""
    here = problem.here
    last = [change for change in ledger.data_changes(here.ledger) if change.problem == problem.name][-1:]
    if not last or last[0].after != data_pin.pinned(here).version or last[0].cause != "feedback":
        return
    if not git.is_committed(here):
        summary = last[0].why.removeprefix(ledger.FEEDBACK).removesuffix(CONTINUES)
        say(git.commit(here, f"Learn from feedback: {summary}"))


def ledger_line(problem: Problem, batch: FeedbackBatch, version: str, by: str) -> DataChange:
    """Return the ledger's line for the new data version."""
    columns = problem.settings.data.roles()
    rows = batch.table_rows + batch.kept.height
    reason = f"{ledger.FEEDBACK}{batch}{CONTINUES}"
    return DataChange(problem.name, problem.pin.version, version, rows, 0, by, reason, columns, cause="feedback")
