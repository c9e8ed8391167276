"""Which live inputs people are asked about: what a kind of problem can do decides which lists there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratchet import tasks
from ratchet.monitoring import label_queue
from ratchet.problem import data_pin
from ratchet.problem.data_pin import SplitSpec
from ratchet.problem.problem import Problem
from ratchet.problem.settings import Settings
from ratchet.project.paths import Places
from ratchet.tasks import Task
from tests.support.other_kind import other_kind, problem_of
from tests.support.people import ask_of

PARAMS = {
    "problem": "reviews", "data": {"text": "text", "label": "label"}, "build": {"candidates": ["linear"]},
    "optimise": {"audit": 0.1},
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "lists"),
    [
        (tasks.get("classify"), (True, True)),
        (other_kind("feedback", "confidence"), (True, True)),
        (other_kind("feedback"), (True, False)),
        (other_kind("confidence"), (False, False)),
    ],
)
def test_a_kind_without_feedback_asks_nothing_and_one_without_confidence_chooses_nothing(
    kind: Task, lists: tuple[bool, bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RATCHET_PREDICTIONS", raising=False)
    here = Places(tmp_path, tmp_path, "127.0.0.1", 1, 2, 3)
    here.data.mkdir()
    (here.data / data_pin.SPLIT).write_text(SplitSpec("text", "reviews").to_json())
    like = Problem(here, Settings.model_validate(PARAMS), data_pin.Pin("0" * 32, 1, ""))
    ask_of(here.predictions, [f"a text, number {number}" for number in range(200)])
    queue = label_queue.refresh(problem_of(kind, like))
    assert (bool(queue.audit), bool(queue.chosen)) == lists
    assert label_queue.read(here.queue, "reviews") == queue
