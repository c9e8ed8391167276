"""The scorecard of a challenger, a row a metric: stored rows enter, ScorecardRows and table cells leave."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

DECIDES = " *decides*"
"""Suffix that earlier versions appended to the name of the deciding metric."""
NUMBER = re.compile(r"[-+]?\d+\.\d+")


@dataclass(frozen=True)
class ScorecardRow:
    """One figure of the challenger, of the champion and of the baseline.

    Attributes:
        metric: Name of the metric for a person, e.g. `macro F1`.
        challenger: The challenger's figure.
        champion: The champion's figure; None without a champion to compare with.
        baseline: The baseline's figure; None if there is none.
        decides: Whether this metric decides.
        interval: 80% interval of the difference; None if it was not measured.
    """

    metric: str
    challenger: float
    champion: float | None
    baseline: float | None
    decides: bool = False
    interval: tuple[float, float] | None = None

    @property
    def difference(self) -> float | None:
        """Challenger minus champion."""
        return None if self.champion is None else self.challenger - self.champion

    @property
    def cells(self) -> dict[str, str]:
        """The row as cells of a table, by column."""
        change = "" if self.difference is None else f"{self.difference:+.4f}"
        if self.interval is not None:
            change += f" [{self.interval[0]:+.4f}, {self.interval[1]:+.4f}]"
        return {
            "metric": self.metric,
            "challenger": f"{self.challenger:.4f}",
            "champion": "none" if self.champion is None else f"{self.champion:.4f}",
            "difference [80% interval]": change,
            "baseline": "" if self.baseline is None else f"{self.baseline:.4f}",
        }


def read(rows: Iterable[Mapping[str, Any]]) -> list[ScorecardRow]:
    """Read stored rows; rows of earlier versions hold formatted strings."""
    return [_read(row) for row in rows]


def _read(row: Mapping[str, Any]) -> ScorecardRow:
    if "decides" in row:
        interval = row["interval"]
        return ScorecardRow(**{**row, "interval": None if interval is None else (interval[0], interval[1])})
    ends = NUMBER.findall(row["difference [80% interval]"].partition("[")[2])
    return ScorecardRow(
        row["metric"].removesuffix(DECIDES),
        float(row["challenger"]),
        _number(row["champion"]),
        _number(row["baseline"]),
        row["metric"].endswith(DECIDES),
        (float(ends[0]), float(ends[1])) if len(ends) == 2 else None,
    )


def _number(cell: str) -> float | None:
    """The number in a cell of a table; None for `none` or an empty cell."""
    return float(cell) if NUMBER.fullmatch(cell) else None
