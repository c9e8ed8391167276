"""Where is a model weak, and is the challenger worse anywhere, though it may be better on the whole?

A frame enters, named masks leave: short and long texts, scripts, the owner's own columns. Then two models' answers to
the same rows enter; each slice's difference leaves, with an interval that knows how many slices were looked at.

Were the two equal, it would be up to chance which answer is whose. So the answers to each group are swapped by the toss
of a coin, a thousand times, and each slice is measured by how far it then spreads. Of every toss the slice that lost
most counts: what one in twenty tosses exceeds is the limit for all of them. So at most 5 of 100 challengers that are
equal on every slice are found worse on any, however many slices there are and whichever share rows; and a slice where
the two differ on a few groups alone can be found worse by no chance at all, for its tosses come out as far as it does.
Source: Westfall and Young 1993, Resampling-Based Multiple Testing, chapter 2 (maxT).

A slice speaks against a challenger where its whole interval lies more than half a point below the champion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ratchet.judging.bootstrap import swapped
from ratchet.judging.gate_memory import SLIDE
from ratchet.judging.metrics import Floats, Ints, Metric, Scores, score

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


SWAPS = 1_000
CONFIDENCE = 0.95
"""One-sided, and for all slices together."""


@dataclass(frozen=True)
class Slice:
    """How far the challenger is ahead of the champion on a slice, in the metric's unit, above 0 better.

    champion, challenger: the metric of either there, as a person knows it. interval: for all slices together.
    """

    name: str
    rows: int
    challenger: float
    champion: float
    ahead: float
    interval: tuple[float, float]

    @property
    def harmed(self) -> bool:
        """Whether it is surely worse there."""
        return self.interval[1] < -SLIDE


def compared(
    metric: Metric,
    true: Ints,
    challenger: Floats,
    champion: Floats,
    groups: Ints,
    slices: Masks,
    values: Mapping[str, tuple[float, float]],
    *,
    positive: int | None,
    seed: int,
) -> tuple[Slice, ...]:
    """Every slice, in the order in which they came. values: of the metric, the challenger's and the champion's."""
    if not slices:
        return ()
    found = swapped(
        metric,
        true,
        challenger,
        champion,
        groups,
        list(slices.values()),
        positive=positive,
        swaps=SWAPS,
        seed=seed,
    )
    reach = limit(found) * spread(found)
    return tuple(
        Slice(name, int(mask.sum()), *values[name], float(ahead), (float(ahead - far), float(ahead + far)))
        for (name, mask), ahead, far in zip(slices.items(), found[:, 0], reach, strict=True)
    )


def spread(found: Floats) -> Floats:
    """How far each slice spreads over the swaps, which are around 0."""
    deviation: Floats = np.sqrt((found**2).mean(axis=1))
    return deviation


def limit(found: Floats) -> float:
    """In so many spreads lies the worst slice of all but 5 of 100 swaps. found: as `swapped` gives it."""
    far = spread(found)[:, None]
    worst = np.sort(np.divide(-found, far, out=np.zeros_like(found), where=far > 0).max(axis=0))
    return max(0.0, float(worst[int(np.ceil(CONFIDENCE * len(worst))) - 1]))
