"""Build: pinned data -> valid -> prepared -> trained candidates -> challenger."""

from __future__ import annotations

import shutil
import time
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast
from uuid import UUID

import polars as pl
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact

import expectations
from expectations import Verdict, docs
from flows import cards, charts, reports
from flows.registry import Registry, Version
from flows.stage import Model, at_hand, flow_run_id, say, stage, step
from ratchet import ingest, ledger, rows, training, versions
from ratchet.problem import Problem
from ratchet.refusal import Refusal
from ratchet.settings import model_params
from ratchet.steps import facts, prepare, quarantine, score, split
from ratchet.training import Job, Tick, Trained


@dataclass(frozen=True)
class Candidate:
    """A trained model, logged in MLflow, with its scores on the validation rows."""

    trained: Trained
    scores: score.Scores
    run_id: str
    model_id: str


class Teller:
    """Says how far a training is: into its progress artifact, and into the log at most every three seconds."""

    def __init__(self, progress: UUID) -> None:
        self.progress = progress
        self.last = time.monotonic()

    def __call__(self, tick: Tick) -> None:
        if time.monotonic() - self.last < 3 or tick.done == tick.total:
            return
        self.last = time.monotonic()
        update_progress_artifact(self.progress, 100 * tick.done / tick.total)
        left = tick.seconds / tick.done * (tick.total - tick.done)
        measured = "".join(f", {name.replace('_', ' ')} {value:.4g}" for name, value in tick.metrics.items())
        say(f"{tick.model} {tick.done}/{tick.total}{measured}; {tick.seconds:.0f} s, at most {left:.0f} s left")


@stage
def build(model: Model | None = None, trigger: str = "manual") -> int:
    """Which model is the best that today's data gives?

    Takes the data that `data.dvc` pins, validates and prepares it, trains the candidates, and makes the best of them
    on the validation rows the **challenger**. Comes before *evaluate*.

    Args:
        model: Train this model alone; empty trains all candidates of params.yaml.
        trigger: What set this run off; written on every run and version.

    Returns:
        The number of the challenger's version.
    """
    problem, registry = at_hand()
    registry.close_orphans()
    raw = fetch_pinned_data(problem)
    with open_run(problem, registry, trigger) as parent:
        valid = validate_raw_data(problem, registry, raw, parent)
        ready = prepare_data(problem, valid)
        validate_prepared_data(registry, ready, parent)
        log_data(problem, registry, parent, ready)
        candidates = train_candidates(problem, registry, model, ready, parent, trigger)
        chosen = best(problem, candidates)
        prove(registry, chosen, ready)
        challenger = register_challenger(problem, registry, chosen, candidates, parent)
    return challenger.number


@step("Fetch pinned data")
def fetch_pinned_data(problem: Problem) -> pl.DataFrame:
    """Exactly the bytes that data.dvc pins: from data/, DVC's cache or remote, or rebuilt from the pinned package."""
    came = versions.fetch(problem.here, problem.pin, ingest.rebuilder(problem.pin.source))
    raw = rows.raw(problem)
    say(f"Data {problem.pin.short}: {raw.height:,} rows, {came}.")
    return raw


@step("Validate raw data")
def validate_raw_data(problem: Problem, registry: Registry, raw: pl.DataFrame, run_id: str) -> pl.DataFrame:
    """May these rows enter? Great Expectations judges; bad rows are set aside, a bad table is refused."""
    measured = facts.measure(raw)
    verdict = expectations.check(measured, "raw", expectations.Rules(grouped="group" in raw.columns))
    valid, aside = quarantine.set_aside(raw, measured)
    report_verdict(registry, run_id, verdict, keep_quarantined(problem, aside))
    return valid


@step("Prepare data")
def prepare_data(problem: Problem, valid: pl.DataFrame) -> pl.DataFrame:
    """One spelling for each text, no copies, no text with two labels; each row in the split its hash gives it."""
    ready = prepare.prepare(valid)
    frame = split.assign(ready.frame, problem.split)
    rows.keep(problem, frame)
    counts = dict(frame["split"].value_counts().iter_rows())
    shares = ", ".join(f"{counts.get(part, 0):,} {part}" for part in ("train", "validation", "holdout"))
    say(f"Prepared {frame.height:,} rows: {shares}. {ready.report}")
    return frame


