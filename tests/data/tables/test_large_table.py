"""Tables that come in batches: whatever the batch, the answer is that of the whole frame; and memory stays flat."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models
from models import linear
from models.contract import Rows
from models.text import row_sampling
from models.text.linear_heads import probabilities
from models.text.sgd_refinement import Refiner
from ratchet.data.prepare import rows, split
from ratchet.data.prepare.table_facts import measure_table
from ratchet.data.tables import canonical_csv
from ratchet.data.tables.key_index import KeyIndex
from ratchet.data.tables.row_store import Column, StoredRows, store
from ratchet.problem import data_pin
from tests.support.cut_tables import SIZES, TABLES, cut, frame_of
from tests.support.tables import CLASSIFY


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scale")


@settings(max_examples=60)
@given(TABLES, SIZES, st.integers(1, 8))
def test_the_rows_that_stand_for_all_are_the_same_in_any_batch(
    table_rows: list[tuple[str | None, ...]], size: int, most: int
) -> None:
    frame = frame_of(table_rows).filter(pl.col("text").is_not_null())
    spec = data_pin.SplitSpec(by="text", salt="s")
    some, total = split.first(cut(frame, size), spec, most)
    assert total == frame.height
    assert some.height == min(most, frame.height)
    assert some.equals(split.first([frame], spec, most)[0])
    left_out = frame.join(some, on="row", how="anti")
    if some.height and left_out.height:
        assert split.places(some, spec).max() <= split.places(left_out, spec).min()


@given(
    st.lists(st.sampled_from(["a", "b", "c", None]), max_size=20), st.lists(st.sampled_from("xy"), min_size=20), SIZES
)
def test_matches_are_those_of_a_plain_count(folder: Path, keys: list[str | None], marks: list[str], size: int) -> None:
    marks = marks[: len(keys)]
    index = KeyIndex(["mark"], folder)
    for frame in cut(pl.DataFrame({"key": keys, "mark": marks}, schema={"key": pl.String, "mark": pl.String}), size):
        index.add(frame["key"], frame)
    matches = index.match()
    marks_of = {key: {mark for other, mark in zip(keys, marks, strict=True) if other == key} for key in keys}
    assert matches.duplicate.tolist() == [key is not None and key in keys[:at] for at, key in enumerate(keys)]
    assert matches.conflict["mark"].tolist() == [key is not None and len(marks_of[key]) > 1 for key in keys]
    conflicting = sum(key is not None and len(distinct) > 1 for key, distinct in marks_of.items())
    assert matches.conflicting_keys["mark"] == conflicting


@given(st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from("xy"), st.booleans()), max_size=20))
def test_rows_match_among_a_part_as_if_no_others_were_there(
    folder: Path, rows: list[tuple[str | None, str, bool]]
) -> None:
    schema = {"key": pl.String, "mark": pl.String, "chosen": pl.Boolean}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    chosen = frame["chosen"].to_numpy()
    index, alone = KeyIndex(["mark"], folder), KeyIndex(["mark"], folder)
    index.add(frame["key"], frame)
    alone.add(frame.filter("chosen")["key"], frame.filter("chosen"))
    (matches,), expected = index.match_among(chosen), alone.match()
    assert matches.duplicate[chosen].tolist() == expected.duplicate.tolist()
    assert matches.conflict["mark"][chosen].tolist() == expected.conflict["mark"].tolist()
    assert matches.conflicting_keys == expected.conflicting_keys
    assert not (matches.duplicate | matches.conflict["mark"])[~chosen].any()


# --- what lies on disk

CELLS = (
    st.none() | st.text(max_size=6) | st.lists(st.sampled_from(['"', ",", "\n", "\r\n", "é"]), max_size=5).map("".join)
)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=8), st.integers(1, 40), st.integers(1, 3))
def test_a_table_is_the_same_in_batches_of_any_size(
    folder: Path, table_rows: list[tuple[str | None, str | None]], block: int, size: int
) -> None:
    frame = pl.DataFrame(table_rows, schema={'say "hi"\n': pl.String, "b": pl.String}, orient="row")
    canonical_csv.write(frame, folder / "whole.csv")
    canonical_csv.write_batches(cut(frame, size), folder / "cut.csv")
    assert (folder / "cut.csv").read_bytes() == (folder / "whole.csv").read_bytes()
    batches = list(canonical_csv.read_batches(folder / "whole.csv", block))
    assert pl.concat(batches).equals(frame)
    assert batches[0].columns == frame.columns


def test_a_column_on_disk_is_a_sequence_like_any_other(tmp_path: Path) -> None:
    texts = [f"text {at}" for at in range(20_000)]
    frame = pl.DataFrame({"text": texts, "label": ["a", "b"] * 10_000})
    stored = store(cut(frame, 7_000), tmp_path / "rows.parquet")
    column = Column(stored, "text")
    assert (len(column), list(column)) == (20_000, texts)
    for part in (slice(None), slice(8_190, 8_194), slice(-3, None), slice(5, 20_000, 4_000), slice(9, 3)):
        assert column[part] == texts[part]
    assert (column[0], column[-1], column[8_192]) == (texts[0], texts[-1], texts[8_192])
    with pytest.raises(IndexError):
        column[20_000]
    assert "text 3" in column


def test_what_was_not_written_to_its_end_is_not_there(tmp_path: Path) -> None:
    def failing() -> Iterator[pl.DataFrame]:
        yield pl.DataFrame({"text": ["a"], "label": ["b"]})
        raise KeyboardInterrupt

    for write in (store, canonical_csv.write_batches):
        with pytest.raises(KeyboardInterrupt):
            write(failing(), tmp_path / "rows")
        assert not list(tmp_path.iterdir())


def test_an_empty_table_is_one_empty_batch(tmp_path: Path) -> None:
    empty = pl.DataFrame(schema={"text": pl.String, "label": pl.String})
    assert [frame.shape for frame in store([empty], tmp_path / "rows.parquet").batches()] == [(0, 2)]
    assert list(Column(StoredRows(tmp_path / "rows.parquet"), "text")) == []
    with tempfile.TemporaryDirectory(dir=tmp_path) as scratch, pytest.raises(ValueError, match="Received: none"):
        measure_table([], Path(scratch), CLASSIFY)


def test_the_rows_that_judge_are_few_enough_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With many classes their probabilities would not fit in memory; a stable part of the holdout stands for it."""
    frame = pl.DataFrame(
        {"text": [f"text {at}" for at in range(3_000)], "label": [f"{at % 50}" for at in range(3_000)]}
    )
    spec = data_pin.SplitSpec(by="text", salt="s")
    ready = rows.PreparedRows(
        store(cut(split.assign_sides(frame, spec), 700), tmp_path / "ready.parquet"), spec, CLASSIFY
    )
    whole = frame.filter(split.assign_sides(frame, spec)["split"] == "holdout")
    assert ready.holdout.frame.drop("split").equals(whole)
    assert str(ready.holdout) == ""
    assert sum(ready.count(side) for side in data_pin.SPLITS) == len(ready) == 3_000
    monkeypatch.setattr(rows, "CELLS", 50 * 100)
    fewer = rows.PreparedRows(ready.stored, spec, CLASSIFY).holdout
    assert fewer.frame.height == 100
    assert whole.join(fewer.frame, on="text", how="semi").height == 100
    assert str(fewer) == f"100 of {whole.height} rows are scored, chosen by their hash."
    assert rows.PreparedRows(ready.stored, spec, CLASSIFY).validation.frame.height == 100


