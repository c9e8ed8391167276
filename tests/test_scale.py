"""Tables that come in batches: whatever the batch, the answer is that of the whole frame; and memory stays flat."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import expectations
from ratchet import rows
from ratchet.matches import Matches
from ratchet.steps import facts, prepare, quarantine, split, table
from ratchet.stored import Column, Stored, store
from ratchet.survey import survey
from tests.test_expectations import ALL_TABLES, BAD_ROWS, RULES, changed, raw_rows

TEXT = st.none() | st.sampled_from(
    ["One", " one", "ONE ", "two", "", " ", "\x00", "cafÃ©", "a@b.org", "漢 字", "x" * 30]
)
LABEL = st.none() | st.sampled_from(["a", " a", "b", "c", " "])
GROUP = st.none() | st.sampled_from(["g", "h", "i"])
SIDE = st.sampled_from(split.SPLITS)
TABLES = st.lists(st.tuples(TEXT, LABEL, GROUP, SIDE), max_size=12)
SIZES = st.integers(1, 5)


def frame_of(table_rows: list[tuple[str | None, ...]]) -> pl.DataFrame:
    names = ("text", "label", "group", "split")
    frame = pl.DataFrame(table_rows, schema=dict.fromkeys(names, pl.String), orient="row")
    return frame.with_row_index("row", offset=1)


def cut(frame: pl.DataFrame, size: int) -> list[pl.DataFrame]:
    """The frame in batches of that many rows; an empty one is one empty batch."""
    return list(frame.iter_slices(size)) or [frame]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scale")


@settings(max_examples=60)
@given(TABLES, SIZES, SIZES, st.sets(st.sampled_from(["group", "split"])))
def test_a_survey_finds_the_facts_of_the_whole(
    folder: Path, table_rows: list[tuple[str | None, ...]], size: int, slice_rows: int, without: set[str]
) -> None:
    frame = frame_of(table_rows).drop(*without)
    whole = facts.measure(frame, max_characters=20)
    found = survey(cut(frame, size), folder, max_characters=20)
    assert pl.concat(found.slices(slice_rows)).equals(whole)
    valid, aside = quarantine.set_aside(frame, whole)
    assert frame.filter(found.stays).equals(valid)
    assert found.aside.read().equals(aside)


@settings(max_examples=60)
@given(TABLES, SIZES)
def test_preparing_batches_is_preparing_the_whole(
    folder: Path, table_rows: list[tuple[str | None, ...]], size: int
) -> None:
    frame = frame_of(table_rows).drop("split")
    spec = split.SplitSpec(by="group", salt="s", validation=0.3, holdout=0.3)
    valid = quarantine.set_aside(frame, facts.measure(frame))[0]
    whole = prepare.prepare(valid)
    stored, report = rows.prepare_batches(cut(valid, size), spec, folder, folder / "ready.parquet")
    assert stored.read().equals(split.assign(whole.frame, spec))
    assert report == whole.report


@settings(max_examples=60)
@given(TABLES, SIZES, st.integers(1, 8))
def test_the_rows_that_stand_for_all_are_the_same_in_any_batch(
    table_rows: list[tuple[str | None, ...]], size: int, most: int
) -> None:
    frame = frame_of(table_rows).filter(pl.col("text").is_not_null())
    spec = split.SplitSpec(by="text", salt="s")
    some, came = split.first(cut(frame, size), spec, most)
    assert came == frame.height
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
    matches = Matches(["mark"], folder)
    for frame in cut(pl.DataFrame({"key": keys, "mark": marks}, schema={"key": pl.String, "mark": pl.String}), size):
        matches.add(frame["key"], frame)
    found = matches.found()
    of = {key: {mark for other, mark in zip(keys, marks, strict=True) if other == key} for key in keys}
    assert found.repeated.tolist() == [key is not None and key in keys[:at] for at, key in enumerate(keys)]
    assert found.torn["mark"].tolist() == [key is not None and len(of[key]) > 1 for key in keys]
    assert found.torn_keys["mark"] == sum(key is not None and len(marked) > 1 for key, marked in of.items())


SLICED = {name: ALL_TABLES[name] for name in list(ALL_TABLES)[::4]} | {
    name: ("raw", changed(raw_rows(), 9, **values)) for name, (values, _) in list(BAD_ROWS.items())[:2]
}


@pytest.mark.parametrize("name", SLICED)
def test_slices_are_judged_as_the_whole_is(name: str, tmp_path: Path) -> None:
    """The same checks in the same words, and the same record of Great Expectations but for the order of its rules."""
    suite, table_rows = SLICED[name]
    columns = list(table_rows[0]) if table_rows else ["text", "label", "group", "split"]
    frame = pl.DataFrame(table_rows, schema=dict.fromkeys(columns, pl.String)).with_row_index("row", offset=1)
    whole = expectations.check(facts.measure(frame), suite, RULES)
    sliced = expectations.check_slices(survey(cut(frame, 70), tmp_path).slices(90), suite, RULES)
    assert sliced.checks == whole.checks
    assert (sliced.rows, sliced.set_aside, sliced.headline) == (whole.rows, whole.set_aside, whole.headline)
    results = [{str(found) for found in verdict.evidence["results"]} for verdict in (sliced, whole)]
    assert results[0] == results[1]


# --- what lies on disk

CELLS = (
    st.none() | st.text(max_size=6) | st.lists(st.sampled_from(['"', ",", "\n", "\r\n", "é"]), max_size=5).map("".join)
)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=8), st.integers(1, 40), st.integers(1, 3))
def test_a_table_is_the_same_in_batches_of_any_size(
    folder: Path, table_rows: list[tuple[str | None, str | None]], block: int, size: int
) -> None:
    frame = pl.DataFrame(table_rows, schema={'say "hi"\n': pl.String, "b": pl.String}, orient="row")
    table.write(frame, folder / "whole.csv")
    table.write_batches(cut(frame, size), folder / "cut.csv")
    assert (folder / "cut.csv").read_bytes() == (folder / "whole.csv").read_bytes()
    batches = list(table.read_batches(folder / "whole.csv", block))
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

    for write in (store, table.write_batches):
        with pytest.raises(KeyboardInterrupt):
            write(failing(), tmp_path / "rows")
        assert not list(tmp_path.iterdir())


def test_an_empty_table_is_one_empty_batch(tmp_path: Path) -> None:
    empty = pl.DataFrame(schema={"text": pl.String, "label": pl.String})
    assert [frame.shape for frame in store([empty], tmp_path / "rows.parquet").batches()] == [(0, 2)]
    assert list(Column(Stored(tmp_path / "rows.parquet"), "text")) == []
    with tempfile.TemporaryDirectory(dir=tmp_path) as scratch, pytest.raises(ValueError, match="Received: none"):
        survey([], Path(scratch))
