"""The bodies of requests and answers for texts to classes."""

from __future__ import annotations

import random

import msgspec
import pytest

from ratchet.tasks.classify_text import wire

LABELS = ("bad", "good")


def test_a_question_has_the_texts_it_was_made_of() -> None:
    question = msgspec.convert(wire.question(wire.EXAMPLES), wire.Question)
    assert wire.read_question(question) == [*wire.EXAMPLES]


def test_a_label_must_be_one_that_the_model_gives() -> None:
    assert wire.read_label("good", LABELS) == "good"
    with pytest.raises(ValueError, match=r"^A label must be one of: bad, good. Received: fine.$"):
        wire.read_label("fine", LABELS)
    with pytest.raises(ValueError, match=r"c19\. Received"):
        wire.read_label("x" * 1_000, tuple(f"c{number}" for number in range(99)))


def test_only_the_column_of_texts_is_read() -> None:
    assert wire.columns(["n", "text", ["odd"]]) == ["text"]
    with pytest.raises(ValueError, match=r"^The input must have a column 'text'. Received: 'n', \['odd'\]. Rename"):
        wire.columns(["n", ["odd"]])


@pytest.mark.parametrize("labels", [(), ("good",), LABELS])
def test_the_example_is_an_answer_of_the_live_labels(labels: tuple[str, ...]) -> None:
    prediction, target = wire.example("1", labels)
    assert prediction.label == target
    assert tuple(prediction.probabilities)[: len(labels)] == labels
    assert wire.correction("1", target) == {"id": "1", "label": target}


def test_a_made_up_text_joins_two() -> None:
    assert wire.made_up(["a"], random.Random(0)) == "a a"