FLAT = """
import resource, sys
from pathlib import Path
import polars as pl
import expectations
from ratchet import tasks
from ratchet.data.prepare import rows
from ratchet.problem.data_pin import SplitSpec
from ratchet.data.tables import canonical_csv
from ratchet.data.prepare import canonical_columns
from ratchet.data.prepare.table_facts import measure_table
from ratchet.data.tables.row_store import store

size, folder = int(sys.argv[1]), Path(sys.argv[2])
CLASSIFY = tasks.get("classify")
COLUMNS = CLASSIFY.columns(text="text", label="label")

def batches():
    for start in range(0, size, 50_000):
        number = pl.int_range(start, start + 50_000, eager=True).cast(pl.String)
        text = "Row " + number + " of a table that is long and says little, over and over, in the same few words"
        yield pl.DataFrame({"text": text, "label": ["a", "b"] * 25_000})

class Rows:
    def __iter__(self):
        first = 1
        for frame in canonical_csv.read_batches(folder / "table.csv"):
            yield canonical_columns.canonical_frame(frame, COLUMNS, CLASSIFY, first)
            first += frame.height

canonical_csv.write_batches(batches(), folder / "table.csv")
facts = measure_table(Rows(), folder, CLASSIFY)
selection = facts.selection
rules = expectations.rules_of(CLASSIFY)
assert expectations.check_slices(facts.slices(200_000), "raw", rules).passed
spec = SplitSpec(by="text", salt="s")
stored = store(rows.prepared(Rows(), selection.kept, spec), folder / "ready.parquet")
assert len(stored) == selection.report.rows_out == size
facts = measure_table(stored.batches(), folder, CLASSIFY)
assert expectations.check_slices(facts.slices(200_000), "prepared", rules).passed
assert rows.PreparedRows(stored, spec, CLASSIFY).holdout.frame.height > 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.long
def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """From file to prepared rows, four times the rows take at most 100 MB more."""
    peaks = []
    for size in (500_000, 2_000_000):
        (tmp_path / str(size)).mkdir()
        command = [sys.executable, "-c", FLAT, str(size), str(tmp_path / str(size))]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(rows.__file__).parents[3])
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] + 100, peaks


# --- learning from more than fits in memory


QUICK = linear.Params(strengths=(4.0, 8.0), bayes_strengths=(0.03,))


def reviews(count: int, seed: int, labels: tuple[str, ...] = ("bad", "good")) -> Rows:
    """Made-up reviews in the order of their labels, the worst order to learn from.

    Of five words two are of its label's three hundred, of which a few rows show only some; the others may be any.
    """
    letters = random.Random(0)
    words = {label: ["".join(letters.choices("abcdefghijklmnop", k=7)) for _ in range(300)] for label in labels}
    chance = random.Random(seed)
    truth = sorted(chance.choice(labels) for _ in range(count))
    word_labels = [[label, label, *chance.choices(labels, k=3)] for label in truth]
    texts = [" ".join(chance.choice(words[label]) for label in row) for row in word_labels]
    return Rows([f"{at}: {text}" for at, text in enumerate(texts)], truth)


def figures(model: Any, rows: Rows) -> tuple[float, float]:
    """Accuracy and log loss."""
    probabilities = model.predict(rows.texts)
    truth = [model.labels.index(label) for label in rows.labels]
    accuracy = (probabilities.argmax(axis=1) == truth).mean()
    return float(accuracy), float(-np.log(probabilities[np.arange(len(truth)), truth]).mean())


@pytest.mark.parametrize("labels", [("bad", "good"), ("bad", "good", "odd")])
def test_linear_learns_from_rows_beyond_its_switch(
    labels: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It does better than the sample alone, and stays one model that survives saving."""
    train, validation, holdout = reviews(2_000, 1, labels), reviews(300, 2, labels), reviews(600, 3, labels)
    monkeypatch.setattr(linear, "MOST_CHARACTERS", 6_000)  # a tenth
    steps: list[tuple[int, int]] = []

    def fit() -> Any:
        def progress(done: int, total: int, _: object) -> None:
            steps.append((done, total))

        return linear.fit(train, validation, labels, QUICK, seed=0, progress=progress)

    model = fit()
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]
    monkeypatch.setattr(linear, "RATES", ())
    rough = fit()
    assert figures(model, holdout)[1] < figures(rough, holdout)[1] - 0.02
    assert figures(model, holdout)[0] > figures(rough, holdout)[0] + 0.02
    model.save(tmp_path)
    assert np.array_equal(models.load(tmp_path).predict(holdout.texts), model.predict(holdout.texts))


