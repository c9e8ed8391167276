"""Which live inputs people are asked about: what a kind of problem can do decides which lists there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratchet.monitoring import label_queue
from ratchet.problem import data_pin
from ratchet.problem.data_pin import SplitSpec
from ratchet.problem.problem import Problem
from ratchet.problem.settings import Settings
from ratchet.project.paths import Places
from ratchet.tasks.contract import Ability
from tests.support.people import ask_of
from tests.support.toy_kind import home, homes_like, predict_number

PARAMS = {
    "problem": "reviews", "data": {"text": "text", "label": "label"}, "build": {"candidates": ["linear"]},
    "optimise": {"audit": 0.1},
}  # fmt: skip


@pytest.fixture
def problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Problem:
    monkeypatch.delenv("RATCHET_PREDICTIONS", raising=False)
    here = Places(tmp_path, tmp_path, "127.0.0.1", 1, 2, 3)
    here.data.mkdir()
    (here.data / data_pin.SPLIT).write_text(SplitSpec("text", "reviews").to_json())
    return Problem(here, Settings.model_validate(PARAMS), data_pin.Pin("0" * 32, 1, ""))


def lists(problem: Problem) -> tuple[bool, bool]:
    """Whether there is a random audit, and a list of inputs that are chosen."""
    queue = label_queue.refresh(problem)
    assert label_queue.read(problem.here.queue, "reviews") == queue
    return bool(queue.audit), bool(queue.chosen)


def test_texts_are_audited_and_chosen(problem: Problem) -> None:
    ask_of(problem.here.predictions, [f"a text, number {number}" for number in range(200)])
    assert lists(problem) == (True, True)


@pytest.mark.parametrize(
    ("abilities", "expected"),
    [(("feedback", "confidence"), (True, True)), (("feedback",), (True, False)), (("confidence",), (False, False))],
)
def test_a_kind_without_feedback_asks_nothing_and_one_without_confidence_chooses_nothing(
    abilities: tuple[Ability, ...], expected: tuple[bool, bool], problem: Problem
) -> None:
    ask_of(problem.here.predictions, [home(number) for number in range(200)], label="310")
    with predict_number(abilities):
        assert lists(homes_like(problem)) == expected
