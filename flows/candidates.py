"""A build under way and its candidates: each trained in a process of its own, logged in MLflow, the best proven."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast
from uuid import UUID

from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact

from flows.pages import charts, registry_pages
from flows.registry.registry import Registry
from flows.registry.snapshot import BUILD, NOTE, TURN
from flows.runs.stage import Model, flow_run_id, say, step
from ratchet.data.prepare.rows import PreparedRows
from ratchet.data.versions import git
from ratchet.judging import metrics
from ratchet.judging.metrics import METRICS
from ratchet.project.errors import Refusal
from ratchet.project.problem import Problem
from ratchet.project.progress import Progress
from ratchet.project.settings import model_params
from ratchet.state import ledger
from ratchet.state.turn import cause
from ratchet.training import job as training
from ratchet.training.job import Job, Tick, Trained

OVERTIME = 2
"""A model minds build.minutes itself; one that takes so many times longer is ended and out of the round."""


@dataclass(frozen=True)
class Candidate:
    """A trained model, logged in MLflow, with its scores on the validation rows."""

    trained: Trained
    scores: metrics.Scores
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


def train_candidates(under_way: BuildRun, ready: PreparedRows, model: Model | None) -> list[Candidate]:
    """All candidates at once, each in a process of its own; those that finished in time.

    Raises:
        Refusal: none did.
    """
    names = [model.value] if model else list(under_way.problem.settings.build.candidates)
    folder = lay_out_rows(under_way, ready)
    futures = [train_candidate.submit(under_way, name, ready, folder) for name in names]
    candidates = [candidate for future in futures if (candidate := future.result()) is not None]
    if not candidates:
        raise Refusal(
            "At least one candidate must train within build.minutes.", "none did", "Raise build.minutes in params.yaml."
        )
    return candidates


@step("Lay out rows for training")
def lay_out_rows(under_way: BuildRun, ready: PreparedRows) -> Path:
    """Training and validation rows as files; the holdout stays behind. What other builds left is cleared away."""
    for other in under_way.folder.parent.glob("build-*"):
        if other != under_way.folder:
            shutil.rmtree(other)
    training.clear_unfinished(under_way.folder)
    validation = ready.validation
    training.write_rows(ready.side("train"), validation.frame, under_way.folder)
    if str(validation):
        say(f"Validation: {validation}")
    return under_way.folder


@step("Train candidate", "Train {name}")
def train_candidate(under_way: BuildRun, name: str, ready: PreparedRows, folder: Path) -> Candidate | None:
    """Train one model in a process of its own, and log it as a child run."""
    settings = under_way.problem.settings
    params = asdict(model_params(settings, name))
    job = Job(name, params, ready.labels, settings.build.seed, settings.build.minutes * OVERTIME)
    known = training.finished(job, folder)
    if known is not None:
        say(f"{name} was trained before the build was cut off; it is taken up.")
    progress = cast(UUID, create_progress_artifact(0.0, key=f"training-{name}", description=f"Training {name}"))
    try:
        trained = known or training.train(job, folder, Teller(progress))
    except TimeoutError as error:
        say(f"{name} is out of this round: {error}.")
        return None
    update_progress_artifact(progress, 100.0)
    png = charts.as_png(charts.learning_curve(name, trained.curve)) if len(trained.curve) > 1 else None
    candidate = log_candidate(under_way, trained, ready, png)
    metric = settings.evaluate.metric
    said = f"Trained {name} in {trained.seconds:.1f} s: validation {metric} {getattr(candidate.scores, metric):.3f}."
    if png is not None:
        picture = charts.as_markdown(png, "learning curve")
        create_markdown_artifact(
            f"{said}\n\n{picture}", key=f"learning-curve-{name}", description=f"{name}, step by step"
        )
    say(said)
    return candidate


def log_candidate(under_way: BuildRun, trained: Trained, ready: PreparedRows, png: bytes | None) -> Candidate:
    """A child run with params, metrics, the learning curve (png: its picture), the dataset and the model itself."""
    validation = ready.validation.frame
    labels, problem, registry = ready.labels, under_way.problem, under_way.registry
    scores = metrics.score(labels, validation["label"].to_list(), trained.probabilities, problem.settings.data.positive)
    name, metric = f"{under_way.number:03} {trained.model} {problem.pin.short}", problem.settings.evaluate.metric
    said = f"Validation {metric} {getattr(scores, metric):.4f} after {trained.seconds:.1f} s of training."
    tags = {**under_way.tags, **shown(under_way.trigger), "model": trained.model, NOTE: said}
    counts = {"train_seconds": trained.seconds, "rows_train": ready.count("train")}
    counts |= {"train_joules": trained.joules} if trained.joules is not None else {}
    with registry.run(name, tags, under_way.run_id, trained.seconds) as run_id:
        registry.log(run_id, trained.params, scores.as_metrics("validation") | counts, by_split(trained.curve))
        under_way.log_data(run_id, ready)
        if png is not None:
            registry.log_picture(run_id, png, "plots/learning-curve.png")
        model_id = registry.log_model(run_id, trained.model, trained.saved, labels)
    return Candidate(trained, scores, run_id, model_id)


def by_split(curve: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """The curve with `loss` and `accuracy` named after the rows that they are of: those of training."""
    return [{f"train_{name}" if name in ("loss", "accuracy") else name: row[name] for name in row} for row in curve]


def best(candidates: list[Candidate], metric: str) -> Candidate:
    """The candidate with the best metric on the validation rows; on a tie the one that trains faster."""
    return max(candidates, key=lambda c: (METRICS[metric].best(c.scores), -c.trained.seconds))


@step("Prove the stored model")
def prove(under_way: BuildRun, chosen: Candidate, ready: PreparedRows) -> None:
    """The model as MLflow gives it back must answer the validation rows as the trained one did.

    Raises:
        Refusal: they differ by more than 1e-5 somewhere.
    """
    trained, texts = chosen.trained, ready.validation.frame["text"].to_list()
    progress = Progress(say, f"Proving {trained.model}", len(texts))
    stored = under_way.registry.load_model(chosen.model_id).probabilities(texts, ready.labels, progress)
    worst = float(abs(stored - trained.probabilities).max())
    if worst > 1e-5:
        raise Refusal(
            f"A stored model must answer as the trained one did ({trained.model}).",
            f"probabilities that differ by up to {worst:.2g} on {len(stored):,} validation rows",
            f"Its save or load in models/{trained.model}.py loses something; mend it there.",
        )


@dataclass(frozen=True)
class BuildRun:
    """run_id: the build's own MLflow run, whose candidates are its children. trigger: what set the build off.

    folder: where candidates are trained, named by all that they are made from. number: of the build, from 1.
    """

    problem: Problem
    registry: Registry
    trigger: str
    run_id: str
    tags: Mapping[str, str]
    folder: Path
    number: int

    def log_data(self, run_id: str, ready: PreparedRows) -> None:
        """The data version as the dataset of a run."""
        data, pin = self.problem.settings.data, self.problem.pin
        self.registry.log_data(run_id, pin.version, pin.source, {"text": data.text, "label": data.label}, len(ready))


@contextmanager
def build_run(problem: Problem, registry: Registry, trigger: str, turn: str | None = None) -> Iterator[BuildRun]:
    """A build is under way while the block runs; its MLflow run fails where the block does.

    What was trained is kept for the next build with the same cause until one ends well.
    """
    folder = problem.here.work / f"build-{cause(problem.here)[:16]}"
    registry.experiment(registry_pages.experiment(problem, registry.champion()))
    number = registry.next_build()
    tags = {
        "data_version": problem.pin.version,
        "git_commit": git.code_version(problem.here),
        "trigger": trigger,
        "prefect_flow_run_id": flow_run_id(),
        "lineage": problem.lineage,
        BUILD: str(number),
    } | ({TURN: turn} if turn else {})
    with registry.run(
        f"{number:03} build {problem.pin.short}", tags | shown(trigger) | {"model": "all candidates"}
    ) as run_id:
        yield BuildRun(problem, registry, trigger, run_id, tags, folder, number)
    shutil.rmtree(folder, ignore_errors=True)


def shown(trigger: str) -> dict[str, str]:
    """Tags that MLflow shows as who made a run, and from what."""
    return {"mlflow.user": ledger.person(), "mlflow.source.name": trigger}
