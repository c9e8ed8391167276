"""The bare script that the loop is held against: the same rows, fits, files and scores, and none of the loop's care.

    python -m benchmarks.bare TABLE.csv TEXT LABEL model [model ...]

It loads and prepares a table, fits each model in turn, saves it, reads it back, and scores it on both other splits.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import polars as pl

import models
from models.contract import Rows
from ratchet import tasks
from ratchet.data.prepare import canonical_columns, split
from ratchet.problem import data_pin
from ratchet.tasks.classify_text.columns import Columns
from tests.support.measuring import prepared


def main(path: str, text: str, label: str, names: list[str]) -> None:
    task = tasks.get("classify")
    raw = canonical_columns.canonical_frame(
        pl.read_csv(path, infer_schema=False), Columns(text=text, label=label), task
    )
    frame = split.assign_sides(prepared(raw, task)[0], data_pin.SplitSpec(by="text", salt="bench"))
    labels = tuple(sorted(frame["label"].unique()))
    parts = {name: rows_of(frame.filter(pl.col("split") == name)) for name in data_pin.SPLITS}
    for name in names:
        file = models.get(name)
        with tempfile.TemporaryDirectory() as folder:
            fitted = file.fit(
                parts["train"], parts["validation"], labels, file.Params(), seed=0, progress=lambda *_: None
            )
            fitted.save(Path(folder))
            stored = models.load(Path(folder))
            for part in ("validation", "holdout"):
                probabilities = stored.predict(parts[part].texts)
                right = probabilities.argmax(axis=1) == task.judging.truth(parts[part].labels, labels)
                print(name, part, float(right.mean()))


def rows_of(part: pl.DataFrame) -> Rows:
    return Rows(part["text"].to_list(), part["label"].to_list())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
