"""The facts of a table in batches, and the rows to learn from, are those that a plain look at the whole frame gives."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import expectations
from models.text.normalise import compared_form
from ratchet.data.prepare import deduplicate, row_facts, rows, split
from ratchet.data.prepare.deduplicate import PreparationReport
from ratchet.data.prepare.table_facts import measure_table
from ratchet.data.tables.row_store import store
from ratchet.problem import data_pin
from tests.support.cut_tables import SIZES, TABLES, cut, frame_of
from tests.support.tables import ALL_TABLES, BAD_ROWS, CLASSIFY, RULES, changed, raw_rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("facts")


def whole_facts(frame: pl.DataFrame) -> pl.DataFrame:
    """The facts of a frame by comparing all of its rows."""
    known = row_facts.row_only_facts(frame, CLASSIFY)
    key, present = pl.col(row_facts.KEY), pl.col("class").is_not_null()
    size = pl.col("class").count()
    facts = [
        pl.when(present).then(size.over("class")).alias("class_rows"),
        pl.when(present).then(size.over("class") / size).alias("class_share"),
        (~key.is_first_distinct() & key.is_not_null()).alias("duplicate"),
        ((pl.col("label").n_unique().over(key) > 1) & key.is_not_null()).alias("conflict"),
    ]
    if "split" in known.columns:
        crosses = pl.col("split").n_unique()
        group = (
            (crosses.over("group") > 1) & pl.col("group").is_not_null() if "group" in known.columns else pl.lit(False)
        )
        facts += [
            ((crosses.over(key) > 1) & key.is_not_null()).alias("text_crosses"),
            group.alias("group_crosses"),
        ]
    return known.with_columns(facts).drop(row_facts.KEY)


def whole_prepared(valid: pl.DataFrame) -> tuple[pl.DataFrame, PreparationReport]:
    """The rows to learn from, and their counts, by comparing all valid rows."""
    keyed = deduplicate.normalised(valid).with_columns(compared_form(valid["text"]).alias("key"))
    agreed = keyed.filter(pl.col("label").n_unique().over("key") == 1)
    kept = agreed.filter(pl.col("key").is_first_distinct())
    copies, conflicting = agreed.height - kept.height, valid.height - agreed.height
    return kept.drop("key"), PreparationReport(
        valid.height, kept.height, copies, conflicting, keyed["key"].n_unique() - kept.height
    )


@settings(max_examples=60)
@given(TABLES, SIZES, SIZES, st.sets(st.sampled_from(["group", "split"])))
def test_a_survey_finds_the_facts_of_the_whole(
    folder: Path, table_rows: list[tuple[str | None, ...]], size: int, slice_rows: int, without: set[str]
) -> None:
    frame = frame_of(table_rows).drop(*without)
    whole = whole_facts(frame)
    facts = measure_table(cut(frame, size), folder, CLASSIFY)
    assert pl.concat(facts.slices(slice_rows)).equals(whole)
    valid, aside = row_facts.set_aside(frame, whole, CLASSIFY)
    assert frame.filter(facts.stays).equals(valid)
    assert facts.aside.read().equals(aside)


@settings(max_examples=60)
@given(TABLES, SIZES)
def test_preparing_batches_is_preparing_the_whole(
    folder: Path, table_rows: list[tuple[str | None, ...]], size: int
) -> None:
    """A row that is set aside is nobody's copy, and no label beside another's."""
    frame = frame_of(table_rows).drop("split")
    spec = data_pin.SplitSpec(by="group", salt="s", validation=0.3, holdout=0.3)
    whole, report = whole_prepared(row_facts.set_aside(frame, whole_facts(frame), CLASSIFY)[0])
    selection = measure_table(cut(frame, size), folder, CLASSIFY).selection
    stored = store(rows.prepared(cut(frame, size), selection.kept, spec), folder / "ready.parquet")
    assert stored.read().equals(split.assign_sides(whole, spec))
    assert selection.report == report


SLICED = {name: ALL_TABLES[name] for name in list(ALL_TABLES)[::4]} | {
    name: ("raw", changed(raw_rows(), 9, **values)) for name, (values, _) in list(BAD_ROWS.items())[:2]
}


OFTEN = {"raw, no rows", "prepared, a text on two sides", "missing label"}


@pytest.mark.parametrize(
    "name", [name if name in OFTEN else pytest.param(name, marks=pytest.mark.long) for name in SLICED]
)
def test_slices_are_judged_as_the_whole_is(name: str, tmp_path: Path) -> None:
    """The same checks in the same words, and the same record of Great Expectations but for the order of its rules."""
    suite, table_rows = SLICED[name]
    columns = list(table_rows[0]) if table_rows else ["text", "label", "group", "split"]
    frame = pl.DataFrame(table_rows, schema=dict.fromkeys(columns, pl.String)).with_row_index("row", offset=1)
    whole = expectations.check(whole_facts(frame), suite, RULES)
    sliced = expectations.check_slices(measure_table(cut(frame, 70), tmp_path, CLASSIFY).slices(90), suite, RULES)
    assert sliced.checks == whole.checks
    assert (sliced.rows, sliced.set_aside, sliced.headline) == (whole.rows, whole.set_aside, whole.headline)
    results = [{str(result) for result in verdict.evidence["results"]} for verdict in (sliced, whole)]
    assert results[0] == results[1]
