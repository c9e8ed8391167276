"""Progress lines of long work: amount done, rate and time left; short work prints nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

LOG_ONLY = "unheard"
"""The attribute of a log record that is for the flow's log alone (ratchet/console/terminal.py)."""
INTERVAL_SECONDS = 3.0  # shorter work needs no progress line


class Progress:
    """Call it with each amount that is done; it prints a line every three seconds.

    Args:
        say: prints a line.
        work: the work, e.g. `Reading tickets.csv`.
        total: the whole amount, in `unit`.
        unit: e.g. `rows` or `bytes`; bytes are shown in MB.
    """

    def __init__(self, say: Say, work: str, total: int, unit: str = "rows") -> None:
        self.say = say
        self.work = work
        self.total = total
        self.unit = unit
        self.done = 0
        self.began = self.last = time.monotonic()

    def __call__(self, amount: int) -> None:
        self.done += amount
        now = time.monotonic()
        if now - self.last >= INTERVAL_SECONDS and self.done:
            self.last = now
            self.say(self.line(now - self.began))

    def line(self, seconds: float) -> str:
        """`  Reading tickets.csv: 31.5 of 133.4 MB, 10.5 MB/s, about 10 s left`."""
        rate = self.done / max(seconds, 1e-9)
        left = max(0.0, self.total - self.done) / rate
        done, total = self.shown(self.done), self.shown(self.total)
        unit = "MB" if self.unit == "bytes" else self.unit
        return f"  {self.work}: {done} of {total} {unit}, {self.shown(rate)} {unit}/s, about {left:.0f} s left"

    def shown(self, amount: float) -> str:
        return f"{amount / 1e6:,.1f}" if self.unit == "bytes" else f"{amount:,.0f}"


class ReportingRows:
    """Batches of rows whose iteration reports its progress; each iteration starts anew.

    Args:
        batches: frames.
        say: prints a line.
        work: the work, e.g. `Reading tickets.csv`.
        rows: of all batches together.
    """

    def __init__(self, batches: Iterable[pl.DataFrame], say: Say, work: str, rows: int) -> None:
        self.batches = batches
        self.say = say
        self.work = work
        self.rows = rows

    def __iter__(self) -> Iterator[pl.DataFrame]:
        progress = Progress(self.say, self.work, self.rows)
        for frame in self.batches:
            yield frame
            progress(frame.height)
