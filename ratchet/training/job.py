"""One candidate in a process of its own: rows and hyperparameters in, a saved model out, progress on the way.

The process ends when the training does, so its memory is given back; it ends when its parent dies, too. It is given
the training and the validation rows alone: the holdout never reaches a process that trains.

    folder/rows/train.parquet, validation.parquet    columns text, label
    folder/<model>/job.json                          what to train; the folder has this name once all is in it
    folder/<model>/saved/                            the model, as models/<model>.py saves it
    folder/<model>/validation.npy                    its probabilities for the validation rows
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
    """What to train. params: hyperparameters by name. minutes: wall-clock limit, after which the process is ended."""

    model: str
    params: Mapping[str, Any]
    labels: tuple[str, ...]
    seed: int
    minutes: float


@dataclass(frozen=True)
class Tick:
    """A sign of life: `done` of `total` steps, what was measured at this one, and seconds since the start."""

    model: str
    done: int
    total: int
    metrics: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Trained:
    """A finished training. seconds: of fit alone. joules: of the processor meanwhile, None where it does not say.

    curve: one dict of metrics a step. probabilities: validation rows.
    """

    model: str
    params: Mapping[str, Any]
    saved: Path
    seconds: float
    joules: float | None
    curve: tuple[Mapping[str, float], ...]
    probabilities: np.ndarray


def train(job: Job, folder: Path, on_tick: Callable[[Tick], None]) -> Trained:
    """Train one candidate in a process of its own.

    Args:
        folder: holds rows/; the candidate's own folder is made below it.
        on_tick: called in this thread, for each sign of life.

    Raises:
        TimeoutError: it took longer than the job allows.
        Refusal: the process failed; the message ends in its last words, its log has the rest.
    """
    place = folder / f"{job.model}.{os.getpid()}"  # the process of a killed parent may write for a moment longer
    (place / "saved").mkdir(parents=True)
    (place / "job.json").write_text(json.dumps(asdict(job)), encoding="utf-8")
    with started(place) as (process, said):
        limit = threading.Timer(job.minutes * 60, process.kill)
        limit.start()
        try:
            for line in said:
                if line.startswith('{"model"'):
                    on_tick(Tick(**json.loads(line)))
            status = process.wait()
        finally:
            overran = not limit.is_alive()
            limit.cancel()
            process.kill()
            process.wait()
    if status != 0 and overran:
        raise TimeoutError(f"{job.model} did not finish within build.minutes = {job.minutes:g}")
    if status != 0:
        raise Refusal(
            f"{job.model} must train to its end.", last_words(place / "log.txt"), f"Its log: {place / 'log.txt'}"
        )
    durable.replace(place, folder / job.model)
    return read(job, folder)


@contextmanager
def started(place: Path) -> Iterator[tuple[subprocess.Popen[bytes] | Child, IO[str]]]:
    """The process that trains, and what it says; it ends at the latest with the block, or with this process."""
    words = ["ratchet.training.job", str(place)]
    alive, lifeline = os.pipe()
    heard, said = os.pipe()
    process: subprocess.Popen[bytes] | Child
    with os.fdopen(lifeline, "wb"), os.fdopen(heard, encoding="utf-8") as hearing:
        with os.fdopen(alive) as stdin, os.fdopen(said) as stdout, open(place / "log.txt", "wb") as log:
            try:
                files = [stdin.fileno(), stdout.fileno(), log.fileno()]
                process = prefork.ask(words, files, os.environ, str(ROOT))
            except NoForkServer:
                command = [sys.executable, "-m", *words]
                process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=log, cwd=ROOT)
        yield process, hearing


def finished(job: Job, folder: Path) -> Trained | None:
    """The candidate where this very job was trained to its end in this folder before; else None."""
    try:
        known = json.loads((folder / job.model / "job.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return read(job, folder) if known == json.loads(json.dumps(asdict(job))) else None


def read(job: Job, folder: Path) -> Trained:
    """What a finished training left."""
    place = folder / job.model
    result = json.loads((place / "result.json").read_text(encoding="utf-8"))
    return Trained(
        job.model,
        job.params,
        place / "saved",
        result["seconds"],
        result["joules"],
        tuple(result["curve"]),
        np.load(place / "validation.npy", allow_pickle=False),
    )


def clear_unfinished(folder: Path) -> None:
    """Leave only whole candidates in a folder: rows are laid out anew, and a training that was cut off starts again."""
    for left in (*folder.glob("*.*"), folder / "rows"):
        shutil.rmtree(left, ignore_errors=True)


def last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "no output: the process was killed, by the system for its memory perhaps"


def write_rows(train: Iterable[pl.DataFrame], validation: pl.DataFrame, folder: Path) -> None:
    """Lay out prepared rows for the processes that train; those of training come in batches."""
    for part, batches in (("train", train), ("validation", [validation])):
        store((frame.select("text", "label") for frame in batches), folder / "rows" / f"{part}.parquet")


def main(place: Path) -> None:
    """What the process does: fit, save, predict the validation rows."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    raw = json.loads((place / "job.json").read_text(encoding="utf-8"))
    job = Job(**raw | {"labels": tuple(raw["labels"])})
    train, validation = (StoredRows(place.parent / "rows" / f"{part}.parquet") for part in ("train", "validation"))
    judging = validation.read()
    seen = Rows(Column(train, "text"), Column(train, "label"))
    unseen = Rows(judging["text"].to_list(), judging["label"].to_list())
    file = models.get(job.model)
    curve: list[dict[str, float]] = []
    started, powered = time.monotonic(), energy.read()

    def progress(done: int, total: int, metrics: Mapping[str, float]) -> None:
        curve.append({name: float(value) for name, value in metrics.items()})
        tick = Tick(job.model, done, total, curve[-1], round(time.monotonic() - started, 2))
        print(json.dumps(asdict(tick)), flush=True)

    classifier = file.fit(seen, unseen, job.labels, file.Params(**job.params), seed=job.seed, progress=progress)
    seconds, joules = round(time.monotonic() - started, 3), energy.joules(powered, energy.read())
    classifier.save(place / "saved")
    np.save(place / "validation.npy", classifier.predict_proba(unseen.texts), allow_pickle=False)
    result = {"seconds": seconds, "joules": joules, "curve": curve}
    (place / "result.json").write_text(json.dumps(result), encoding="utf-8")


def end_with_parent() -> None:
    """Standard input closes when the parent dies, however it dies."""
    os.read(0, 1)  # not sys.stdin: a thread that holds its lock makes the interpreter's own end fatal
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    gc.freeze()  # as in ratchet/__main__.py
