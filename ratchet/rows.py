"""The rows of the pinned data: raw as loaded, and prepared as every stage after build meets them.

Prepared rows are kept as Parquet in state/cache/, under a key of data version, columns, preparing code and polars'
version; never under a frame's contents. What is missing there is made again by the same pure steps.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from pathlib import Path

import polars as pl

from ratchet import versions
from ratchet.problem import Problem
from ratchet.refusal import Refusal
from ratchet.steps import facts, load, normalise, prepare, private, quarantine, split, table


def raw(problem: Problem) -> pl.DataFrame:
    """The canonical frame of the pinned table.

    Raises:
        Refusal: params.yaml names a column that the table does not have.
    """
    data = problem.settings.data
    try:
        return load.load(table.read(problem.here.data / versions.TABLE), data.text, data.label, data.group, data.slices)
    except ValueError as error:
        raise Refusal(
            "params.yaml must name columns of the pinned table.", str(error), "Mend `data` in params.yaml."
        ) from None


def prepared(problem: Problem) -> pl.DataFrame:
    """The prepared rows, with their split: from the cache, or made now."""
    path = cache_path(problem)
    kept = read_kept(path)
    if kept is None:
        frame = raw(problem)
        valid, _ = quarantine.set_aside(frame, facts.measure(frame))
        keep(problem, split.assign(prepare.prepare(valid).frame, problem.split))
        return pl.read_parquet(path)
    return kept


def read_kept(path: Path) -> pl.DataFrame | None:
    """What a cache file holds; None where there is none, or none that is whole."""
    try:
        return pl.read_parquet(path)
    except (FileNotFoundError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None


def keep(problem: Problem, frame: pl.DataFrame) -> None:
    """Put prepared rows into the cache; a reader sees all of them or none."""
    path = cache_path(problem)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}")
    frame.write_parquet(fresh)
    os.replace(fresh, path)


def cache_path(problem: Problem) -> Path:
    key = hashlib.sha256()
    for word in (problem.pin.version, problem.settings.data.model_dump_json(), pl.__version__):
        key.update(word.encode() + b"\0")
    for module in (facts, load, normalise, prepare, private, quarantine, split, table):
        key.update(inspect.getsource(module).encode())
    return problem.here.state / "cache" / f"prepared-{problem.pin.short}-{key.hexdigest()[:12]}.parquet"
