"""Slices of the holdout: what they are called, and that each is scored on its own rows."""

from __future__ import annotations

import numpy as np

from ratchet.judging import class_metrics, slices
from tests.support.answers import random_case
from tests.support.tables import frame_of


def test_the_values_of_declared_columns_are_slices_and_the_small_are_left_out() -> None:
    shops: list[str | None] = [*["north"] * 240, *["south"] * 29, *["west"] * 31]
    frame = frame_of(["x"] * 300, shop=shops)
    rows = np.arange(300)
    masks = slices.slices({"the first": rows < 30, "few": rows < 29}, frame, ["shop"])
    assert list(masks) == ["the first", "shop = north", "shop = west"]
    assert np.array_equal(np.flatnonzero(masks["shop = west"]), rows[269:])


def test_each_slice_is_scored_on_its_own_rows() -> None:
    truth, probabilities = random_case(1, 2, 100)
    masks = {"first": np.arange(100) < 40}
    found = slices.score_by_slice(masks, truth, probabilities, lambda *part: class_metrics.score(part[0], part[1], 2))
    assert found["first"] == class_metrics.score(truth[:40], probabilities[:40], 2)
