"""Does a thousand times the rows take a thousand times the time, and no more memory?

    make bench-scale                     10 thousand to 10 million rows, some 15 minutes on 2 cores, 6 GB of disk
    make bench-scale MOST=1000000        up to there

Tables are made from the film reviews: a row joins the first half of one review with the second half of another of the
same verdict, and no pair comes twice (a step through all pairs that is coprime to their number), because a table
resampled by whole rows would collapse when its copies are dropped. About 120 characters a row, two classes, split by
text. The figures speak of time and memory alone: halves come again and again, so accuracy here means nothing.

Each size goes through what the flows call, without Prefect, MLflow and their servers, each stage in a process of its
own: fetch (from DVC's cache, with its hash), validate (facts, copies, Great Expectations, its page), prepare (with
split), check (the prepared border), train (linear, laying the rows out, in the process that a build gives it),
score (the model read back, holdout, slices, gate against a champion). Seconds are wall time without imports; memory is
the highest resident set of the stage's largest process, the training one included (ru_maxrss, so with the pages of
files that it has mapped).

exponent: the slope of log(seconds of all stages) against log(rows) by least squares, over all sizes of 100,000 rows
and more; below that, fixed costs (Great Expectations takes a second for any table) would flatten it and flatter us.
The search for the best fit is as long as it gets at linear's switch, some 300,000 rows, and that flatters the whole
too; so the slope of every stage over the last decade is printed as well. peak_gib: the most of any stage and size.
"""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from ratchet.data.prepare.rows import PreparedRows
    from ratchet.problem.problem import Problem

SIZES = tuple(int(size) for size in os.environ.get("SIZES", "10000 100000 1000000 10000000").split())
FIRST = 100_000
MOST = int(os.environ.get("MOST") or SIZES[-1])
BATCH = 50_000
PARAMS = """\
problem: scale
data: {text: text, label: label}
build: {candidates: [linear], minutes: 30}
evaluate: {metric: accuracy}
"""

KEPT = "kept.npy"
"""The file by which the stage validate hands on which rows are prepared."""

Figures = dict[str, tuple[float, float]]
"""By stage: seconds, and GiB."""


def main() -> None:
    sizes = [size for size in SIZES if size <= MOST]
    found = {}
    with tempfile.TemporaryDirectory(dir=os.environ.get("SCRATCH")) as scratch:
        folder = Path(scratch)
        for size in sizes:
            found[size] = one_size(folder / str(size), size)
            shutil.rmtree(folder / str(size))
    print(f"\n{'rows':>12}", *(f"{stage:>16}" for stage in [*STAGES, "all"]))
    for size, figures in found.items():
        shown = [*figures.values(), (total(figures), peak(figures))]
        print(f"{size:>12,}", *(f"{seconds:7.1f} s {gib:4.2f} G" for seconds, gib in shown))
    if len(sizes) > 1:
        last = sizes[-2:]
        by_stage = {stage: slope({size: found[size][stage][0] for size in last}) for stage in STAGES}
        print(f"slopes of the last decade: {', '.join(f'{stage} {of:.2f}' for stage, of in by_stage.items())}", end="")
        print(f", all {slope({size: total(found[size]) for size in last}):.2f}")
        judged = [size for size in sizes if size >= FIRST] if len(sizes) > 2 else sizes
        times = {size: total(found[size]) for size in judged}
        print(f"exponent={slope(times):.3f} peak_gib={max(map(peak, found.values())):.2f}")


def total(figures: Figures) -> float:
    return sum(seconds for seconds, _ in figures.values())


def peak(figures: Figures) -> float:
    return max(gib for _, gib in figures.values())


def slope(times: dict[int, float]) -> float:
    """Of log(seconds) against log(rows), by least squares."""
    return float(np.polyfit(np.log(list(times)), np.log(list(times.values())), 1)[0])