@step("Validate prepared data")
def validate_prepared_data(registry: Registry, ready: pl.DataFrame, run_id: str) -> None:
    """May a model learn from these rows, and may the holdout judge one?"""
    rules = expectations.Rules(labels=labels_of(ready), grouped="group" in ready.columns)
    report_verdict(registry, run_id, expectations.check(facts.measure(ready), "prepared", rules), None)


def open_run(problem: Problem, registry: Registry, trigger: str) -> AbstractContextManager[str]:
    """One MLflow run for this build, whose candidates are its children; it fails where the build fails."""
    registry.experiment(cards.experiment(problem))
    return registry.run(f"build {problem.pin.short}", common_tags(problem, trigger) | {"model": "all candidates"})


def train_candidates(
    problem: Problem, registry: Registry, model: Model | None, ready: pl.DataFrame, parent: str, trigger: str
) -> list[Candidate]:
    """All candidates at once, each in a process of its own; those that finished in time.

    Raises:
        Refusal: none did.
    """
    names = [model.value] if model else list(problem.settings.build.candidates)
    folder = lay_out_rows(problem, ready)
    futures = [train_candidate.submit(problem, registry, name, ready, folder, parent, trigger) for name in names]
    candidates = [candidate for future in futures if (candidate := future.result()) is not None]
    shutil.rmtree(folder)
    if not candidates:
        raise Refusal(
            "At least one candidate must train within build.minutes.", "none did", "Raise build.minutes in params.yaml."
        )
    return candidates


@step("Lay out rows for training")
def lay_out_rows(problem: Problem, ready: pl.DataFrame) -> Path:
    """Training and validation rows as files; the holdout stays behind."""
    folder = problem.here.work / "build"
    shutil.rmtree(folder, ignore_errors=True)
    training.write_rows(ready, folder)
    return folder


@step("Train candidate", "Train {name}")
def train_candidate(
    problem: Problem, registry: Registry, name: str, ready: pl.DataFrame, folder: Path, parent: str, trigger: str
) -> Candidate | None:
    """Train one model in a process of its own, and log it as a child run."""
    params = asdict(model_params(problem.settings, name))
    seed, minutes = problem.settings.build.seed, problem.settings.build.minutes
    job = Job(name, params, labels_of(ready), seed, minutes * 2)
    progress = cast(UUID, create_progress_artifact(0.0, key=f"training-{name}", description=f"Training {name}"))
    try:
        trained = training.train(job, folder, Teller(progress))
    except TimeoutError as error:
        say(f"{name} is out of this round: {error}.")
        return None
    update_progress_artifact(progress, 100.0)
    candidate = log_candidate(problem, registry, trained, ready, parent, trigger)
    metric = problem.settings.evaluate.metric
    say(f"Trained {name} in {trained.seconds:.1f} s: validation {metric} {getattr(candidate.scores, metric):.3f}.")
    return candidate


@step("Register challenger")
def register_challenger(
    problem: Problem, registry: Registry, chosen: Candidate, candidates: list[Candidate], parent: str
) -> Version:
    """The best candidate on the validation rows becomes a version of the registered model, and the challenger."""
    tags = registry.client.get_run(chosen.run_id).data.tags
    wanted = ("data_version", "git_commit", "model", "trigger", "prefect_flow_run_id", "lineage")
    version = registry.register(
        chosen.run_id,
        chosen.model_id,
        {name: tags[name] for name in wanted if name in tags} | {"decision": "waiting for evaluate"},
        cards.waiting(problem, chosen.trained.model),
    )
    registry.enter(version)
    verdict = f"{chosen.trained.model} is the challenger: version {version.number} of {problem.name}."
    table = reports.candidates(problem, {c.trained.model: (c.scores, c.trained.seconds) for c in candidates})
    create_markdown_artifact(
        f"{verdict}\n\n{table}\n\n{reports.links(problem, version.number, version.run_id)}",
        key="registered-model",
        description=verdict,
    )
    summary = {"model": chosen.trained.model, "mlflow.note.content": f"{verdict}\n\n{table}"}
    registry.log(parent, metrics=chosen.scores.as_metrics("validation"), tags=summary)
    say(verdict)
    return version


