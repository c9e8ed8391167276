"""Training of a candidate in its own process: rows and a Job enter; a saved model and its progress leave.

The process ends with the training, which frees its memory, or with its parent. It gets the training and validation rows
only: the holdout never reaches a training process. It is a child of the fork server if there is one (prefork.py).

    folder/rows/train.parquet, validation.parquet    columns text, label
    folder/<model>/job.json                          the Job; a folder gets its final name once it is complete
    folder/<model>/saved/                            the model, as models/<model>.py saves it
    folder/<model>/validation.npy                    its outputs for the validation rows
    folder/<model>/result.json                       seconds, joules and learning curve
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl

import models
from models.contract import Rows
from ratchet.data.tables.row_store import Column, StoredRows, store
from ratchet.project import durable
from ratchet.project.errors import Refusal
from ratchet.project.paths import ROOT
from ratchet.servers import prefork
from ratchet.servers.prefork import Child, NoForkServer
from ratchet.training import energy


@dataclass(frozen=True)
class Job:
    """A training to run.

    Attributes:
        model: Name of the model file.
        params: Hyperparameters by name.
        labels: Names of the model's outputs.
        seed: Random seed.
        minutes: Wall-clock limit; the process is killed after it.
    """

    model: str
    params: Mapping[str, Any]
    labels: tuple[str, ...]
    seed: int
    minutes: float


@dataclass(frozen=True)
class Tick:
    """Progress of a training.

    Attributes:
        model: Name of the model file.
        done: Steps done.
        total: Steps in all.
        metrics: Metrics of this step.
        seconds: Seconds since the start.
    """

    model: str
    done: int
    total: int
    metrics: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        model: Name of the model file.
        params: Hyperparameters by name.
        saved: Folder of the saved model.
        seconds: Duration of `fit`.
        joules: Energy that the processor used meanwhile; None if unknown.
        curve: Metrics of each step.
        outputs: Outputs for the validation rows, shape (rows, labels).
    """

    model: str
    params: Mapping[str, Any]
    saved: Path
    seconds: float
    joules: float | None
    curve: tuple[Mapping[str, float], ...]
    outputs: np.ndarray


def train(job: Job, folder: Path, on_tick: Callable[[Tick], None]) -> Trained:
    """Train a candidate in its own process.

    Args:
        job: What to train.
        folder: Folder that contains rows/; the candidate gets a folder below it.
        on_tick: Called in this thread for each Tick.

    Raises:
        TimeoutError: The training took longer than the job allows.
        Refusal: The process failed; the message contains the last line of its log.
    """
    candidate = folder / f"{job.model}.{os.getpid()}"  # the process of a killed parent may still write for a moment
    (candidate / "saved").mkdir(parents=True)
    (candidate / "job.json").write_text(json.dumps(asdict(job)), encoding="utf-8")
    with running(candidate) as (process, output):
        limit = threading.Timer(job.minutes * 60, process.kill)
        limit.start()
        try:
            for line in output:
                if line.startswith('{"model"'):
                    on_tick(Tick(**json.loads(line)))
            status = process.wait()
        finally:
            is_over_limit = not limit.is_alive()
            limit.cancel()
            process.kill()
            process.wait()
    if status != 0 and is_over_limit:
        raise TimeoutError(f"{job.model} did not finish within build.minutes = {job.minutes:g}")
    if status != 0:
        log = candidate / "log.txt"
        raise Refusal(f"{job.model} must train to its end.", last_line(log), f"Its log: {log}")
    durable.replace(candidate, folder / job.model)
    return read(job, folder)


