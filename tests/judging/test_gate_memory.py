"""The gate that learns: properties of the pure rule, a short simulated run as a guard, and the loop that remembers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import bench_gate
from flows import evaluation
from flows.registry.snapshot import Version
from ratchet.judging import gate, gate_memory
from ratchet.judging.class_metrics import METRICS
from ratchet.judging.gate_memory import Belief, Measured, PastChallenger
from tests.support.answers import answers, judged, measured, metric_of, pasts, rules, share, taught

ACCURACY = metric_of("accuracy")

figures = st.floats(-0.05, 0.05)
errors = st.floats(0.0001, 0.03)
pulls = st.floats(0, 1)


histories = st.lists(st.tuples(figures, errors, pulls, st.booleans()), max_size=12)


@given(figures, errors, pulls)
def test_without_a_history_ninety_percent_confidence_is_required(difference: float, error: float, pull: float) -> None:
    for belief in (gate_memory.prior_belief(), gate_memory.learn_history([], 3)):
        required = gate_memory.required_lead(belief, measured(difference, error, pull))
        assert required == pytest.approx(1.2815515655 * error, rel=1e-9)


@settings(max_examples=60)
@given(histories, errors, pulls, figures, figures)
def test_the_required_lead_is_at_least_0_and_does_not_depend_on_the_difference(
    past: list[tuple[float, float, float, bool]], error: float, pull: float, difference: float, other_difference: float
) -> None:
    """So a better difference never turns a promotion into a refusal, and a worse one is never promoted."""
    belief = taught(past)
    first, second = (
        float(gate_memory.required_lead(belief, measured(each, error, pull))[0])
        for each in (difference, other_difference)
    )
    assert first == second
    assert np.isfinite(first)
    assert first >= 0


@settings(max_examples=40)
@given(histories, errors)
def test_one_lifetime_and_many_at_once_give_the_same_result(
    challengers: list[tuple[float, float, float, bool]], error: float
) -> None:
    """The simulation folds step by step on many lifetimes; production reads the history of one."""
    belief = gate_memory.prior_belief(3)
    for past in pasts(challengers):
        many = Measured(*(np.repeat(each, 3) for each in vars(past.measured).values()))
        belief = gate_memory.update_belief(belief, many, np.repeat(past.promoted, 3))
    required = gate_memory.required_lead(
        belief, Measured(*(np.repeat(each, 3) for each in vars(measured(0, error)).values()))
    )
    assert required == pytest.approx(np.repeat(gate_memory.required_lead(taught(challengers), measured(0, error)), 3))


def test_bad_challengers_make_it_stricter_and_good_ones_bolder() -> None:
    careful = 1.2815515655 * 0.005
    bad = taught([(-0.006, 0.005, 0.2, False)] * 15)
    good = taught([(0.006, 0.005, 0.2, False)] * 15)
    assert float(gate_memory.required_lead(bad, measured(0, 0.005))[0]) > 1.3 * careful
    assert float(gate_memory.required_lead(good, measured(0, 0.005))[0]) < 0.5 * careful


def test_the_luck_of_a_champion_is_given_back_and_fresh_rows_dilute_it() -> None:
    """A lead far over what was believed is mostly luck; it belongs to the version that had it."""
    history = pasts([(-0.002, 0.006, 0.3, False)] * 8 + [(0.012, 0.006, 0.3, True)])
    lucky, other = gate_memory.learn_history(history, history[-1].version), gate_memory.learn_history(history, 1)
    assert lucky.luck[0] > 0
    assert other.luck[0] == 0
    required = [
        float(gate_memory.required_lead(belief, measured(0, 0.006, 0.3, rows))[0])
        for belief, rows in ((lucky, 3000), (lucky, 30_000), (other, 3000))
    ]
    assert required[0] < required[1] < required[2]


# --- the decision


def decided(right: np.ndarray, champion: np.ndarray, belief: Belief | None) -> gate.Decision:
    truth = np.arange(len(right)) % 2
    return gate.decide(
        gate.Candidate("challenger", answers(truth, right)),
        gate.Candidate("v3", answers(truth, champion)),
        gate.Candidate("majority", np.tile([0.51, 0.49], (len(right), 1))),
        gate.Holdout(truth),
        rules(),
        belief=belief,
    )


def test_a_win_that_never_went_live_is_no_champions_luck() -> None:
    """A trial that failed, an approval that never came: what was measured of it teaches, and that is all."""
    won = PastChallenger(3, 2, measured(0.02, 0.005), promoted=True)
    history = [
        PastChallenger(2, 1, measured(0.01, 0.005), promoted=True),
        won,
        PastChallenger(4, 2, measured(0.0, 0.005), promoted=False),
    ]
    without = [replace(past, promoted=past.promoted and past is not won) for past in history]
    for champion in (1, 2):
        with_it, less = gate_memory.learn_history(history, champion), gate_memory.learn_history(without, champion)
        assert (with_it.weight == less.weight).all()
        assert (with_it.luck, with_it.seen) == (less.luck, less.seen)


def test_a_history_of_failures_keeps_a_champion_that_would_have_fallen_and_says_so() -> None:
    champion = share(2500, 0.8)
    right = champion.copy()
    right[np.flatnonzero(champion)[:88]] = False
    right[np.flatnonzero(~champion)[:112]] = True  # 1.0 points more, 1.7 standard errors
    first = decided(right, champion, None)
    assert first.promote
    assert first.error is not None
    after = decided(right, champion, taught([(-0.012, 0.005, 0.2, False)] * 20))
    assert (after.verdict, after.difference, after.interval) == ("Kept champion", first.difference, first.interval)
    assert "; after 20 earlier challengers the lead must exceed " in after.reason
    assert after.reason.endswith(", which may be luck, so v3 stays.")


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "log_loss"])
def test_an_empty_history_decides_by_the_tenth_percentile_as_ever(metric: str) -> None:
    rng, seen = np.random.default_rng(1), set()
    for _ in range(25):
        challenger, champion = (rng.random(200) < right for right in (0.83, 0.8))
        decision = judged(challenger, champion, asked=rules(metric, floor=0.9 if metric == "log_loss" else 0.5))
        assert decision.interval is not None
        assert decision.promote == (decision.interval[0] > 0)
        assert "earlier" not in decision.reason
        seen.add(decision.promote)
    assert seen == {True, False}


def test_error_and_pull_are_those_of_counting_wins_and_losses() -> None:
    rng = np.random.default_rng(0)
    champion = rng.random(4000) < 0.8
    right = champion ^ (rng.random(4000) < 0.08)
    decision = decided(right, champion, None)
    won, lost = int((right & ~champion).sum()), int((champion & ~right).sum())
    assert decision.error == pytest.approx(np.sqrt(won + lost) / 4000, rel=0.06)
    assert decision.pull == pytest.approx(won / (~champion).sum() + lost / champion.sum(), abs=0.04)


# --- what a version remembers


def version(number: int, **tags: str) -> Version:
    return Version("reviews", number, f"run{number}", tags, "", 0.0)


def test_a_decision_is_remembered_by_its_version_and_read_back() -> None:
    decision = decided(share(400, 0.85), np.roll(share(400, 0.8), 7), None)
    tags = {
        evaluation.GATE: evaluation.gate_tag(decision, ACCURACY, 400),
        "decided_against": "3",
        "decision": "promote",
    }
    past = evaluation.remembered(version(4, **tags), ACCURACY)
    assert past is not None
    assert (past.version, past.against, past.promoted) == (4, 3, True)
    figures_read = [float(each[0]) for each in vars(past.measured).values()]
    assert figures_read == pytest.approx([decision.difference, decision.error, decision.pull, 400])
    assert evaluation.remembered(version(4, **tags), METRICS["f1"]) is None


@pytest.mark.parametrize("tag", ["", "none", "{}", "[1]", "7", '{"metric": "accuracy", "ahead": "NaN"}', "null", "{"])
def test_a_damaged_tag_teaches_nothing(tag: str) -> None:
    assert evaluation.remembered(version(4, gate=tag, decided_against="3"), ACCURACY) is None
    whole = json.dumps({"metric": "accuracy", "ahead": 0.1, "error": 0.1, "pull": 0.1, "rows": 10})
    assert evaluation.remembered(version(4, gate=whole, decided_against="none"), ACCURACY) is None
    assert evaluation.remembered(version(4, gate=whole.replace("10}", "NaN}"), decided_against="3"), ACCURACY) is None


SOUND = {"metric": "accuracy", "ahead": 0.1, "error": 0.1, "pull": 0.1, "rows": 10}


@pytest.mark.parametrize(
    "nonsense",
    [{"ahead": 1.5}, {"ahead": "0.1"}, {"ahead": True}, {"error": -0.1}, {"error": 7}, {"pull": -1}, {"pull": 1.1},
     {"rows": 0}, {"rows": 10.5}, {"rows": 1e300}, {"rows": -10}, {"rows": None}],
)  # fmt: skip
def test_impossible_measurements_teach_nothing(nonsense: dict[str, object]) -> None:
    """Somebody has typed it into MLflow: no share differs by more than 1, no error is negative, ..."""
    assert evaluation.remembered(version(4, gate=json.dumps(SOUND), decided_against="3"), ACCURACY) is not None
    assert evaluation.remembered(version(4, gate=json.dumps(SOUND | nonsense), decided_against="3"), ACCURACY) is None


@pytest.mark.parametrize("against", ["4", "0", "-3"])
def test_no_version_was_held_against_itself_or_none(against: str) -> None:
    assert evaluation.remembered(version(4, gate=json.dumps(SOUND), decided_against=against), ACCURACY) is None


def test_log_loss_may_differ_by_more_than_a_share_can() -> None:
    tag = json.dumps(SOUND | {"metric": "log_loss", "ahead": -2.5})
    assert evaluation.remembered(version(4, gate=tag, decided_against="3"), METRICS["log_loss"]) is not None


# --- over a lifetime


def test_the_simulation_is_the_one_that_the_promises_were_made_on() -> None:
    """'Higher wins' and z = 1.28 as they were then: slides of .77 and .03, gains of 1 and .71."""
    worst = {z: bench_gate.play("worse", bench_gate.constant(z), 500, seed=1).slid.mean() for z in (0.0, 1.28)}
    gains = {z: bench_gate.mean_gain(bench_gate.play("mixed", bench_gate.constant(z), 500, seed=1)) for z in worst}
    assert worst[0.0] == pytest.approx(0.75, abs=0.08)
    assert worst[1.28] < 0.06
    assert gains[1.28] / gains[0.0] == pytest.approx(0.71, abs=0.04)


def test_over_a_short_run_it_gains_more_than_the_constant_and_slides_no_more() -> None:
    """The constant of 90% confidence, in the world of its gain and in that of its slides, on the same challengers."""
    constant = bench_gate.constant(1.28)
    gains = [
        bench_gate.mean_gain(bench_gate.play("mixed", gate, 500, seed=2))
        for gate in (constant, gate_memory.required_lead)
    ]
    slid = [bench_gate.play("groups", gate, 1_000, seed=2).slid.sum() for gate in (constant, gate_memory.required_lead)]
    assert gains[1] > 1.1 * gains[0]
    assert slid[1] < slid[0]


@pytest.mark.long
def test_over_many_lifetimes_both_promises_hold() -> None:
    highest = bench_gate.mean_gain(bench_gate.play("mixed", bench_gate.constant(0), 6000, seed=3))
    ours = {world: bench_gate.play(world, gate_memory.required_lead, 6000, seed=3) for world in bench_gate.WORLDS}
    assert bench_gate.mean_gain(ours["mixed"]) / highest > 0.84
    assert max(outcome.slid.mean() for outcome in ours.values()) < 0.037