def best(problem: Problem, candidates: list[Candidate]) -> Candidate:
    """The candidate with the best declared metric on the validation rows; on a tie the one that trains faster."""
    metric = problem.settings.evaluate.metric
    sign = -1 if metric == "log_loss" else 1
    return max(candidates, key=lambda c: (sign * getattr(c.scores, metric), -c.trained.seconds))


def log_candidate(
    problem: Problem, registry: Registry, trained: Trained, ready: pl.DataFrame, parent: str, trigger: str
) -> Candidate:
    """A child run with params, metrics, learning curve, plots, the dataset and the model itself."""
    validation = ready.filter(pl.col("split") == "validation")
    labels = labels_of(ready)
    scores = score.score(labels, validation["label"].to_list(), trained.probabilities, problem.settings.data.positive)
    tags = common_tags(problem, trigger) | {"model": trained.model}
    counts = {
        "train_seconds": trained.seconds,
        "rows_train": ready.filter(pl.col("split") == "train").height,
    }
    with registry.run(f"{trained.model} {problem.pin.short}", tags, parent) as run_id:
        registry.log(run_id, trained.params, scores.as_metrics("validation") | counts, trained.curve)
        log_data(problem, registry, run_id, ready)
        if len(trained.curve) > 1:
            registry.log_figure(run_id, charts.learning_curve(trained.model, trained.curve), "plots/learning-curve.png")
        model_id = registry.log_model(run_id, trained.saved, labels, validation["text"][0])
    return Candidate(trained, scores, run_id, model_id)


def log_data(problem: Problem, registry: Registry, run_id: str, ready: pl.DataFrame) -> None:
    """The data version as the run's dataset."""
    columns = {"text": problem.settings.data.text, "label": problem.settings.data.label}
    registry.log_data(run_id, problem.pin.version, problem.pin.source, columns, ready.height)


@step("Prove the stored model")
def prove(registry: Registry, chosen: Candidate, ready: pl.DataFrame) -> None:
    """The model as MLflow gives it back must answer the validation rows as the trained one did.

    Raises:
        Refusal: they differ by more than 1e-5 somewhere.
    """
    trained, texts = chosen.trained, ready.filter(pl.col("split") == "validation")["text"].to_list()
    stored = registry.load_model(chosen.model_id).probabilities(texts, labels_of(ready))
    worst = float(abs(stored - trained.probabilities).max())
    if worst > 1e-5:
        raise Refusal(
            f"A stored model must answer as the trained one did ({trained.model}).",
            f"probabilities that differ by up to {worst:.2g} on {len(stored):,} validation rows",
            f"Its save or load in models/{trained.model}.py loses something; mend it there.",
        )


def keep_quarantined(problem: Problem, aside: pl.DataFrame) -> Path | None:
    """Rows set aside, with reason and row number, as a table that a person can open, mend and bring back."""
    if aside.is_empty():
        return None
    problem.here.quarantine.mkdir(parents=True, exist_ok=True)
    path = problem.here.quarantine / f"{problem.name}-{problem.pin.short}.csv"
    aside.write_csv(path)
    return path


def report_verdict(registry: Registry, run_id: str, verdict: Verdict, quarantined: Path | None) -> None:
    """Show a verdict in Prefect, in the log, and as Great Expectations' own page with the run.

    Raises:
        Refusal: the verdict is that the table is refused.
    """
    registry.log_text(run_id, docs.render(verdict), f"data-docs/{verdict.suite}.html")
    create_markdown_artifact(
        reports.validation(verdict, quarantined), key="data-validation", description=verdict.headline
    )
    if not verdict.passed:
        raise Refusal("Data must pass its expectations.", verdict.headline, "See the artifact data-validation.")
    say(verdict.headline)


def common_tags(problem: Problem, trigger: str) -> dict[str, str]:
    return {
        "data_version": problem.pin.version,
        "git_commit": versions.code_version(problem.here),
        "trigger": trigger,
        "prefect_flow_run_id": flow_run_id(),
        "lineage": problem.lineage,
        "mlflow.user": ledger.person(),
        "mlflow.source.name": trigger,
    }


def labels_of(frame: pl.DataFrame) -> tuple[str, ...]:
    return tuple(sorted(frame["label"].unique()))
