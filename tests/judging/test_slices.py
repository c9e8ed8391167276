"""Slices of the holdout: what they are called, and that each is scored on its own rows."""

from __future__ import annotations

import numpy as np

from ratchet.judging import metrics as score
from ratchet.judging import slices
from tests.support.answers import random_case
from tests.support.tables import frame_of


def test_slices_name_their_cut_offs_and_leave_out_the_small() -> None:
    texts: list[str | None] = [*("x" * (1 + at % 90) for at in range(270)), *["漢字"] * 30]
    shops: list[str | None] = [*["north"] * 271, *["south"] * 29]
    masks = slices.slices(frame_of(texts, shop=shops), ["shop"])
    assert set(masks) == {
        "up to 24 characters",
        "25 to 57 characters",
        "over 57 characters",
        "in Chinese characters",
        "in Latin letters",
        "shop = north",
    }
    assert sum(mask.sum() for name, mask in masks.items() if "characters" in name and "Chinese" not in name) == 300


def test_each_slice_is_scored_on_its_own_rows() -> None:
    labels, truth, probabilities = random_case(1, 2, 100)
    masks = {"first": np.arange(100) < 40}
    assert slices.score_by_slice(masks, labels, truth, probabilities)["first"] == score.score(
        labels, truth[:40], probabilities[:40]
    )
