"""What the batches of ratchet/data/prepare give for a table that is one frame."""

from __future__ import annotations

import tempfile
from pathlib import Path

import polars as pl

from ratchet import tasks
from ratchet.data.prepare import deduplicate
from ratchet.data.prepare.deduplicate import PreparationReport
from ratchet.data.prepare.table_facts import measure_table
from ratchet.tasks import Task

CLASSIFY = tasks.get("classify")


def facts_of(frame: pl.DataFrame, task: Task = CLASSIFY) -> pl.DataFrame:
    """All facts of all rows."""
    with tempfile.TemporaryDirectory() as folder:
        facts = measure_table([frame], Path(folder), task)
        return pl.concat(facts.slices(max(1, frame.height)))


def prepared(frame: pl.DataFrame, task: Task = CLASSIFY) -> tuple[pl.DataFrame, PreparationReport]:
    """The valid rows in normal form, each input once, without inputs that have two labels."""
    with tempfile.TemporaryDirectory() as folder:
        selection = measure_table([frame], Path(folder), task).selection
    return deduplicate.normalised(frame.filter(selection.kept)), selection.report