def one_size(folder: Path, size: int) -> Figures:
    """What each stage takes for a table of that many rows, in a project of its own."""
    from tests.support.project import Project

    folder.mkdir()
    project = Project(folder / "project")
    project.write("params.yaml", PARAMS)
    figures: Figures = {}
    for stage in ("make", *STAGES):
        words = [sys.executable, "-m", "benchmarks.bench_scale", stage, str(size)]
        done = subprocess.run(
            words, cwd=project.root, env=project.environment, stdout=subprocess.PIPE, text=True, check=True
        )
        seconds, gib, said = json.loads(done.stdout.splitlines()[-1])
        if stage != "make":
            figures[stage] = (seconds, gib)
        print(f"{size:>12,} rows, {stage:<9}{seconds:8.1f} s {gib:6.2f} GiB  {said}", flush=True)
    return figures


def in_stage(stage: str, size: int) -> None:
    """What one process does: the stage, timed; seconds, GiB and a sentence go to standard output."""
    from ratchet.project.paths import places, settle

    settle(places())
    ready = make(size) if stage == "make" else STAGES[stage]()
    started = time.perf_counter()
    said = ready()
    seconds = time.perf_counter() - started
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps([round(seconds, 2), round(most / 2**20, 3), said]))


def problem_and_registry() -> Problem:
    from ratchet.problem import problem

    return problem.load()


def rows_ready() -> PreparedRows:
    from ratchet.data.prepare import rows

    return rows.load_prepared(problem_and_registry())


def make(size: int) -> Callable[[], str]:
    """Not a stage: the table, pinned and in DVC's cache, so that fetch has something to do."""
    from ratchet.data.tables import canonical_csv
    from ratchet.data.versions import dvc_repo
    from ratchet.problem import data_pin
    from ratchet.problem.data_pin import SplitSpec
    from ratchet.project.paths import places

    def run() -> str:
        here = places()
        incoming = here.work / "incoming"
        incoming.mkdir(parents=True)
        canonical_csv.write_batches(joined(size), incoming / data_pin.TABLE)
        (incoming / data_pin.SPLIT).write_text(SplitSpec(by="text", salt="scale").to_json() + "\n", encoding="utf-8")
        pin = dvc_repo.into_cache(here, incoming, "joined halves of film reviews")
        (here.root / "data.dvc").write_text(pin.to_yaml(), encoding="utf-8")
        shutil.rmtree(incoming)
        return f"{pin.bytes / 1e6:,.0f} MB"

    return run


