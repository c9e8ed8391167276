"""Who may replace whom: worked examples, and what must hold of any two models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.judging import bootstrap, gate
from tests.support.answers import judged, rules, share
from tests.tasks.predict_number import judging as numbers


def test_the_first_good_model_is_promoted() -> None:
    decision = judged(share(400, 0.8), None)
    assert (decision.promote, decision.verdict) == (True, "Promoted")
    assert decision.reason == (
        "The first model to pass: the challenger's accuracy 80.0% beats 50.0%, "
        "that of always giving the most frequent class."
    )


def test_a_model_below_the_floor_is_refused_with_or_without_a_champion() -> None:
    alone, beside = judged(share(400, 0.55), None), judged(share(400, 0.55), share(400, 0.8))
    assert (alone.verdict, beside.verdict) == ("Refused", "Refused")
    assert alone.reason == "The challenger's accuracy 55.0% does not reach the floor 60.0%."
    assert beside.reason.endswith(", so v3 stays.")


def test_a_model_no_better_than_the_most_frequent_class_is_refused() -> None:
    decision = judged(share(400, 0.5), None, asked=rules(floor=0.2))
    assert decision.verdict == "Refused"
    assert "does not beat 50.0%, that of always giving the most frequent class" in decision.reason


def test_a_clearly_better_challenger_is_promoted_and_says_by_how_much() -> None:
    decision = judged(np.arange(1000) % 10 < 8, np.arange(1000) % 10 < 7)
    assert decision.promote
    assert decision.difference == pytest.approx(0.1)
    assert decision.interval is not None
    assert decision.interval[0] < 0.1 < decision.interval[1]
    assert decision.reason.startswith(
        "The challenger is right on 80.0% of 1,000 holdout rows, v3 on 70.0%: 10.0 points more (80% interval of "
    )
    assert decision.reason.endswith("so it replaces v3.")


def test_a_margin_asks_for_more() -> None:
    right, champion = np.arange(1000) % 10 < 8, np.arange(1000) % 10 < 7
    decision = judged(right, champion, asked=rules(floor=0.6, margin=0.1))
    assert decision.verdict == "Kept champion"
    assert "but not by more than the margin of 10.0 points" in decision.reason


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "log_loss"])
def test_the_same_answers_never_replace_the_champion(metric: str) -> None:
    right = share(300, 0.8)
    decision = judged(right, right.copy(), asked=rules(metric, floor=0.69 if metric == "log_loss" else 0.6))
    assert (decision.promote, decision.verdict, decision.difference) == (False, "Kept champion", 0.0)
    assert decision.reason == "The challenger answers all 300 holdout rows as v3 does, so v3 stays."


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "log_loss"])
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_swapping_the_two_turns_the_figures_round(metric: str, seed: int) -> None:
    """Never may each replace the other, or two models could swap for ever."""
    rng = np.random.default_rng(seed)
    first, second = (rng.random(200) < right for right in (0.8, 0.8))
    groups = [f"g{at % 40}" for at in range(200)]
    asked = rules(metric, floor=0.9 if metric == "log_loss" else 0.5)
    forward, back = judged(first, second, groups, asked), judged(second, first, groups, asked)
    assert not (forward.promote and back.promote)
    assert forward.difference is not None
    assert back.difference is not None
    assert forward.difference == pytest.approx(-back.difference)
    assert forward.interval == pytest.approx(tuple(-end for end in reversed(back.interval or ())))


def test_rows_that_go_together_make_the_interval_wider() -> None:
    """Ten rows of a film that are right or wrong together are nearer to one row than to ten."""
    rng = np.random.default_rng(0)
    right, champion = (np.repeat(rng.random(60) < chance, 10) for chance in (0.8, 0.75))
    groups = [f"film {at // 10}" for at in range(600)]
    by_film, by_row = judged(right, champion, groups).interval, judged(right, champion).interval
    assert by_film is not None
    assert by_row is not None
    assert by_film[1] - by_film[0] > 2 * (by_row[1] - by_row[0])


def test_one_group_cannot_judge() -> None:
    decision = judged(share(300, 0.9), share(300, 0.7), ["only"] * 300)
    assert decision.verdict == "Kept champion"
    assert "of one group" in decision.reason


def test_the_bootstrap_interval_holds_what_it_promises() -> None:
    """Equal models: the lower end is above zero in about one of ten draws of the world, not more."""
    rng = np.random.default_rng(0)
    wins = [judged(rng.random(400) < 0.8, rng.random(400) < 0.8).promote for _ in range(200)]
    assert 0.03 < np.mean(wins) < 0.18


def test_numbers_are_judged_by_their_error_with_the_same_gate() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(100, 20, 600)
    near, far = (truth[:, None] + rng.normal(0, error, (600, 1)) for error in (2, 6))
    squared = numbers.metric("squared_error", ("number",), None)
    holdout = gate.Holdout(truth, slices={"first": np.arange(600) < 300, "second": np.arange(600) >= 300})
    mean = gate.Candidate(numbers.BASELINE, np.full((600, 1), 100.0))

    def decided(challenger: np.ndarray, champion: np.ndarray | None, floor: float = 50.0) -> gate.Decision:
        live = None if champion is None else gate.Candidate("v1", champion)
        return gate.decide(gate.Candidate("v2", challenger), live, mean, holdout, gate.Rules(squared, floor))

    assert decided(far, None).reason.endswith("that of always giving the mean.")
    assert decided(far, None, floor=1.0).reason.endswith("does not reach the floor 1.")
    better, worse = decided(near, far), decided(far, near)
    assert (better.verdict, worse.verdict) == ("Promoted", "Kept champion")
    assert better.difference == pytest.approx(-(worse.difference or 0))
    detail = "On none of the 2 slices is the challenger surely more than a hundredth of the error worse"
    assert better.checks[-1].detail == detail
    assert decided(far, far).reason == "The challenger answers all 600 holdout rows as v1 does, so v1 stays."
    low, high = bootstrap.intervals([squared], truth, far, np.arange(600), resamples=300, seed=0)["squared_error"]
    assert 0 < low < squared.value(truth, far) < high
