"""A build and its candidates: each is trained in its own process and logged in MLflow; the best one is verified."""

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
from ratchet.judging.metrics import Metric, Scores
from ratchet.problem.model_params import model_params
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal
from ratchet.project.progress import Progress
from ratchet.state import ledger
from ratchet.state.turn import cause
from ratchet.training import job as training
from ratchet.training.job import Job, Tick, Trained

OVERTIME = 2
"""Times build.minutes after which a training is ended; a model should keep to build.minutes itself."""


@dataclass(frozen=True)
class Candidate:
    """A trained model that is logged in MLflow.

    Attributes:
        trained: The result of the training.
        scores: The metrics on the validation rows.
        run_id: The candidate's MLflow run.
        model_id: The logged model.
    """

    trained: Trained
    scores: Scores
    run_id: str
    model_id: str


class ProgressReporter:
    """Reports a training's progress to its artifact and to the log, every three seconds at most."""

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


def train_candidates(run: BuildRun, ready: PreparedRows, model: Model | None) -> list[Candidate]:
    """Train all candidates at once, each in a process of its own, and return those that finished in time.

    Raises:
        Refusal: No candidate finished in time.
    """
    names = [model.value] if model else list(run.problem.settings.build.candidates)
    folder = lay_out_rows(run, ready)
    futures = [train_candidate.submit(run, name, ready, folder) for name in names]
    candidates = [candidate for future in futures if (candidate := future.result()) is not None]
    if not candidates:
        raise Refusal(
            "At least one candidate must train within build.minutes.", "none did", "Raise build.minutes in params.yaml."
        )
    return candidates


@step("Lay out rows for training")
def lay_out_rows(run: BuildRun, ready: PreparedRows) -> Path:
    """Write training and validation rows to files, without the holdout, and remove the files of other builds."""
    for other in run.folder.parent.glob("build-*"):
        if other != run.folder:
            shutil.rmtree(other)
    training.clear_unfinished(run.folder)
    validation = ready.validation
    training.write_rows(ready.side("train"), validation.frame, run.folder)
    if str(validation):
        say(f"Validation: {validation}")
    return run.folder


@step("Train candidate", "Train {name}")
def train_candidate(run: BuildRun, name: str, ready: PreparedRows, folder: Path) -> Candidate | None:
    """Train one model in a process of its own, and log it as a child run; None where it took too long."""
    settings = run.problem.settings
    params = asdict(model_params(settings, name))
    job = Job(name, params, ready.labels, settings.build.seed, settings.build.minutes * OVERTIME)
    finished = training.finished(job, folder)
    if finished is not None:
        say(f"{name} was trained before the build was cut off; it is taken up.")
    progress = cast(
        UUID, create_progress_artifact(0.0, key=artifact_key("training", name), description=f"Training {name}")
    )
    try:
        trained = finished or training.train(job, folder, ProgressReporter(progress))
    except TimeoutError as error:
        say(f"{name} is out of this round: {error}.")
        return None
    update_progress_artifact(progress, 100.0)
    png = charts.as_png(charts.learning_curve(name, trained.curve)) if len(trained.curve) > 1 else None
    candidate = log_candidate(run, trained, ready, png)
    metric = settings.evaluate.metric
    sentence = (
        f"Trained {name} in {trained.seconds:.1f} s: validation {metric} {getattr(candidate.scores, metric):.3f}."
    )
    if png is not None:
        picture = charts.as_markdown(png, "learning curve")
        create_markdown_artifact(
            f"{sentence}\n\n{picture}", key=artifact_key("learning-curve", name), description=f"{name}, step by step"
        )
    say(sentence)
    return candidate


def artifact_key(what: str, model: str) -> str:
    """Return the key of an artifact of a model; Prefect takes no underscore in it."""
    return f"{what}-{model.replace('_', '-')}"


