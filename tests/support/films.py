"""Film reviews as watching meets them: of some films the rows that a version was judged on, of others what it meets."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from ratchet.data import examples
from ratchet.monitoring.drift import alpha_spending
from ratchet.monitoring.drift.samples import Audited, LiveSample, Reference
from ratchet.tasks.values import Answered

HOURLY = alpha_spending.allowed(1.0)


@cache
def film() -> pl.DataFrame:
    """Film reviews, each film's number, and made-up answers that are right as often as they are sure."""
    example = examples.get("film_reviews")
    with TemporaryDirectory() as folder:
        table = example.build(Path(folder))
    named = table.select(text=example.COLUMNS.inputs[0], label=example.COLUMNS.label, group=example.COLUMNS.group)
    frame = named.with_columns(film=pl.col("group").rank("dense").cast(pl.Int64) - 1).unique(
        "text", maintain_order=True
    )
    chance = np.random.default_rng(0)
    score = np.round(chance.beta(4, 1.2, frame.height) / 2 + 0.5, 4)
    right = chance.random(frame.height) < score
    other = frame["label"].replace_strict({"fresh": "rotten", "rotten": "fresh"})
    return frame.with_columns(score=pl.Series(score), said=pl.Series(np.where(right, frame["label"], other)))


def sides(seed: int, rows: int = 1_000) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The reviews of 50 films, and some of other films."""
    films = np.random.default_rng(seed).permutation(int(film()["film"].max()) + 1)[:50].tolist()  # type: ignore[arg-type]
    return film().filter(pl.col("film").is_in(films)), film().filter(~pl.col("film").is_in(films)).sample(
        rows, seed=seed
    )


def answered(frame: pl.DataFrame) -> Answered:
    lengths, said = frame["text"].str.len_chars().to_numpy().astype(float), frame["said"].to_numpy().astype(str)
    return Answered(lengths, said, frame["score"].to_numpy())


def judged(frame: pl.DataFrame) -> Reference:
    groups = np.unique(frame["film"].to_numpy(), return_inverse=True)[1]
    return Reference(answered(frame), frame["label"].to_numpy().astype(str), groups, tuple(frame["text"]), groups)


def met(frame: pl.DataFrame, texts: bool = True) -> LiveSample:
    teach = np.arange(frame.height) % 2 == 0
    return LiveSample(answered(frame), tuple(frame["text"]) if texts else (), teach if texts else np.zeros(0, np.bool_))


def audited(frame: pl.DataFrame) -> Audited:
    return Audited(answered(frame), frame["label"].to_numpy().astype(str))
