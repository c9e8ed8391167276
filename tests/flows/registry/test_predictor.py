"""A stored model by the registry's Predictor, without MLflow in between."""

from __future__ import annotations

import numpy as np

from flows.registry.predictor import BATCH, Predictor
from models import pyfunc
from models.majority import Majority
from ratchet import tasks

STORED = Predictor(pyfunc.Predictor(Majority(("bad", "good"), (0.4, 0.6)), tasks.get("classify").answers))


def test_outputs_are_in_the_order_of_the_labels_asked_for_and_0_for_one_that_it_never_saw() -> None:
    assert STORED.outputs(["a film", ""], ("good", "never", "bad")).tolist() == [[0.6, 0.0, 0.4]] * 2
    assert STORED.outputs([], ("good", "bad")).shape == (0, 2)


def test_progress_is_told_after_each_batch() -> None:
    told: list[int] = []
    outputs = STORED.outputs(["a film"] * (BATCH + 1), ("bad", "good"), told.append)  # type: ignore[arg-type]
    assert np.array_equal(outputs, np.tile([0.4, 0.6], (BATCH + 1, 1)))
    assert told == [BATCH, 1]


def test_answers_are_those_of_the_kind() -> None:
    assert STORED.answers(["a film", "another"]) == ["good", "good"]
    assert list(STORED.table(["a film"]).columns) == ["label", "score", "p_bad", "p_good"]
