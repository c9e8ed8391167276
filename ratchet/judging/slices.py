"""Where is a model weak? A frame enters, named masks leave: short and long texts, scripts, the owner's own
columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ratchet.judging.metrics import Floats, Scores, score

FEWEST = 30
"""Rows below which a slice's score says little: at 30 one standard error of an accuracy of 0.8 is 7
points."""

MOST_VALUES = 8
"""Values of a declared column that are shown, the most frequent first."""

HAN = r"\p{Script=Han}"
LATIN = r"\p{Script=Latin}"

Masks = dict[str, NDArray[np.bool_]]


def slices(frame: pl.DataFrame, columns: Sequence[str] = ()) -> Masks:
    """Named parts of the frame, each of 30 rows or more; the names carry the cut-offs."""
    parts = _lengths(frame["text"]) | _scripts(frame["text"])
    for column in columns:
        parts |= _values(frame[column])
    return {name: mask for name, mask in parts.items() if mask.sum() >= FEWEST}


def score_by_slice(
    masks: Mapping[str, NDArray[np.bool_]],
    labels: Sequence[str],
    truth: Sequence[str],
    probabilities: Floats,
    positive: str | None = None,
) -> dict[str, Scores]:
    """The scores of each part, in the masks' order."""
    true = np.asarray(truth, dtype=object)
    return {name: score(labels, true[mask].tolist(), probabilities[mask], positive) for name, mask in masks.items()}


def _lengths(text: pl.Series) -> Masks:
    """Thirds by number of characters; where many texts are equally long there are fewer."""
    characters = text.str.len_chars().to_numpy().astype(np.int64)
    if not len(characters):
        return {}
    low, high = (int(cut) for cut in np.quantile(characters, (1 / 3, 2 / 3), method="lower"))
    return {
        f"up to {low:,} characters": characters <= low,
        f"{low + 1:,} to {high:,} characters": (characters > low) & (characters <= high),
        f"over {high:,} characters": characters > high,
    }


def _scripts(text: pl.Series) -> Masks:
    """Chinese characters or Latin letters, only where the texts differ in that."""
    han, latin = text.str.contains(HAN).to_numpy(), text.str.contains(LATIN).to_numpy()
    if han.all() or not han.any():
        return {}
    return {
        "in Chinese characters": han & ~latin,
        "in Latin letters": latin & ~han,
        "in both scripts": han & latin,
    }


def _values(column: pl.Series) -> Masks:
    counts = column.drop_nulls().value_counts(sort=True).sort("count", column.name, descending=[True, False])
    return {
        f"{column.name} = {value}": (column == value).fill_null(False).to_numpy()
        for value in counts[column.name].head(MOST_VALUES)
    }
