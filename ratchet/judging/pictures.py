"""What a picture of a finding shows: data enters flows/pages/charts.py, which draws it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ratchet.judging.metrics import Ints

Point = tuple[float, float]


@dataclass(frozen=True)
class Grid:
    """Rows counted by the truth and by what a model gave.

    Attributes:
        counts: Shape (n, n), by truth (down) and answer (across).
        names: Of the n values, in the order of both axes.
        title: Heading of the picture.
        down: What stands down.
        across: What stands across.
    """

    counts: Ints
    names: Sequence[str]
    title: str
    down: str
    across: str


@dataclass(frozen=True)
class Lines:
    """Points of models, joined by lines.

    Attributes:
        points: By the model's name (`champion`, `challenger`), its points from left to right.
        diagonal: Name of the diagonal, on which a perfect model lies.
        title: Heading of the picture.
        across: What is measured from left to right.
        up: What is measured from below.
        diagonal_ends: Where the diagonal begins and ends, on both axes.
        limits: Ends of both axes: across, up.
    """

    points: Mapping[str, Sequence[Point]]
    diagonal: str
    diagonal_ends: Point
    title: str
    across: str
    up: str
    limits: tuple[Point, Point]
