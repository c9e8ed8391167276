"""Progress lines of long work."""

from __future__ import annotations

import polars as pl

from ratchet.project.progress import Progress, ReportingRows


def test_progress_is_silent_for_short_work_and_then_shows_rate_and_time_left() -> None:
    lines: list[str] = []
    short = Progress(lines.append, "Reading t.csv", 100)
    short(50)
    assert lines == []
    long = Progress(lines.append, "Reading t.csv", 40_000_000, "bytes")
    long.began -= 10
    long.last -= 10
    long(10_000_000)
    long(1)
    assert lines == ["  Reading t.csv: 10.0 of 40.0 MB, 1.0 MB/s, about 30 s left"]


def test_reporting_rows_give_the_same_batches_at_each_iteration() -> None:
    frames = [pl.DataFrame({"row": [1, 2]}), pl.DataFrame({"row": [3]})]
    lines: list[str] = []
    batches = ReportingRows(frames, lines.append, "Preparing", 3)
    assert [list(batches), list(batches)] == [frames, frames]
    assert lines == []
