"""params.yaml, written for a table."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ratchet.problem import params_file, settings
from ratchet.project.errors import Refusal
from ratchet.tasks.classify_text.columns import Columns
from tests.support.tables import CLASSIFY


def test_a_new_file_says_what_each_column_is_for_and_which_metrics_there_are() -> None:
    columns = Columns(text="quote", label="verdict", group="film", slices=("year", "a, b"), positive="fresh")
    text = params_file.describe("films", CLASSIFY, columns, pl.Series(["fresh", "rotten"] * 9))
    assert (
        """
task: classify

data:
  text: quote   # the column to read
  label: verdict   # the column to predict
  group: film   # rows of one group never straddle train and holdout
  slices: [year, 'a, b']   # scored apart in every scorecard
  positive: fresh   # the class that precision, recall and F1 speak of

build:
  candidates: [linear, lstm, majority]
"""
        in text
    )
    assert "  metric: accuracy   # accuracy, f1, macro_f1 or log_loss\n" in text


@given(
    names=st.lists(
        st.text(
            st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\r\x85\u2028\u2029\ufeff\ufffe\uffff"),
            min_size=1,
        ),
        min_size=4,
        max_size=4,
    )
)
@example(names=["\x85", "a\u2028b", "\xa0", "\u3000\n\r"])
def test_described_params_read_back_whatever_the_columns_are_called(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    text, label, group, positive = names
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    columns = Columns(text=text, label=label, group=group, positive=positive)
    path.write_text(params_file.describe("a-problem", CLASSIFY, columns, pl.Series(["a", "b"])), encoding="utf-8")
    loaded = settings.load(path)
    assert isinstance(loaded.data, Columns)
    assert (loaded.data.text, loaded.data.label, loaded.data.group, loaded.data.positive) == (
        text,
        label,
        group,
        positive,
    )
    other = params_file.renamed(path.read_text(encoding="utf-8"), {"text": label, "label": text, "group": positive})
    path.write_text(other, encoding="utf-8")
    loaded = settings.load(path)
    assert isinstance(loaded.data, Columns)
    assert (loaded.data.text, loaded.data.label, loaded.data.group, loaded.data.positive) == (
        label,
        text,
        positive,
        positive,
    )


def test_a_kind_that_no_model_learns_gets_no_params_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty list of candidates would be refused by the next verb, after the data was changed."""
    monkeypatch.setattr("models.names_for", lambda task: ())
    columns = Columns(text="text", label="label")
    with pytest.raises(Refusal, match="none in models/ has TASK = 'classify'"):
        params_file.describe("reviews", CLASSIFY, columns, pl.Series(["a", "b"]))
