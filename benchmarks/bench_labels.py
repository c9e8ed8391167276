"""How many chosen labels reach the accuracy that 2,000 random ones give? On the film reviews, with the linear model.

    python -m benchmarks.bench_labels [example]

Both ways begin with the same START random training rows. One goes on at random. The other asks the model trained so far
about all rows that have no label, has BATCH of them chosen by ratchet/monitoring/labels/active_learning.py, which is
what fills the queue of the service's page, and trains anew, until MOST rows are labelled. The validation rows choose
the model's strengths in both, as ever; the holdout rows, by which nothing of this was chosen, measure the accuracies,
which are averaged over SEEDS beginnings and over three neighbouring sizes. chosen_rows is the size from which on the
chosen labels are no worse than RANDOM random ones; MOST, where they never are.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

import models
from models.contract import Rows
from ratchet.data import examples
from ratchet.data.prepare.split import assign_sides
from ratchet.monitoring.labels.active_learning import choose
from ratchet.problem.data_pin import SplitSpec
from tests.support.measuring import prepared

START, BATCH = 300, 100
RANDOM = int(os.environ.get("RANDOM_ROWS", "2000"))
MOST = RANDOM + BATCH
SEEDS = int(os.environ.get("SEEDS", "10"))
QUEUE = 5_000
"""Texts that are ranked at a time where the time is taken: as many as the queue looks at (label_queue.py)."""


def main(arguments: list[str]) -> int:
    """Run, print the two curves, then the figures."""
    rows = sides(arguments[0] if arguments else "film_reviews")
    sizes = list(range(START, MOST + 1, BATCH))
    chosen, drawn = np.zeros((SEEDS, len(sizes))), np.zeros((SEEDS, len(sizes)))
    for seed in range(SEEDS):
        chosen[seed], drawn[seed] = curve(rows, seed, sizes, True), curve(rows, seed, sizes, False)
        print(f"beginning {seed}: {chosen[seed, -2]:.4f} chosen, {drawn[seed, -2]:.4f} at random", file=sys.stderr)
    ours, theirs = smoothed(chosen.mean(axis=0)), smoothed(drawn.mean(axis=0))
    for size, one, other in zip(sizes, ours, theirs, strict=True):
        print(f"{size:5} labels: {one:.4f} chosen, {other:.4f} at random")
    target = theirs[sizes.index(RANDOM)]
    reached = [size for at, size in enumerate(sizes) if (ours[at:-1] >= target).all()][:1] or [MOST]
    texts = rows["train"].texts[:QUEUE]
    began = time.perf_counter()
    choose(texts, [0.5] * len(texts), 50, 0)
    print(f"ranking {len(texts):,} texts took {time.perf_counter() - began:.2f} s")
    print(f"chosen_rows={reached[0]} random_rows={RANDOM}")
    return 0


def curve(rows: dict[str, Rows], seed: int, sizes: list[int], choosing: bool) -> NDArray[np.float64]:
    """The accuracy on the holdout rows with so many labels."""
    pool, found = rows["train"], []
    order = np.random.default_rng(seed).permutation(len(pool))
    taken = order[: sizes[0]]
    for size in sizes:
        model = fitted(rows, taken)
        found.append(accuracy(model, rows["holdout"]))
        if not choosing:
            taken = order[: size + BATCH]
            continue
        rest = np.setdiff1d(order, taken)
        texts = [pool.texts[at] for at in rest]
        doubts = 1 - model.predict(texts).max(axis=1)
        got = choose(texts, doubts.tolist(), BATCH, 1_000 * seed + size)
        taken = np.concatenate([taken, rest[[choice.index for choice in got]]])
    return np.array(found)


def fitted(rows: dict[str, Rows], taken: NDArray[np.intp]) -> Any:
    """The linear model, with its default parameters, of these training rows."""
    linear, pool = models.get("linear"), rows["train"]
    some = Rows([pool.texts[at] for at in taken], [pool.labels[at] for at in taken])
    labels = tuple(sorted(set(pool.labels)))
    return linear.fit(some, rows["validation"], labels, linear.Params(), seed=0, progress=lambda *_: None)


def accuracy(model: Any, rows: Rows) -> float:
    """The share of rows that the model answers rightly."""
    found = np.array(model.labels)[model.predict(rows.texts).argmax(axis=1)]
    return float((found == np.array(rows.labels)).mean())


def smoothed(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each size averaged with its two neighbours; the ends with one."""
    return np.array([curve[max(0, at - 1) : at + 2].mean() for at in range(len(curve))])


def sides(name: str) -> dict[str, Rows]:
    """The rows of each side, split as `make data EXAMPLE=name` splits them."""
    example = examples.get(name)
    columns = example.COLUMNS
    with TemporaryDirectory() as folder:
        table = example.build(Path(folder))
    group = pl.col(columns.group) if columns.group else pl.lit(None, pl.String)
    frame, _ = prepared(table.select(text=columns.inputs[0], label=columns.label, group=group))
    split = assign_sides(frame, SplitSpec(by="group" if columns.group else "text", salt=example.PROBLEM))
    return {
        side: Rows(some["text"].to_list(), some["label"].to_list())
        for side in ("train", "validation", "holdout")
        for some in [split.filter(pl.col("split") == side)]
    }


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
