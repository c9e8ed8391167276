"""Batch prediction, part by part: the table can be larger than memory, and a kill costs at most one part.

    .answers.csv.parts/note.json          what the parts depend on
                       00000000.parquet   rows with their answers, written atomically
                       whole.csv          all parts together, to be renamed to answers.csv

A part is logged before it is stored, under ids that are the same if it is made again: every row is logged exactly once.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ratchet.data.tables import writing
from ratchet.data.tables.large_table import LargeTable, stamp_of
from ratchet.data.tables.row_store import StoredRows, store
from ratchet.judging.metrics import Floats
from ratchet.monitoring.log import database, predictions
from ratchet.project import durable
from ratchet.project.errors import Refusal
from ratchet.project.progress import Progress, Say
from ratchet.serving.answering.bundle import Bundle
from ratchet.tasks.values import Data

ROWS = 16_384
"""The most rows of a part."""
BYTES = 16 << 20
"""Of inputs and other columns, above which a part is full."""
NOTE = "note.json"
WHOLE = "whole"
"""Key of the note: the stamp of the whole table, written just before the table is put in its place."""
REASONS = {
    "table": "the table has changed since",
    "column": "they answer another column",
    "bundle": "another version is live now",
    "form": "another version of Ratchet made them",
}
"""Why existing parts cannot be used, by the key of the note that differs."""


@dataclass(frozen=True)
class BatchRequest:
    """A table to be answered.

    Attributes:
        table: the rows.
        inputs: the column of inputs in their stored form, or the columns of the problem that make an input.
        live: the model that answers.
        log: the database of predictions.
    """

    table: LargeTable
    inputs: str | Data
    live: Bundle
    log: database.Place

    @property
    def made_from(self) -> dict[str, Any]:
        """All that the parts depend on, as the note holds it."""
        return {
            "table": list(self.table.prints),
            "column": ", ".join(columns_of(self.inputs)),
            "bundle": self.live.digest,
            "form": f"{ROWS} {BYTES} {pl.__version__}",
        }


def run(request: BatchRequest, target: Path, folder: Path, say: Say) -> None:
    """Answer the rows that no earlier command has answered, and put the whole table in its place.

    Args:
        request: the table.
        target: the table of answers.
        folder: of the parts, from `exclusive_folder`.
        say: prints a line.

    Raises:
        Refusal: the table changed meanwhile.
    """
    note = begin(request, folder, say)
    if target.exists() and note.get(WHOLE) == stamp_of(target):
        say("The command that was cut off had put the table in its place.")
    else:
        kept = parts(folder)
        if kept:
            say(f"Going on after {sum(map(len, kept)):,} of {request.table.rows:,} rows, which were answered earlier.")
        answer_rest(request, folder, note, kept, say)
        put_in_place(folder, note, target)
    for path in folder.glob("*.parquet"):
        path.unlink()
    durable.remove(folder / NOTE)  # last, so that the command after a kill knows whether the table is in place


def begin(request: BatchRequest, folder: Path, say: Say) -> dict[str, Any]:
    """The note of the parts; written anew if there is none, or if the parts were made from something else."""
    note = durable.read_json(folder / NOTE)
    if note is not None:
        differences = [reason for name, reason in REASONS.items() if note.get(name) != request.made_from[name]]
        if not differences:
            return note
        reasons = " and ".join(differences)
        say(f"Beginning anew; the rows that were answered earlier are left out, as {reasons}.")
    empty(folder)
    note = {**request.made_from, "began": int(1000 * time.time()), "token": os.urandom(4).hex()}
    durable.write_json(folder / NOTE, note)
    return note


def put_in_place(folder: Path, note: dict[str, Any], target: Path) -> None:
    """Write all parts into one table, and rename it to `target`."""
    whole = folder / f"whole{target.suffix}"
    writing.write((frame for part in parts(folder) for frame in part.batches()), whole)
    durable.write_json(folder / NOTE, note | {WHOLE: stamp_of(whole)})
    durable.replace(whole, target)


def parts(folder: Path) -> list[StoredRows]:
    """The existing parts, up to the first missing or damaged one."""
    return list(takewhile(StoredRows.is_whole, (StoredRows(part_path(folder, number)) for number in count())))


def part_path(folder: Path, number: int) -> Path:
    return folder / f"{number:08}.parquet"


def answer_rest(request: BatchRequest, folder: Path, note: dict[str, Any], kept: list[StoredRows], say: Say) -> None:
    """Make the missing parts."""
    rest = request.table.rows - sum(map(len, kept))
    if not rest:
        return
    progress = Progress(say, f"Answering {request.table.source.name}", rest)
    for number, rows in enumerate(request.table.batches(ROWS, BYTES)):
        if number < len(kept):
            continue
        inputs = read_inputs(request, rows)
        outputs = outputs_of(request.live, inputs, progress)
        answers, scores = request.live.task.answers.answers(outputs, request.live.labels)
        ids = predictions.repeatable(len(inputs), note["began"], note["token"], number)
        facts = request.live.facts
        logged = list(zip(inputs, answers, scores, strict=True))
        predictions.record(request.log, facts.problem, facts.version, logged, ids)
        added = table_of(request.live, outputs, answers)
        part = pl.concat([rows.drop(added.columns, strict=False), added], how="horizontal")
        store([part], part_path(folder, number))


@contextmanager
def exclusive_folder(target: Path) -> Iterator[Path]:
    """Hold the folder of the parts of a table of answers for the length of the block.

    The folder is removed afterwards, unless it holds parts that the next command can use.

    Raises:
        Refusal: another command writes the same table.
    """
    folder = target.with_name(f".{target.name}.parts")
    handle = lock_folder(folder, target)
    try:
        yield folder
    finally:
        if not (folder / NOTE).exists():
            shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def lock_folder(folder: Path, target: Path) -> int:
    """Lock the folder; the kernel releases the lock when its holder dies.

    Returns:
        The file descriptor that holds the lock.

    Raises:
        Refusal: another command holds the lock.
    """
    while True:
        folder.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # the last holder has just removed the folder: try again
            handle = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(handle), folder.stat()):
                    return handle
            except BlockingIOError:
                os.close(handle)
                raise Refusal(
                    "One command at a time writes a table of answers.",
                    f"another `make predict` is at work on {target}",
                    "Wait for it to end, or name another: OUT=...",
                ) from None
            os.close(handle)


def empty(folder: Path) -> None:
    """Remove all files in the folder, the note first: parts without a note are never used."""
    durable.remove(folder / NOTE)
    for path in folder.iterdir():
        path.unlink()


BATCH = 5_120
"""Inputs answered at a time: whole batches of a neural model, small enough for regular progress lines."""


def columns_of(inputs: str | Data) -> tuple[str, ...]:
    """The columns of a table that its inputs are made of."""
    return (inputs,) if isinstance(inputs, str) else inputs.inputs


def read_inputs(request: BatchRequest, rows: pl.DataFrame) -> list[str]:
    """The input of each row.

    Raises:
        Refusal: a row has none.
    """
    task, inputs = request.live.task, request.inputs
    stored = rows[inputs] if isinstance(inputs, str) else task.rows.inputs(rows, inputs)
    try:
        return [task.answers.read_value(value) for value in stored]
    except ValueError as error:
        raise Refusal("Each row of the table must have an input.", str(error), "Mend or leave out that row.") from None


def outputs_of(live: Bundle, inputs: Sequence[str], tell: Callable[[int], None] = lambda _: None) -> Floats:
    """The outputs for inputs, in their order.

    Args:
        live: the model.
        inputs: n of them.
        tell: called with the number of inputs in each answered batch.

    Returns:
        Shape (n, labels).
    """
    parts = [np.zeros((0, len(live.labels)))]
    for start in range(0, len(inputs), BATCH):
        batch = inputs[start : start + BATCH]
        parts.append(live.model.predict(batch))
        tell(len(batch))
    return np.concatenate(parts)


def table_of(live: Bundle, outputs: Floats, answers: Sequence[str]) -> pl.DataFrame:
    """The column `predicted`, and the numbers of the kind's table of answers."""
    face = live.task.answers
    numbers = [name for name, type_name in face.columns(live.labels) if type_name == "double"]
    table = face.table(outputs, live.labels)
    predicted = pl.Series("predicted", answers, dtype=pl.String)
    return pl.DataFrame([predicted, *(pl.Series(name, table[name], dtype=pl.Float64) for name in numbers)])
