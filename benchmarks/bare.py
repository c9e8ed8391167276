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
from ratchet.data.prepare import canonical_columns, deduplicate, row_facts, split
from ratchet.judging import metrics
from ratchet.problem import data_pin
from ratchet.tasks.classify_text.columns import Columns


def main(path: str, text: str, label: str, names: list[str]) -> None:
    task = tasks.get("classify")
    raw = canonical_columns.canonical_frame(
        pl.read_csv(path, infer_schema=False), Columns(text=text, label=label), task
    )
    valid, _ = row_facts.set_aside(raw, row_facts.measure(raw, task), task)
    frame = split.assign_sides(deduplicate.prepare(valid).frame, data_pin.SplitSpec(by="text", salt="bench"))
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
                probabilities = stored.predict_proba(parts[part].texts)
                print(name, part, metrics.score(labels, parts[part].labels, probabilities).accuracy)


def rows_of(part: pl.DataFrame) -> Rows:
    return Rows(part["text"].to_list(), part["label"].to_list())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
