"""Slices of the holdout: the scores on each, and whether the challenger is worse than the champion on any.

A frame enters, named masks leave: short and long texts, scripts, the owner's declared columns. Then two models'
probabilities for the same rows enter; the difference on each slice leaves, with an interval for all slices together.

The comparison is a permutation test with a maxT correction. If both models were equal, each pair of answers to a group
could be swapped. So the answers to each group are swapped by a coin, a thousand times, and the difference on a slice is
measured in units of its spread over the swaps. The limit for all slices is the 95th percentile of the worst slice of
each swap. Therefore at most 5 of 100 challengers that are equal on every slice are found worse on any, however many
slices there are and whichever rows they share. A slice on which the models differ on a few groups only can never be
found worse, since its swaps spread as far as its difference.
Source: Westfall and Young 1993, Resampling-Based Multiple Testing, chapter 2 (maxT).

A slice counts against a challenger if its whole interval lies more than half a point below the champion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ratchet.judging.bootstrap import swap_differences
from ratchet.judging.gate_memory import SLIDE
from ratchet.judging.metrics import Floats, Ints, Metric, Scores, score

FEWEST = 30
"""Fewest rows of a slice: at 30 one standard error of an accuracy of 0.8 is 7 points."""

MOST_VALUES = 8
"""Most values of a declared column that become slices, the most frequent first."""

HAN = r"\p{Script=Han}"
LATIN = r"\p{Script=Latin}"

Masks = dict[str, NDArray[np.bool_]]


def slices(frame: pl.DataFrame, columns: Sequence[str] = ()) -> Masks:
    """Masks of the named slices of a frame, each of 30 rows or more; the names contain the cut-offs."""
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
    """The scores of each slice, in the masks' order."""
    true = np.asarray(truth, dtype=object)
    return {name: score(labels, true[mask].tolist(), probabilities[mask], positive) for name, mask in masks.items()}


def _lengths(text: pl.Series) -> Masks:
    """Thirds by number of characters; fewer parts if many texts are equally long."""
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
    """Chinese characters or Latin letters; empty if all texts agree in having Chinese characters or none."""
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
    """The challenger against the champion on one slice.

    Attributes:
        name: Name of the slice, with its cut-offs.
        rows: Number of rows.
        challenger: The challenger's metric, not negated.
        champion: The champion's metric, not negated.
        ahead: Lead of the challenger in the metric's unit; above 0 is better.
        interval: Interval of the lead that holds for all slices together.
    """

    name: str
    rows: int
    challenger: float
    champion: float
    ahead: float
    interval: tuple[float, float]

    @property
    def harmed(self) -> bool:
        """Whether the challenger is significantly worse on the slice."""
        return self.interval[1] < -SLIDE


def compare_slices(
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
    """Compare two models on every slice, in the order of the masks.

    Args:
        values: Metric of the challenger and of the champion on each slice.
    """
    if not slices:
        return ()
    differences = swap_differences(
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
    half_widths = max_t_limit(differences) * spread(differences)
    return tuple(
        Slice(name, int(mask.sum()), *values[name], float(lead), (float(lead - half), float(lead + half)))
        for (name, mask), lead, half in zip(slices.items(), differences[:, 0], half_widths, strict=True)
    )


def spread(differences: Floats) -> Floats:
    """The standard deviation of each slice's difference over the swaps, whose mean is 0."""
    deviation: Floats = np.sqrt((differences**2).mean(axis=1))
    return deviation


def max_t_limit(differences: Floats) -> float:
    """The number of spreads that the worst slice exceeds in 5 of 100 swaps (maxT).

    Args:
        differences: Return value of `bootstrap.swap_differences`.
    """
    spreads = spread(differences)[:, None]
    scaled = np.divide(-differences, spreads, out=np.zeros_like(differences), where=spreads > 0)
    worst = np.sort(scaled.max(axis=0))
    return max(0.0, float(worst[int(np.ceil(CONFIDENCE * len(worst))) - 1]))
