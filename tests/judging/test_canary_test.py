"""The trial's evidence: what a test that may be looked at after every row has to keep to."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.judging import canary_test

counts = st.integers(0, 400)
outcomes = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60)


@pytest.mark.parametrize("rows", range(0, 41, 4))
@pytest.mark.parametrize("chance", [0.5, 0.4, 0.1])
def test_the_mean_e_value_is_one_for_equal_models_and_less_for_worse_ones(rows: int, chance: float) -> None:
    """Exactly, over every number of wins: what makes it an e-value."""
    mean = sum(
        comb(rows, wins) * chance**wins * (1 - chance) ** (rows - wins) * canary_test.evidence(wins, rows - wins)
        for wins in range(rows + 1)
    )
    assert mean == pytest.approx(1, abs=1e-9) if chance == 0.5 else mean <= 1


@given(counts, counts)
def test_the_e_process_is_a_martingale(more: int, fewer: int) -> None:
    """So it may be looked at after every row, and one may stop as one likes: a martingale, while both are equal."""
    after = (canary_test.evidence(more + 1, fewer) + canary_test.evidence(more, fewer + 1)) / 2
    assert after == pytest.approx(canary_test.evidence(more, fewer), rel=1e-6)


@given(counts, counts)
def test_a_win_more_is_never_less_evidence_and_a_loss_more_never_more(more: int, fewer: int) -> None:
    slack = 1 + 1e-9
    assert canary_test.evidence(more + 1, fewer) * slack >= canary_test.evidence(more, fewer)
    assert canary_test.evidence(more, fewer + 1) <= canary_test.evidence(more, fewer) * slack


@given(counts, counts)
def test_both_sides_are_judged_alike(wins: int, losses: int) -> None:
    verdict, mirrored = canary_test.judge(1000, wins, losses), canary_test.judge(1000, losses, wins)
    assert (verdict.better, verdict.worse) == (mirrored.worse, mirrored.better)
    assert mirrored.word == {"better": "worse", "worse": "better", "open": "open"}[verdict.word]
    assert not (verdict.better >= 20 and verdict.worse >= 20)


@pytest.mark.parametrize("rows", [100])
def test_an_equal_challenger_is_sent_back_at_any_time_in_one_trial_of_twenty_at_most(rows: int) -> None:
    """Exactly: every path of wins and losses, with those that were stopped taken out as they are."""
    open_paths, sent_back = {0: 1.0}, 0.0
    for labelled in range(1, rows + 1):
        after: dict[int, float] = {}
        for wins, share in open_paths.items():
            for more in (0, 1):
                after[wins + more] = after.get(wins + more, 0.0) + share / 2
        stopped = {wins for wins in after if canary_test.judge(labelled, wins, labelled - wins).word == "worse"}
        sent_back += sum(after.pop(wins) for wins in stopped)
        open_paths = after
    assert 0 < sent_back <= 0.05


@given(outcomes)
def test_only_texts_on_which_the_two_differ_count(pairs: list[tuple[bool, bool]]) -> None:
    champion, challenger = [each for each, _ in pairs], [each for _, each in pairs]
    whole = canary_test.paired(champion, challenger)
    telling = [pair for pair in pairs if pair[0] != pair[1]]
    alone = canary_test.paired([each for each, _ in telling], [each for _, each in telling])
    assert (whole.wins, whole.losses, whole.worse, whole.better) == (
        alone.wins,
        alone.losses,
        alone.worse,
        alone.better,
    )
    assert whole.labelled == len(pairs)
    assert canary_test.paired([], []).word == "open"


@given(st.lists(st.booleans(), max_size=40), st.lists(st.booleans(), max_size=40))
def test_split_traffic_counts_pairs_and_the_rest_waits(champion: list[bool], challenger: list[bool]) -> None:
    verdict = canary_test.split(champion, challenger)
    assert verdict.labelled == min(len(champion), len(challenger))
