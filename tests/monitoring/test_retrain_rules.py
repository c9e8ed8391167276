"""When the loop may turn by itself: never within the cooldown, never above the budget, whatever the clock does."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ratchet.monitoring import retrain_rules
from ratchet.monitoring.retrain_rules import DAY, MINUTE, RetrainDecision, Rules, Signals

NOON = 1_790_000_000.0
jumps = st.one_of(
    st.floats(0, 2 * DAY),
    st.floats(0, 1200),
    st.floats(-2 * DAY, 0),
    st.sampled_from([-400 * DAY, 400 * DAY, 0.0, 1.0]),
)
rules = st.builds(
    Rules,
    labels=st.integers(0, 50),
    accuracy=st.none() | st.floats(0.5, 0.9),
    drift=st.booleans(),
    cooldown=st.floats(0, 4320),
    turns=st.integers(1, 6),
)
findings = st.builds(
    Signals,
    labels=st.integers(0, 100),
    accuracy=st.none() | st.floats(0, 1),
    drift=st.sampled_from(["", "text length"]),
    changed=st.booleans(),
)


@given(rules, st.lists(st.tuples(jumps, findings), max_size=60))
@example(Rules(1, None, False, 4000, 5), [(each * DAY, Signals(1, None, "", True)) for each in (0, 1.5, 1.1)])
def test_no_turn_begins_within_the_cooldown_or_above_the_budget_whatever_the_clock_does(
    given_rules: Rules, looks: list[tuple[float, Signals]]
) -> None:
    """Measured in what the clock went forward: an hour back and forth again is an hour that it showed to pass."""
    now, passed, starts, began = NOON, 0.0, list[float](), list[float]()
    for jump, signals in looks:
        now, passed = now + jump, passed + max(0.0, jump)
        starts = retrain_rules.relevant_starts(starts, now)
        if retrain_rules.decide(given_rules, signals, starts, now).trigger:
            starts.append(now)
            began.append(passed)
    for first, second in pairwise(began):
        assert second - first >= given_rules.cooldown * MINUTE - 1e-3
    for at in range(len(began) - given_rules.turns):
        assert began[at + given_rules.turns] - began[at] >= DAY - 1e-3


@given(rules, st.lists(st.floats(-400 * DAY, 400 * DAY), max_size=10))
def test_whatever_was_noted_a_turn_may_begin_once_a_day_and_a_cooldown_have_passed(
    given_rules: Rules, starts: list[float]
) -> None:
    noted = retrain_rules.relevant_starts([NOON + start for start in starts], NOON)
    assert all(start <= NOON for start in noted)
    later = NOON + max(DAY, given_rules.cooldown * MINUTE) + 1
    assert retrain_rules.holds_back(given_rules, noted, later) == ""


@given(rules, findings, st.lists(st.floats(-DAY, DAY), max_size=5))
def test_a_decision_has_a_trigger_or_a_reason_against_it_or_neither(
    given_rules: Rules, signals: Signals, starts: list[float]
) -> None:
    decision = retrain_rules.decide(given_rules, signals, [NOON + start for start in starts], NOON)
    reasons = retrain_rules.triggers(given_rules, signals)
    assert not (decision.trigger and decision.why_not)
    assert bool(decision.trigger or decision.why_not) == bool(reasons)
    assert not (decision.trigger and not signals.changed), "nothing to learn from: no turn"
    assert decision.labels_alone <= bool(decision.trigger)


@pytest.mark.parametrize(
    ("signals", "trigger"),
    [
        (Signals(50, None, "", True), "50 new labels"),
        (Signals(49, None, "", True), ""),
        (Signals(0, 0.69, "", True), "accuracy at most 0.690, below 0.7"),
        (Signals(0, 0.7, "", True), ""),
        (
            Signals(60, 0.5, "text length", True),
            "accuracy at most 0.500, below 0.7, drift of text length, 60 new labels",
        ),
    ],
)
def test_the_trigger_lists_every_signal_that_holds(signals: Signals, trigger: str) -> None:
    decision = retrain_rules.decide(Rules(50, 0.7, True, 10, 24), signals, [], NOON)
    assert decision.trigger == trigger
    assert decision.labels_alone == (trigger == "50 new labels")


# --- when the loop turns by itself: an hour's cooldown, two turns a day, one label

RULES = Rules(1, 0.7, True, 60, 2)
ONE = Signals(1, None, "", True)


def test_a_turn_names_its_trigger() -> None:
    assert retrain_rules.decide(RULES, ONE, [], NOON) == RetrainDecision("1 new label", "", labels_alone=True)
    assert retrain_rules.decide(RULES, Signals(2_000, None, "", True), [], NOON).trigger == "2,000 new labels"
    assert retrain_rules.decide(RULES, Signals(0, None, "", True), [], NOON) == RetrainDecision("", "")
    assert retrain_rules.decide(RULES, Signals(1, None, "words", True), [], NOON) == RetrainDecision(
        "drift of words, 1 new label", ""
    )


def test_no_labels_are_asked_for_where_the_rule_is_off() -> None:
    assert retrain_rules.decide(Rules(0, None, False, 60, 2), Signals(0, None, "", True), [], NOON) == RetrainDecision(
        "", ""
    )


def test_a_turn_that_could_learn_nothing_is_none() -> None:
    words = "1 new label, and nothing is there to learn from that the last turn had not: label some texts."
    assert retrain_rules.decide(RULES, Signals(1, None, "", False), [], NOON) == RetrainDecision("", words)


@pytest.mark.parametrize(
    ("starts", "limit"),
    [
        ([NOON - 600], "the next turn may begin in 50 minutes (optimise.cooldown)"),
        ([NOON + 10 * 86_400], "the next turn may begin in 60 minutes (optimise.cooldown)"),
        ([NOON - 3_599.5], "the next turn may begin in 0 minutes (optimise.cooldown)"),
        ([NOON - 3_600], ""),
        ([NOON - 80_000, NOON - 70_000], "2 turns began by themselves within a day, and optimise.turns is 2"),
        ([NOON - 86_400, NOON - 70_000], ""),
    ],
)
def test_the_limit_that_forbids_a_turn_is_named(starts: list[float], limit: str) -> None:
    expected = (
        RetrainDecision("", f"1 new label; {limit}") if limit else RetrainDecision("1 new label", "", labels_alone=True)
    )
    assert retrain_rules.decide(RULES, ONE, starts, NOON) == expected


def test_starts_of_a_day_and_the_last_one_are_kept() -> None:
    day = 86_400
    assert retrain_rules.relevant_starts([NOON - 3 * day, NOON - day, NOON - day + 1], NOON) == [NOON - day + 1]
    assert retrain_rules.relevant_starts([NOON - 9, NOON - 8], NOON) == [NOON - 9, NOON - 8]
    assert retrain_rules.relevant_starts([NOON - 3 * day], NOON) == [NOON - 3 * day]
    assert retrain_rules.relevant_starts([NOON + 5, NOON - 3 * day], NOON) == [NOON]
    assert retrain_rules.relevant_starts([], NOON) == []
