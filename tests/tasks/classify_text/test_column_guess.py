"""Which columns of a table are the text and the label, where nobody said."""

from __future__ import annotations

import pytest

from ratchet.project.errors import Refusal
from ratchet.tasks.classify_text import column_guess
from ratchet.tasks.classify_text.columns import Columns
from tests.support.tables import queue_table


def test_the_only_columns_that_fit_are_proposed() -> None:
    assert column_guess.guess_columns(queue_table(), "t.csv", "", "", None) == Columns(text="body", label="queue")
    assert column_guess.guess_columns(queue_table(), "t.csv", "", "queue", None) == Columns(text="body", label="queue")
    assert column_guess.guess_columns(queue_table(), "t.csv", "body", "", "id") == Columns(
        text="body", label="queue", group="id"
    )
    chinese = queue_table(
        body=[f"这个电影很好看{n}" for n in range(60)], day=[f"2024-01-{n % 9 + 1:02}" for n in range(60)]
    )
    assert column_guess.guess_columns(chinese, "t.csv", "", "", None) == Columns(text="body", label="queue")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"more": [f"Another text of some length, {n}" for n in range(60)]},
            "2 columns that could be the text (body, more)",
        ),
        ({"prio": [str(n % 2) for n in range(60)]}, "TEXT=body LABEL=prio"),
        ({"queue": [str(n) for n in range(60)]}, "no columns that could be the label"),
        ({"body": ["same"] * 60}, "no columns that could be the text"),
    ],
)
def test_what_is_not_plain_is_asked_with_a_command_to_type(columns: dict[str, list[str]], said: str) -> None:
    with pytest.raises(Refusal) as refused:
        column_guess.guess_columns(queue_table(**columns), "my t.csv", "", "", None)
    assert said in str(refused.value)
    assert "make data 'SOURCE=my t.csv' TEXT=" in str(refused.value)


def test_a_first_row_that_is_no_header_is_not_taken_for_one() -> None:
    headless = queue_table().rename({"body": "A text of some length, number 99", "queue": "q1"})
    with pytest.raises(Refusal, match="no columns that could be the label"):
        column_guess.guess_columns(headless, "t.csv", "", "", None)


def test_names_that_the_table_lacks_are_refused() -> None:
    with pytest.raises(Refusal, match="no 'quote' among id, body, queue"):
        column_guess.guess_columns(queue_table(), "t.csv", "quote", "queue", None)
    with pytest.raises(Refusal, match="of their own"):
        column_guess.guess_columns(queue_table(), "t.csv", "body", "queue", "queue")