@contextmanager
def running(candidate: Path) -> Iterator[tuple[subprocess.Popen[bytes] | Child, IO[str]]]:
    """Run the training process of a candidate's folder.

    The process ends at the latest with the block or with this process, since its standard input closes then.

    Yields:
        The process and its standard output.
    """
    arguments = ["ratchet.training.job", str(candidate)]
    stdin_read, stdin_write = os.pipe()
    stdout_read, stdout_write = os.pipe()
    process: subprocess.Popen[bytes] | Child
    with os.fdopen(stdin_write, "wb"), os.fdopen(stdout_read, encoding="utf-8") as output:
        with (
            os.fdopen(stdin_read) as stdin,
            os.fdopen(stdout_write) as stdout,
            open(candidate / "log.txt", "wb") as log,
        ):
            try:
                files = [stdin.fileno(), stdout.fileno(), log.fileno()]
                process = prefork.run_in_fork(arguments, files, os.environ, str(ROOT))
            except NoForkServer:
                command = [sys.executable, "-m", *arguments]
                process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=log, cwd=ROOT)
        yield process, output


def finished(job: Job, folder: Path) -> Trained | None:
    """The result of this exact job if it was trained to its end in this folder; otherwise None."""
    try:
        earlier = json.loads((folder / job.model / "job.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return read(job, folder) if earlier == json.loads(json.dumps(asdict(job))) else None


def read(job: Job, folder: Path) -> Trained:
    """Read the result of a finished training."""
    candidate = folder / job.model
    result = json.loads((candidate / "result.json").read_text(encoding="utf-8"))
    return Trained(
        job.model,
        job.params,
        candidate / "saved",
        result["seconds"],
        result["joules"],
        tuple(result["curve"]),
        np.load(candidate / "validation.npy", allow_pickle=False),
    )


def clear_unfinished(folder: Path) -> None:
    """Remove the rows and all unfinished candidates of a folder: both are made again."""
    for leftover in (*folder.glob("*.*"), folder / "rows"):
        shutil.rmtree(leftover, ignore_errors=True)


def last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "no output: the process was killed, by the system for its memory perhaps"


def write_rows(train: Iterable[pl.DataFrame], validation: pl.DataFrame, folder: Path) -> None:
    """Write prepared rows for the training processes; the training rows come in batches."""
    for part, batches in (("train", train), ("validation", [validation])):
        store((frame.select("text", "label") for frame in batches), folder / "rows" / f"{part}.parquet")


def main(candidate: Path) -> None:
    """The training process: fit, save, predict the validation rows."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    raw = json.loads((candidate / "job.json").read_text(encoding="utf-8"))
    job = Job(**raw | {"labels": tuple(raw["labels"])})
    stored_train = StoredRows(candidate.parent / "rows" / "train.parquet")
    validation_frame = StoredRows(candidate.parent / "rows" / "validation.parquet").read()
    train = Rows(Column(stored_train, "text"), Column(stored_train, "label"))
    validation = Rows(validation_frame["text"].to_list(), validation_frame["label"].to_list())
    file = models.get(job.model)
    curve: list[dict[str, float]] = []
    started = time.monotonic()
    energy_before = energy.read()

    def progress(done: int, total: int, metrics: Mapping[str, float]) -> None:
        curve.append({name: float(value) for name, value in metrics.items()})
        tick = Tick(job.model, done, total, curve[-1], round(time.monotonic() - started, 2))
        print(json.dumps(asdict(tick)), flush=True)

    model = file.fit(train, validation, job.labels, file.Params(**job.params), seed=job.seed, progress=progress)
    seconds = round(time.monotonic() - started, 3)
    joules = energy.joules(energy_before, energy.read())
    model.save(candidate / "saved")
    np.save(candidate / "validation.npy", model.predict(validation.texts), allow_pickle=False)
    result = {"seconds": seconds, "joules": joules, "curve": curve}
    (candidate / "result.json").write_text(json.dumps(result), encoding="utf-8")


def end_with_parent() -> None:
    """End this process when standard input closes, which happens whenever the parent dies."""
    os.read(0, 1)  # not sys.stdin: a thread that holds its lock makes the exit of the interpreter fatal
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    gc.freeze()  # as in ratchet/__main__.py
