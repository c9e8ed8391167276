"""Slices of the holdout: the scores on each, and whether the challenger is worse than the champion on any.

The masks of a kind (short and long texts, say) and a frame with the owner's declared columns enter, the masks that are
large enough leave. Then two models' outputs for the same rows enter; the difference on each slice leaves, with an
interval for all slices together.

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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ratchet.judging.bootstrap import swap_differences
from ratchet.judging.metrics import SLIDE, Floats, Ints, Metric, Scores, Truth

if TYPE_CHECKING:
    import polars as pl

FEWEST = 30
"""Fewest rows of a slice: at 30 one standard error of an accuracy of 0.8 is 7 points."""

MOST_VALUES = 8
"""Most values of a declared column that become slices, the most frequent first."""

Masks = dict[str, NDArray[np.bool_]]


def slices(masks: Masks, frame: pl.DataFrame, columns: Sequence[str] = ()) -> Masks:
    """The masks, and those of the values of declared columns of a frame; of each 30 rows or more."""
    parts = dict(masks)
    for column in columns:
        parts |= _values(frame[column])
    return {name: mask for name, mask in parts.items() if mask.sum() >= FEWEST}


def score_by_slice(
    masks: Mapping[str, NDArray[np.bool_]], truth: Truth, outputs: Floats, score: Callable[[Truth, Floats], Scores]
) -> dict[str, Scores]:
    """The scores of each slice, in the masks' order."""
    return {name: score(truth[mask], outputs[mask]) for name, mask in masks.items()}


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
        tolerance: Loss that is let pass, in the metric's unit.
    """

    name: str
    rows: int
    challenger: float
    champion: float
    ahead: float
    interval: tuple[float, float]
    tolerance: float = SLIDE

    @property
    def harmed(self) -> bool:
        """Whether the challenger is significantly worse on the slice."""
        return self.interval[1] < -self.tolerance


def compare_slices(
    metric: Metric,
    truth: Truth,
    challenger: Floats,
    champion: Floats,
    groups: Ints,
    slices: Masks,
    values: Mapping[str, tuple[float, float]],
    *,
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
        truth,
        challenger,
        champion,
        groups,
        list(slices.values()),
        swaps=SWAPS,
        seed=seed,
    )
    half_widths = max_t_limit(differences) * spread(differences)
    return tuple(
        Slice(
            name,
            int(mask.sum()),
            *values[name],
            float(lead),
            (float(lead - half), float(lead + half)),
            metric.slide(values[name][1]),
        )
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