def test_below_its_switch_linear_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A switch that is not reached changes no bit of the model, wherever it is."""
    train, validation = reviews(400, 1), reviews(100, 2)
    answers = []
    for most in (row_sampling.count_characters(train.texts), 10**9):
        monkeypatch.setattr(linear, "MOST_CHARACTERS", most)
        model = linear.fit(train, validation, ("bad", "good"), QUICK, seed=0, progress=lambda *_: None)
        answers.append(model.predict(validation.texts))
    assert np.array_equal(answers[0], answers[1])


def test_linear_ends_in_time_with_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "MOST_CHARACTERS", 6_000)
    steps: list[Any] = []
    params = linear.Params(minutes=0.0)
    train, validation = reviews(2_000, 1), reviews(300, 2)
    model = linear.fit(train, validation, ("bad", "good"), params, seed=0, progress=lambda *step: steps.append(step))
    assert len(steps) < 8, "one strength for each head, and one part of the rows"
    assert figures(model, validation)[0] > 0.6


def test_a_corrected_model_scores_as_the_correction_did() -> None:
    """What was judged on the validation rows is what is kept."""
    train, validation, labels = reviews(300, 1), reviews(100, 2), ("bad", "good")
    model = linear.fit(train, validation, labels, QUICK, seed=0, progress=lambda *_: None)
    refiner = Refiner(model.words, model.pieces, model.bias, (0.3,))
    numbers = np.array([labels.index(label) for label in train.labels])
    refiner.learn(train.texts, numbers)
    own, expected = refiner.scores(validation.texts)
    words, pieces, bias = refiner.corrected(refiner.corrections[0])
    corrected = replace(model, words=words.times(2.0), pieces=pieces.times(2.0), bias=2 * bias)
    assert np.abs(own - expected).max() > 0.01
    answers = corrected.predict(validation.texts)
    assert np.allclose(answers, probabilities(2 * expected), atol=1e-5)


@given(st.lists(st.sampled_from("abc"), max_size=80), st.integers(1, 4), st.integers(0, 9))
def test_mixed_parts_hold_every_row_once(labels: list[str], parts: int, seed: int) -> None:
    texts = [f"{at} {label}" for at, label in enumerate(labels)]
    drawn = list(row_sampling.shuffled_parts(texts, labels, parts, seed))
    assert len(drawn) == parts
    together = [pair for part in drawn for pair in zip(*part, strict=True)]
    assert sorted(together) == sorted(zip(texts, labels, strict=True))
    assert drawn == list(row_sampling.shuffled_parts(texts, labels, parts, seed))


def test_a_sample_has_its_share_and_every_label() -> None:
    labels = ["common"] * 9_950 + ["rare"] * 50
    texts = [str(at) for at in range(10_000)]
    some, some_labels = row_sampling.sample(texts, labels, 0.1, seed=0)
    assert 900 < len(some) < 1_100
    assert some_labels.count("rare") >= row_sampling.EACH
    assert some == sorted(some, key=int)
    assert all(labels[int(text)] == label for text, label in zip(some, some_labels, strict=True))


def test_the_lstm_learns_from_a_sample_of_what_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    lstm = models.get("lstm")
    monkeypatch.setattr(lstm, "MOST_CHARACTERS", 40_000)
    monkeypatch.setattr(lstm, "MOST_WORDS", 8_000)
    train, shapes = reviews(2_000, 1), list[tuple[int, int]]()

    def see(network: Any, side: Any, *_: Any) -> list[dict[str, float]]:
        shapes.append(side[0].shape)
        return []

    tiny = lstm.Params(units=4, embedding=4, epochs=1, batch=32)  # type: ignore[call-arg]
    monkeypatch.setattr(lstm, "_train", see)
    lstm.fit(train, Rows([], []), ("bad", "good"), tiny, seed=0, progress=lambda *_: None)
    rows, width = shapes[0]
    assert rows * width < 1.3 * 8_000
    assert rows > 300
