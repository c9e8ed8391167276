"""A table that is answered part by part: it may be larger than memory, and a kill costs one part at most.

    .answers.csv.parts/note.json          what the parts are made from
                       00000000.parquet   rows with their answers, there whole or not at all
                       whole.csv          all of them, on their way to answers.csv

A part is logged before it is kept, with ids that it has each time it is made: so every row is logged, and once.
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
from ratchet.monitoring.log import database, predictions
from ratchet.project import durable
from ratchet.project.errors import Refusal
from ratchet.project.progress import Progress, Say
from ratchet.serving.answering.bundle import Bundle

ROWS, BYTES = 16_384, 16 << 20
"""Of texts and other columns from which on a part is full."""
NOTE = "note.json"
WHOLE = "whole"
"""In the note: what the table is known by, once it was about to be put in its place."""
REASONS = {
    "table": "the table has changed since",
    "column": "they answer another column",
    "bundle": "another version is live now",
    "form": "another version of Ratchet made them",
}
"""Why parts that are there cannot be used, by what of the note differs."""


@dataclass(frozen=True)
class BatchRequest:
    """A table to be answered. column: of the texts. live: who answers. log: the database of predictions."""

    table: LargeTable
    column: str
    live: Bundle
    log: database.Place

    @property
    def made_from(self) -> dict[str, Any]:
        """All that the parts depend on."""
        return {
            "table": list(self.table.prints),
            "column": self.column,
            "bundle": self.live.digest,
            "form": f"{ROWS} {BYTES} {pl.__version__}",
        }


def run(asked: BatchRequest, target: Path, folder: Path, say: Say) -> None:
    """Answer every row that no earlier command has, and put the whole table in its place. folder: from `alone`.

    Raises:
        Refusal: the table changed meanwhile.
    """
    known = begin(asked, folder, say)
    if target.exists() and known.get(WHOLE) == stamp_of(target):
        say("The command that was cut off had put the table in its place.")
    else:
        kept = parts(folder)
        if kept:
            say(f"Going on after {sum(map(len, kept)):,} of {asked.table.rows:,} rows, which were answered earlier.")
        answer_rest(asked, folder, known, kept, say)
        put_in_place(folder, known, target)
    for path in folder.glob("*.parquet"):
        path.unlink()
    durable.remove(folder / NOTE)  # last, so that whoever comes after a kill knows what is in place


def begin(asked: BatchRequest, folder: Path, say: Say) -> dict[str, Any]:
    """The note of the parts, written anew where there is none or they were made from something else."""
    known = durable.read_json(folder / NOTE)
    if known is not None:
        differs = [reason for name, reason in REASONS.items() if known.get(name) != asked.made_from[name]]
        if not differs:
            return known
        say(f"Beginning anew; the rows that were answered earlier are left out, as {' and '.join(differs)}.")
    empty(folder)
    known = {**asked.made_from, "began": int(1000 * time.time()), "token": os.urandom(4).hex()}
    durable.write_json(folder / NOTE, known)
    return known


def put_in_place(folder: Path, known: dict[str, Any], target: Path) -> None:
    """Make one table of the parts, and give it the name that was asked for."""
    whole = folder / f"whole{target.suffix}"
    writing.write((frame for part in parts(folder) for frame in part.batches()), whole)
    durable.write_json(folder / NOTE, known | {WHOLE: stamp_of(whole)})
    durable.replace(whole, target)


def parts(folder: Path) -> list[StoredRows]:
    """The parts that are there, up to the first that is not."""
    return list(takewhile(StoredRows.is_whole, (StoredRows(part_path(folder, number)) for number in count())))


def part_path(folder: Path, number: int) -> Path:
    return folder / f"{number:08}.parquet"


def answer_rest(asked: BatchRequest, folder: Path, known: dict[str, Any], kept: list[StoredRows], say: Say) -> None:
    """Make the parts that are not there."""
    rest = asked.table.rows - sum(map(len, kept))
    if not rest:
        return
    progress = Progress(say, f"Answering {asked.table.source.name}", rest)
    for number, rows in enumerate(asked.table.batches(ROWS, BYTES)):
        if number < len(kept):
            continue
        texts = rows[asked.column].fill_null("").to_list()
        told = answer(asked.live, texts, progress)
        names = predictions.repeatable(len(texts), known["began"], known["token"], number)
        facts, answers = asked.live.facts, zip(texts, told["predicted"], told["score"], strict=True)
        predictions.record(asked.log, facts.problem, facts.version, list(answers), names)
        whole = pl.concat([rows.drop(told.columns, strict=False), told], how="horizontal")
        store([whole], part_path(folder, number))


@contextmanager
def alone(target: Path) -> Iterator[Path]:
    """The folder of the parts of a table of answers, which is this command's alone while the block runs.

    It is gone afterwards, unless it holds parts to go on from.

    Raises:
        Refusal: another command writes the same table.
    """
    folder = target.with_name(f".{target.name}.parts")
    handle = hold(folder, target)
    try:
        yield folder
    finally:
        if not (folder / NOTE).exists():
            shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def hold(folder: Path, target: Path) -> int:
    """A lock on the folder, as a handle: the kernel gives it back when its holder dies.

    Raises:
        Refusal: another command has it.
    """
    while True:
        folder.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):  # whoever held it was done meanwhile, and took it away: once more
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
    """Take away what is in the folder, the note first: parts without one are nobody's."""
    durable.remove(folder / NOTE)
    for path in folder.iterdir():
        path.unlink()


AT_ONCE = 5_120
"""Texts answered at a time, whole batches of a neural model: bounds how long nothing is said."""


def answer(live: Bundle, texts: Sequence[str], tell: Callable[[int], None] = lambda _: None) -> pl.DataFrame:
    """A row a text, in order. tell: called with the number of texts that were answered, as they are."""
    found = [np.zeros((0, len(live.labels)))]
    for at in range(0, len(texts), AT_ONCE):
        some = texts[at : at + AT_ONCE]
        found.append(live.classifier.predict_proba(some))
        tell(len(some))
    probabilities = np.concatenate(found)
    best = probabilities.argmax(axis=1).tolist()
    columns = {f"p_{label}": probabilities[:, number] for number, label in enumerate(live.labels)}
    predicted = pl.Series("predicted", [live.labels[number] for number in best], dtype=pl.String)
    return pl.DataFrame([predicted, pl.Series("score", probabilities.max(axis=1, initial=0))]).with_columns(
        **{name: pl.Series(values) for name, values in columns.items()}
    )