def joined(size: int) -> Iterator[pl.DataFrame]:
    """The table in batches of rows, half of them of each verdict."""
    from ratchet.data import examples

    with tempfile.TemporaryDirectory() as scratch:
        reviews = examples.get("film_reviews").build(Path(scratch))
    halves = []
    for verdict in ("fresh", "rotten"):
        quotes = [q.split() for q in reviews.filter(pl.col("verdict") == verdict)["quote"].drop_nulls()]
        first, second = (
            pl.Series(list(dict.fromkeys(" ".join(words) for words in part)))
            for part in ([q[: len(q) // 2] for q in quotes], [q[len(q) // 2 :] for q in quotes])
        )
        pairs = len(first) * len(second)
        step = next(step for step in range(int(pairs * 0.618), pairs) if math.gcd(step, pairs) == 1)
        halves.append((verdict, first, second, step))
    rng = np.random.default_rng(0)
    for start in range(0, size, BATCH):
        parts = []
        turn = np.arange(start // 2, min(start + BATCH, size) // 2, dtype=np.int64)
        for verdict, first, second, step in halves:
            pair = turn * step % (len(first) * len(second))
            text = first.gather(pair // len(second)) + " " + second.gather(pair % len(second))
            parts.append(pl.DataFrame({"text": text, "label": [verdict] * len(text)}))
        frame = pl.concat(parts)
        yield frame[rng.permutation(frame.height)]


def fetch() -> Callable[[], str]:
    from ratchet.data.versions import dvc_repo

    current = problem_and_registry()

    def run() -> str:
        with dvc_repo.repository(current.here):  # loads DVC
            pass
        return dvc_repo.fetch(current.here, current.pin)

    return run


def validate() -> Callable[[], str]:
    import expectations
    from expectations import docs
    from ratchet.data.prepare import rows
    from ratchet.data.prepare.table_facts import measure_table

    expectations.load()
    current = problem_and_registry()

    def run() -> str:
        with rows.scratch_folder(current.here) as folder:
            found = measure_table(rows.RawRows(current), folder, current.task)
            rules = expectations.rules_of(current.task)
            verdict = expectations.check_slices(found.slices(expectations.SLICE), "raw", rules)
        docs.render(verdict)
        np.save(current.here.work / KEPT, found.selection.kept)
        return f"{verdict.headline} {found.selection.report}"

    return run


def prepare() -> Callable[[], str]:
    from ratchet.data.prepare import rows

    current = problem_and_registry()

    def run() -> str:
        kept = np.load(current.here.work / KEPT)
        return f"{len(rows.prepare_rows(current, rows.RawRows(current), kept)):,} rows"

    return run


def check() -> Callable[[], str]:
    import expectations
    from ratchet.data.prepare import rows
    from ratchet.data.prepare.table_facts import measure_table

    expectations.load()
    current = problem_and_registry()

    def run() -> str:
        ready = rows.load_prepared(current)
        with rows.scratch_folder(current.here) as folder:
            slices = measure_table(ready, folder, current.task).slices(expectations.SLICE)
            rules = expectations.rules_of(current.task, ready.labels)
            return expectations.check_slices(slices, "prepared", rules).headline

    return run


def train() -> Callable[[], str]:
    from ratchet.problem.model_params import model_params
    from ratchet.training import job as training

    current = problem_and_registry()

    def run() -> str:
        ready, folder = rows_ready(), current.here.work / "build"
        training.write_rows(ready.side("train"), ready.validation.frame, folder)
        params = asdict(model_params(current.settings, "linear"))
        job = training.Job("linear", params, ready.labels, 0, 2 * current.settings.build.minutes)
        trained = training.train(job, folder, lambda tick: print(tick, file=sys.stderr, flush=True))
        return f"fit {trained.seconds:.0f} s, {trained.curve[-1]}"

    return run


def score() -> Callable[[], str]:
    from flows.registry.registry import Predictor
    from models import pyfunc
    from ratchet.judging import gate, slices

    current = problem_and_registry()

    def run() -> str:
        ready = rows_ready()
        frame, labels = ready.holdout.frame, ready.labels
        judging, data = current.task.judging, current.settings.data
        truth = judging.truth(frame["label"].to_list(), labels)
        stored: Any = pyfunc._load_pyfunc(str(current.here.work / "build" / "linear" / "saved"))
        found = Predictor(stored).outputs(frame["text"].to_list(), labels)
        judging.score(truth, found, labels, data)
        parts = slices.slices(judging.slices(frame["text"]), frame)
        slices.score_by_slice(parts, truth, found, lambda *part: judging.score(part[0], part[1], labels, data))
        champion = gate.Candidate("v1", np.tile([0.5, 0.5], (len(truth), 1)))
        rules = gate.Rules(judging.metric("accuracy", labels, data))
        decision = gate.decide(
            gate.Candidate("v2", found), champion, champion, gate.Holdout(truth, slices=parts), rules
        )
        return f"{ready.holdout} {decision.reason}"

    return run


STAGES: dict[str, Callable[[], Callable[[], str]]] = {
    "fetch": fetch,
    "validate": validate,
    "prepare": prepare,
    "check": check,
    "train": train,
    "score": score,
}
"""By name, what gets ready for a stage (imports) and gives what is timed."""


if __name__ == "__main__":
    if len(sys.argv) > 1:
        in_stage(sys.argv[1], int(sys.argv[2]))
    else:
        main()