def log_candidate(run: BuildRun, trained: Trained, ready: PreparedRows, png: bytes | None) -> Candidate:
    """Log a child run with params, metrics, the learning curve (`png` is its picture), the dataset and the model."""
    validation = ready.validation.frame
    labels = ready.labels
    problem = run.problem
    registry = run.registry
    judging = problem.task.judging
    truth = judging.truth(validation["label"].to_list(), labels)
    scores = judging.score(truth, trained.outputs, labels, problem.settings.data)
    name = f"{run.number:03} {trained.model} {problem.pin.short}"
    metric = problem.settings.evaluate.metric
    note = f"Validation {metric} {getattr(scores, metric):.4f} after {trained.seconds:.1f} s of training."
    tags = {**run.tags, **source_tags(run.trigger), "model": trained.model, NOTE: note}
    counts = {"train_seconds": trained.seconds, "rows_train": ready.count("train")}
    counts |= {"train_joules": trained.joules} if trained.joules is not None else {}
    with registry.run(name, tags, run.run_id, trained.seconds) as run_id:
        registry.log(run_id, trained.params, scores.as_metrics("validation") | counts, by_split(trained.curve))
        run.log_data(run_id, ready)
        if png is not None:
            registry.log_picture(run_id, png, "plots/learning-curve.png")
        model_id = registry.log_model(run_id, trained.model, trained.saved, labels, problem.task)
    return Candidate(trained, scores, run_id, model_id)


def by_split(curve: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """Return the curve with `loss` and `accuracy` renamed after the training rows that they are measured on."""
    return [{f"train_{name}" if name in ("loss", "accuracy") else name: row[name] for name in row} for row in curve]


def best(candidates: list[Candidate], metric: Metric) -> Candidate:
    """Return the candidate with the best metric on the validation rows; on a tie the one that trained faster."""
    return max(candidates, key=lambda c: (metric.best(c.scores), -c.trained.seconds))


@step("Prove the stored model")
def verify_stored_model(run: BuildRun, chosen: Candidate, ready: PreparedRows) -> None:
    """Check that the model as MLflow loads it answers the validation rows as the trained one did.

    Raises:
        Refusal: An output differs by more than 1e-5, or of larger outputs by that share of the largest.
    """
    trained = chosen.trained
    inputs = ready.validation.frame["text"].to_list()
    progress = Progress(say, f"Proving {trained.model}", len(inputs))
    stored = run.registry.load_model(chosen.model_id).outputs(inputs, ready.labels, progress)
    worst = float(abs(stored - trained.outputs).max())
    if worst > 1e-5 * max(1.0, float(abs(trained.outputs).max())):
        outputs = "probabilities" if run.problem.task.can("confidence") else "outputs"
        raise Refusal(
            f"A stored model must answer as the trained one did ({trained.model}).",
            f"{outputs} that differ by up to {worst:.2g} on {len(stored):,} validation rows",
            f"Its save or load in models/{trained.model}.py loses something; mend it there.",
        )


@dataclass(frozen=True)
class BuildRun:
    """A build and its MLflow run.

    Attributes:
        problem: The problem.
        registry: The problem's registry.
        trigger: What started the build.
        run_id: The build's MLflow run, whose children are the candidates' runs.
        tags: The tags of the candidates' runs and of the version.
        folder: The folder that candidates are trained in, named by the hash of everything they are made from.
        number: The number of the build, from 1.
    """

    problem: Problem
    registry: Registry
    trigger: str
    run_id: str
    tags: Mapping[str, str]
    folder: Path
    number: int

    def log_data(self, run_id: str, ready: PreparedRows) -> None:
        """Log the data version as the dataset of a run."""
        pin = self.problem.pin
        roles = self.problem.settings.data.roles()
        columns = {role: name for role, name in roles.items() if name is not None and role != "group"}
        self.registry.log_data(run_id, pin.version, pin.source, columns, len(ready))


@contextmanager
def build_run(problem: Problem, registry: Registry, trigger: str, turn: str | None = None) -> Iterator[BuildRun]:
    """Open the MLflow run of a build while the block runs; it fails where the block raises.

    Trained models are kept for the next build with the same cause until a build ends well.
    """
    folder = work_folder(problem)
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
    name = f"{number:03} build {problem.pin.short}"
    with registry.run(name, tags | source_tags(trigger) | {"model": "all candidates"}) as run_id:
        yield BuildRun(problem, registry, trigger, run_id, tags, folder, number)
    shutil.rmtree(folder, ignore_errors=True)


def work_folder(problem: Problem) -> Path:
    """Return the folder of a build, named by the hash of everything that it is made from."""
    return problem.here.work / f"build-{cause(problem.here)[:16]}"


def source_tags(trigger: str) -> dict[str, str]:
    """Return the tags that MLflow shows as the user and the source of a run."""
    return {"mlflow.user": ledger.person(), "mlflow.source.name": trigger}
