"""How many megabytes of raw text a second does the linear model turn into probabilities, on one core?

    python -m benchmarks.bench_text

Linear is fitted once on the film reviews; then their training and validation texts (1.3 MB of UTF-8) are predicted,
from Python strings to probabilities, reading, counting and scoring included: REPEATS times, after one that is not
counted. The median is reported; a megabyte is 10**6 bytes. All thread pools are held to one thread.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.contract import Model

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
REPEATS = 9
SINGLES = 500


def main() -> None:
    """Fit, measure, print."""
    os.environ.update(
        dict.fromkeys(POOLS, "1")
    )  # read when numpy and polars are loaded, so nothing here is loaded before
    model, texts = _fitted()
    size = sum(len(text.encode()) for text in texts) / 1e6
    model.predict(texts)
    rates = [size / _seconds(model, texts) for _ in range(REPEATS)]
    alone = [_seconds(model, [text]) for text in texts[:SINGLES]]
    print(f"{len(texts)} texts, {size:.2f} MB: {min(rates):.1f} to {max(rates):.1f} MB/s in {REPEATS} repeats")
    print(f"a text alone: {1e6 * median(alone):.0f} microseconds")
    print(f"mb_per_s={median(rates):.2f}")


def _fitted() -> tuple[Model, list[str]]:
    """Linear, fitted on the film reviews with a tenth of the films for validation; and the texts of both."""
    import models
    from models.contract import Rows
    from ratchet.data import examples
    from ratchet.data.prepare.split import assign_sides
    from ratchet.problem.data_pin import SplitSpec
    from tests.support.measuring import prepared

    film, linear = examples.get("film_reviews"), models.get("linear")
    with TemporaryDirectory() as folder:
        table = film.build(Path(folder))
    named = table.select(text=film.COLUMNS.inputs[0], label=film.COLUMNS.label, group=film.COLUMNS.group)
    frame = assign_sides(prepared(named)[0], SplitSpec(by="group", salt="bench"))
    sides = (frame.filter(split="train"), frame.filter(split="validation"))
    train, validation = (Rows(side["text"].to_list(), side["label"].to_list()) for side in sides)
    labels = tuple(sorted(set(train.labels)))
    model = linear.fit(train, validation, labels, linear.Params(), seed=0, progress=lambda *_: None)
    return model, [*train.texts, *validation.texts]


def _seconds(model: Model, texts: list[str]) -> float:
    """How long the texts take from strings to probabilities."""
    started = time.perf_counter()
    model.predict(texts)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
