"""What chance may do, promised in numbers: how often the gate, a trial and the watching may be wrong, written out."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from benchmarks import bench_gate
from ratchet.judging import canary_test, gate_memory
from ratchet.judging.gate_memory import Belief
from ratchet.monitoring.drift import alpha_spending
from tests.support.answers import measured, taught

HALF_A_POINT = 0.005
ONE_KIND = 5 * 8 + 3
"""Where, on the gate's grid of beliefs, challengers are 0.8 slides worse on average and 0.72 apart."""

# --- the gate


def believed(true: np.ndarray) -> np.ndarray:
    """How likely a challenger's true difference is, in slides: nine in ten are of that kind, one is of another."""
    return 0.9 * norm.pdf(true, -0.8, 0.2 * 20 ** (3 / 7)) + 0.1 * norm.pdf(true, 0, 4)


@pytest.mark.parametrize("error", [0.3, 0.4, 0.5])
def test_the_required_lead_is_where_the_gain_is_worth_54_times_the_risk_of_half_a_point(error: float) -> None:
    """By integrating over every true difference, for a gate that has long known its world."""
    weight = np.full((120, 1), -1e9)
    weight[ONE_KIND] = 0
    belief = Belief(weight, np.zeros(1), seen=10**9)
    required = float(gate_memory.required_lead(belief, measured(0, error * HALF_A_POINT))[0]) / HALF_A_POINT
    true = np.linspace(-20, 20, 400_001)
    for seen, worth in ((required - 0.001 * error, False), (required + 0.001 * error, True)):
        likely = believed(true) * norm.pdf(seen, true, error)
        gain, slide = (likely * true).sum(), likely[true < -1].sum()
        assert (gain > 54 * error**2 * slide) == worth


@pytest.mark.parametrize("error", [0.01, 0.013, 0.03])
def test_however_bad_the_history_at_most_two_standard_errors_are_required(error: float) -> None:
    bad = taught([(-0.02, 0.005, 0.2, False)] * 40)
    assert float(gate_memory.required_lead(bad, measured(0, error))[0]) == pytest.approx(2 * error)


def test_the_weight_of_a_challenger_halves_after_46_more() -> None:
    """What two histories that differ in their oldest challenger alone say of each kind."""

    def apart(later: int) -> np.ndarray:
        worlds = (taught([(first, 0.005, 0.2, False), *[(0.0, 0.005, 0.2, False)] * later]) for first in (-0.01, 0.01))
        one, other = (belief.weight - belief.weight[0] for belief in worlds)
        return one - other

    assert apart(46) == pytest.approx(apart(0) / 2, rel=0.01)


def test_after_four_challengers_half_of_the_way_to_bolder_is_gone() -> None:
    challengers = [(0.006, 0.005, 0.2, False)] * 4
    belief = taught(challengers)
    settled = Belief(belief.weight, belief.luck, seen=10**9)
    half, whole = (float(gate_memory.required_lead(each, measured(0, 0.004))[0]) / 0.004 for each in (belief, settled))
    assert whole < 1
    assert half == pytest.approx((whole + 1.2815515655) / 2, abs=1e-6)


def test_it_slides_in_at_most_three_of_a_hundred_lifetimes() -> None:
    """Each world from a seed of its own; more than that would come of one run in a thousand of the promised odds."""
    worlds = ("mixed", "worse", "drift")
    slid = sum(
        int(bench_gate.play(world, gate_memory.required_lead, 800, seed=at).slid.sum())
        for at, world in enumerate(worlds)
    )
    assert 0 < slid <= binom.isf(0.001, 3 * 800, 0.03)


def test_where_every_challenger_is_worse_it_slides_no_more_than_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """By 0.3 points each, which no world of the design has: .07 of lifetimes (decisions/0018)."""
    monkeypatch.setattr(bench_gate, "differences", lambda _, count, __: np.full((bench_gate.TURNS, count), -0.003))
    slid = int(bench_gate.play("mixed", gate_memory.required_lead, 1_000, seed=1).slid.sum())
    assert binom.ppf(0.001, 1_000, 0.07) <= slid <= binom.isf(0.001, 1_000, 0.07)


# --- a trial on live traffic


@pytest.mark.parametrize("word", ["worse", "better"])
def test_of_a_hundred_trials_of_equals_five_at_most_are_decided_for_either(word: str) -> None:
    """Exactly, over every path of 200 wins and losses, looked at after each; those that were decided are taken out."""
    going, decided = np.ones(1), 0.0
    for rows in range(1, 201):
        going = np.convolve(going, [0.5, 0.5])
        called = np.array([canary_test.judge(rows, wins, rows - wins).word == word for wins in range(rows + 1)])
        decided += going[called].sum()
        going = np.where(called, 0, going)
    assert 0.03 < decided <= 0.05


@pytest.mark.parametrize(
    ("wins", "losses", "ending"),
    [
        (0, 7, "the challenger is worse (evidence 23.8, 20 is required)"),
        (0, 6, "no verdict yet (evidence 14.2, 20 is required)"),
        (7, 0, "the challenger is better (evidence 23.8, 20 is required)"),
    ],
)
def test_the_sentence_of_a_trial(wins: int, losses: int, ending: str) -> None:
    assert str(canary_test.judge(1_234, wins, losses)) == (
        f"On 1,234 audited live texts the challenger alone was right on {wins}, "
        f"the champion alone on {losses}: {ending}"
    )


# --- watching


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200))
@example([1.0] * 720)
@example([168.0] * 4 + [48.0])
def test_in_a_month_five_in_a_hundred_is_spent_at_most_however_often_one_looks(waits: list[float]) -> None:
    looks = [wait for wait, at in zip(waits, accumulate(waits), strict=True) if at <= 720]
    assert alpha_spending.allowed(None) + sum(map(alpha_spending.allowed, looks)) <= 0.05 * (1 + 1e-9)


def test_hourly_checks_may_spend_the_whole_alpha_of_a_month() -> None:
    assert alpha_spending.allowed(None) + 720 * alpha_spending.allowed(1.0) == pytest.approx(0.05)


def test_a_quiet_year_saves_up_a_week() -> None:
    assert alpha_spending.allowed(24 * 365) == pytest.approx(168 * alpha_spending.allowed(1.0))
    assert alpha_spending.allowed(-5.0) == 0


@pytest.mark.parametrize(
    ("p_values", "held"),
    [
        ([0.01, 0.04, 0.03], [True, False, False]),
        ([0.01, 0.04, 0.02], [True, True, True]),
        ([0.04, 0.001, 0.5], [False, True, False]),
        ([0.02, 0.02, 0.02], [False, False, False]),
        ([0.05], [True]),
        ([], []),
    ],
)
def test_holm_by_hand(p_values: list[float], held: list[bool]) -> None:
    """At 5 in 100: the smallest of three may be 1.67 in 100, the next 2.5, the last 5."""
    assert alpha_spending.holm(p_values, 0.05) == held
