"""How far a long piece of work is: what is done, how fast it goes, how long it will take; nothing while it is short."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

Say = Callable[[str], None]

UNHEARD = "unheard"
"""The attribute of a log record that a flow says for its log alone (ratchet/console/terminal.py)."""
EVERY = 3.0  # seconds; what takes less is over before anybody wonders


class Progress:
    """Called with each amount that is done, says a line every three seconds.

    what: e.g. `Reading tickets.csv`. total: all that there is, in `unit`, e.g. bytes or rows; bytes are shown in MB.
    """

    def __init__(self, say: Say, what: str, total: int, unit: str = "rows") -> None:
        self.say, self.what, self.total, self.unit = say, what, total, unit
        self.done = 0
        self.began = self.last = time.monotonic()

    def __call__(self, amount: int) -> None:
        self.done += amount
        now = time.monotonic()
        if now - self.last >= EVERY and self.done:
            self.last = now
            self.say(self.line(now - self.began))

    def line(self, seconds: float) -> str:
        """`  Reading tickets.csv: 31.5 of 133.4 MB, 10.5 MB/s, about 10 s left`."""
        rate = self.done / max(seconds, 1e-9)
        left = max(0.0, self.total - self.done) / rate
        done, total = self.shown(self.done), self.shown(self.total)
        unit = "MB" if self.unit == "bytes" else self.unit
        return f"  {self.what}: {done} of {total} {unit}, {self.shown(rate)} {unit}/s, about {left:.0f} s left"

    def shown(self, amount: float) -> str:
        return f"{amount / 1e6:,.1f}" if self.unit == "bytes" else f"{amount:,.0f}"


class ReportingRows:
    """Batches of rows that say how far whoever goes through them is; each time they are gone through, anew."""

    def __init__(self, batches: Iterable[pl.DataFrame], say: Say, what: str, rows: int) -> None:
        self.batches, self.say, self.what, self.rows = batches, say, what, rows

    def __iter__(self) -> Iterator[pl.DataFrame]:
        progress = Progress(self.say, self.what, self.rows)
        for frame in self.batches:
            yield frame
            progress(frame.height)
