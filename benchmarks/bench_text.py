"""How many megabytes of raw text a second does the linear model turn into probabilities, on one core?

    python -m benchmarks.bench_text

The film reviews (1.4 MB of UTF-8 in 12,750 snippets) are fitted once; then all of them are predicted, from Python strings to
probabilities, reading, counting and scoring included, REPEATS times after one that is not counted. The median is reported.
A megabyte is 10**6 bytes. Every thread pool is held to one thread, which must be said before numpy is loaded.
"""

from __future__ import annotations

import os

for _pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[_pool] = "1"

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from models import linear
from models.contract import Rows
from ratchet import examples
from ratchet.steps.prepare import prepare
from ratchet.steps.split import SplitSpec, assign

REPEATS = 9
SINGLES = 500


def main() -> None:
    """Fit, measure, print."""
    rows, validation = _film()
    model = linear.fit(rows, validation, ("fresh", "rotten"), linear.Params(), seed=0, progress=lambda *_: None)
    texts = [*rows.texts, *validation.texts]
    size = sum(len(text.encode()) for text in texts) / 1e6
    model.predict_proba(texts)
    rates = sorted(size / _seconds(model, texts) for _ in range(REPEATS))
    alone = [_seconds(model, [text]) for text in texts[:SINGLES]]
    print(f"{len(texts)} texts, {size:.2f} MB: {rates[0]:.1f} to {rates[-1]:.1f} MB/s in {REPEATS} repeats, one core")
    print(f"a text alone: {1e6 * median(alone):.0f} microseconds")
    print(f"mb_per_s={median(rates):.2f}")


def _film() -> tuple[Rows, Rows]:
    """The film reviews, a tenth of the films for validation."""
    columns = examples.get("film_reviews").COLUMNS
    with TemporaryDirectory() as folder:
        table = examples.get("film_reviews").build(Path(folder))
    named = table.select(text=columns.text, label=columns.label, group=columns.group)
    frame = assign(prepare(named).frame, SplitSpec(by="group", salt="bench"))
    validates = frame["split"] == "validation"
    sides = (frame.filter(~validates), frame.filter(validates))
    train, validation = (Rows(side["text"].to_list(), side["label"].to_list()) for side in sides)
    return train, validation


def _seconds(model: linear.Linear, texts: list[str]) -> float:
    """How long the texts take from strings to probabilities."""
    started = time.perf_counter()
    model.predict_proba(texts)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
