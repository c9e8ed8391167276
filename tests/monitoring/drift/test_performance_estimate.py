"""How often the model is right, and how often each class occurs: estimates hold, and intervals hold what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet import tasks
from ratchet.monitoring.drift import drift, label_shift, performance_estimate
from tests.support.films import audited, judged, met, sides

# Accuracy


def test_the_estimate_without_labels_is_right_where_texts_became_harder() -> None:
    """By eight points or more on average; and its interval holds the truth in most of the splits."""
    off, harder, inside = [], [], 0
    for seed in range(12):
        holdout_rows, rest = sides(seed, 3_000)
        hard = rest.sort("score").head(1_000)
        accuracy = drift.compare(tasks.get("classify"), judged(holdout_rows), met(hard), audited(hard)).accuracy
        assert accuracy.estimated
        assert accuracy.measured
        assert accuracy.holdout
        harder.append(accuracy.holdout.value - accuracy.measured.value)
        off.append(abs(accuracy.estimated.value - accuracy.measured.value))
        inside += accuracy.estimated.low <= accuracy.measured.value <= accuracy.estimated.high
        assert accuracy.missed == pytest.approx(accuracy.estimated.value - accuracy.measured.value)
    assert np.mean(harder) > 0.08
    assert np.mean(off) < 0.03
    assert inside >= 8


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 3), st.floats(-1, 1))
def test_calibration_recovers_the_parameters_that_generated_the_rows(seed: int, slope: float, intercept: float) -> None:
    chance = np.random.default_rng(seed)
    logits = chance.uniform(0, 4, 4_000)
    scores = 1 / (1 + np.exp(-logits))
    right = (chance.random(4_000) < 1 / (1 + np.exp(-(intercept + slope * logits)))).astype(float)
    calibration = performance_estimate.calibrate(scores, right)
    assert calibration.chance(scores).mean() == pytest.approx(right.mean(), abs=0.005)
    errors = np.sqrt(np.diag(calibration.spread))
    assert abs(calibration.intercept - intercept) < 6 * errors[0] + 0.05
    assert abs(calibration.slope - slope) < 6 * errors[1] + 0.05


@pytest.mark.parametrize("right", [0.0, 1.0])
@pytest.mark.parametrize("score", [0.5, 1.0])
def test_calibration_of_a_model_that_is_always_right_or_wrong_is_finite(right: float, score: float) -> None:
    calibration = performance_estimate.calibrate(np.full(60, score), np.full(60, right))
    rate = performance_estimate.estimated(calibration, np.full(60, score))
    assert abs(rate.value - right) < 0.05
    assert 0 <= rate.low <= rate.value <= rate.high <= 1


@given(st.integers(1, 400), st.data())
def test_intervals_hold_their_value_and_that_for_all_looks_is_the_wider(rows: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, rows))
    right = np.r_[np.ones(hits), np.zeros(rows - hits)]
    once, always = performance_estimate.measured(right), performance_estimate.always(right)
    assert 0 <= once.low <= once.value + 1e-9
    assert once.value <= once.high + 1e-9
    assert always.low <= once.low + 0.01
    assert always.high >= once.high - 0.01


def test_rows_of_a_group_that_agree_are_worth_one() -> None:
    """So the interval of a holdout by film is as wide as its films make it, not as its rows would."""
    right = (np.random.default_rng(0).random(100) < 0.8).astype(float)
    once, copies = (
        performance_estimate.measured(right),
        performance_estimate.measured(np.repeat(right, 10), np.repeat(np.arange(100), 10)),
    )
    assert (copies.value, copies.rows) == (once.value, 1_000)
    assert copies.low == pytest.approx(once.low, abs=0.005)
    assert copies.high == pytest.approx(once.high, abs=0.005)
    alone = performance_estimate.measured(right, np.arange(100))
    assert alone == once


def test_the_interval_for_all_looks_holds_at_every_row() -> None:
    """300 streams of 400 audited rows, looked at after each tenth: at most 5% ever leave the truth out."""
    chance = np.random.default_rng(0)
    wrong = 0
    for _ in range(300):
        right = (chance.random(400) < 0.8).astype(float)
        bounds = [performance_estimate.always(right[:rows]) for rows in range(10, 401, 10)]
        wrong += any(not bound.low <= 0.8 <= bound.high for bound in bounds)
    assert wrong <= 15


# Label shift


@pytest.mark.parametrize("count", [2, 20])
def test_class_shares_are_recovered_despite_mistakes(count: int) -> None:
    chance = np.random.default_rng(0)
    before, now = np.full(count, 1 / count), np.r_[0.4, np.full(count - 1, 0.6 / (count - 1))]

    def rows(shares: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        true = chance.choice(count, size, p=shares)
        return true, np.where(chance.random(size) < 0.75, true, chance.integers(0, count, size))

    true, predicted = rows(before, 4_000)
    answers = rows(now, 3_000)[1]
    shares = {
        each.label: each for each in label_shift.shares_now([f"c{at}" for at in range(count)], true, predicted, answers)
    }
    assert sum(each.recent for each in shares.values()) == pytest.approx(1)
    first = shares["c0"]
    if count == 2:
        assert first.low <= 0.4 <= first.high
    assert abs(first.recent - 0.4) < 0.05
    assert abs(first.recent - 0.4) < abs(float((answers == 0).mean()) - 0.4) + 0.01


def test_shares_are_no_surer_for_copies_of_a_row() -> None:
    """Ten rows of a group that agree say of the model's mistakes what one does."""
    chance = np.random.default_rng(0)
    true = chance.integers(0, 2, 60)
    predicted, recent = np.where(chance.random(60) < 0.7, true, 1 - true), chance.integers(0, 2, 5_000)

    def width(copies: int, groups: np.ndarray | None) -> float:
        shares = label_shift.shares_now(
            ["a", "b"], np.repeat(true, copies), np.repeat(predicted, copies), recent, groups
        )
        return shares[0].high - shares[0].low

    once = width(1, None)
    assert width(10, np.repeat(np.arange(60), 10)) == pytest.approx(once, rel=0.25)
    assert width(10, None) < once / 2
