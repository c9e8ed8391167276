"""What a model of texts to classes takes and gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ratchet import tasks
from ratchet.judging.metrics import Floats

LABELS = ("bad", "good", "so-so")
OUTPUTS = np.array([[0.2, 0.7, 0.1], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
face = tasks.get("classify").answers


def test_an_answer_is_the_first_of_the_likeliest_classes_with_its_probability() -> None:
    assert face.answers(OUTPUTS, LABELS) == (["good", "bad", "so-so"], [0.7, 0.5, 1.0])
    assert face.answers(OUTPUTS[:0], LABELS) == ([], [])


def test_a_table_has_the_columns_it_declares_and_gives_its_outputs_back() -> None:
    table = face.table(OUTPUTS, LABELS)
    assert list(table) == [name for name, _ in face.columns(LABELS)]
    assert list(table) == ["label", "score", "p_bad", "p_good", "p_so-so"]
    assert [kind for _, kind in face.columns(LABELS)] == ["string", *["double"] * 4]
    assert list(table["label"]) == face.answers(OUTPUTS, LABELS)[0]
    assert table["score"].tolist() == face.answers(OUTPUTS, LABELS)[1]
    assert np.array_equal(face.outputs(table, LABELS), OUTPUTS)


def test_a_class_that_a_model_never_saw_has_probability_0() -> None:
    table = face.table(OUTPUTS, LABELS)
    assert face.outputs(table, ("good", "new")).tolist() == [[0.7, 0.0], [0.5, 0.0], [0.0, 0.0]]
    assert face.outputs(face.table(OUTPUTS[:0], LABELS), ("good", "new")).shape == (0, 2)


ODD = np.full((4, 3), 1 / 3)


@pytest.mark.parametrize(
    ("outputs", "fault"),
    [(ODD, ""), (ODD[:3], "sums [1.0, 1.0, 1.0]"), (ODD[:, :2], "sums [0.666667, "), (ODD * 2, "sums [2.0, "),
     (np.full((4, 3), np.nan), "sums [nan, ")],
)  # fmt: skip
def test_outputs_that_may_not_go_live_have_a_fault(outputs: Floats, fault: str) -> None:
    assert face.fault(outputs, LABELS).startswith(fault)
    assert bool(face.fault(outputs, LABELS)) == bool(fault)


def test_a_text_is_read_as_it_is_and_a_missing_one_is_empty() -> None:
    assert face.read_record({"stars": 1, "text": " a film\n"}) == face.read_value(" a film\n") == " a film\n"
    assert face.read_record({"text": None}) == face.read_value(None) == ""


@pytest.mark.parametrize("value", [7, 0.5, True, ["a"], {"text": "a"}, b"a"])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^Every text must be a string\. Received: .*\.$"):
        face.read_value(value)
    with pytest.raises(ValueError, match=r"^Every text must be a string\. Received: .*\.$"):
        face.read_record({"text": value})


def test_a_message_is_short_whatever_was_received() -> None:
    with pytest.raises(ValueError, match="Received") as refused:
        face.read_value(list(range(10**6)))
    assert len(str(refused.value)) < 200
    with pytest.raises(ValueError, match="Received") as refused:
        face.read_record(dict.fromkeys(map(str, range(10**6)), "a"))
    assert len(str(refused.value)) < 300


def test_a_row_without_a_text_is_refused_with_the_names_it_has() -> None:
    with pytest.raises(ValueError, match=r"must have a column 'text'\. Received: 'review', 'stars'\. Rename the"):
        face.read_record({"review": "a", "stars": 1})
    with pytest.raises(ValueError, match="Received: no columns"):
        face.read_record({})
