"""How far long work is, as it is told while it lasts."""

from __future__ import annotations

import polars as pl

from ratchet.project.progress import Progress, ReportingRows


def test_progress_is_silent_while_work_is_short_and_then_tells_rate_and_time_left() -> None:
    said: list[str] = []
    short = Progress(said.append, "Reading t.csv", 100)
    short(50)
    assert said == []
    long = Progress(said.append, "Reading t.csv", 40_000_000, "bytes")
    long.began -= 10
    long.last -= 10
    long(10_000_000)
    long(1)
    assert said == ["  Reading t.csv: 10.0 of 40.0 MB, 1.0 MB/s, about 30 s left"]


def test_batches_that_are_watched_come_as_they_are_each_time_anew() -> None:
    frames = [pl.DataFrame({"row": [1, 2]}), pl.DataFrame({"row": [3]})]
    said: list[str] = []
    watched = ReportingRows(frames, said.append, "Preparing", 3)
    assert [list(watched), list(watched)] == [frames, frames]
    assert said == []
