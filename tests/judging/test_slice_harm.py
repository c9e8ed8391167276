"""A slice may keep out a challenger that is better on the whole: never by noise, and whatever the metric."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from ratchet.judging import gate
from ratchet.judging import slices as slice_harm
from ratchet.judging.slices import Masks
from tests.support.answers import answers, metric_of

ACCURACY = metric_of("accuracy")
FAIR = gate.Rules(ACCURACY, floor=0.6)


def parts(rows: int, cut: int, seed: int = 0) -> Masks:
    """Three slices that make up the whole, and as many others as there are shops: of 300 rows and fewer."""
    thirds = np.arange(rows) % 3
    shops = np.searchsorted(np.cumsum([300, 100, 40, 30]), np.arange(rows), side="right")
    names = {f"shop = {'abcd'[at]}": shops == at for at in range(4)}
    return {f"third {at}": thirds == at for at in range(3)} | {"the first": np.arange(rows) < cut} | names


def decided(
    right: np.ndarray,
    champion: np.ndarray,
    slices: Masks,
    rules: gate.Rules = FAIR,
    groups: list[str] | None = None,
) -> gate.Decision:
    truth = np.arange(len(right)) % 2
    return gate.decide(
        gate.Candidate("challenger", answers(truth, right)),
        gate.Candidate("v3", answers(truth, champion)),
        gate.Candidate("majority", np.tile([0.51, 0.49], (len(right), 1))),
        gate.Holdout(truth, groups, slices),
        rules,
    )


def better_but_for_a_shop(rows: int = 2400) -> tuple[np.ndarray, np.ndarray]:
    """A challenger that loses 10 points on the 300 rows of shop a, and gains 5 on all others: 3 on the whole."""
    at = np.arange(rows)
    shop = at < 300
    champion = np.where(shop, at % 10 < 8, at % 20 < 15)
    challenger = np.where(shop, (at % 10 < 8) & ~np.isin(at % 60, range(1, 8)) | (at % 60 == 59), at % 20 < 16)
    return challenger, champion


def test_a_challenger_that_wins_but_loses_ten_points_on_300_rows_stays_out_and_it_is_said() -> None:
    challenger, champion = better_but_for_a_shop()
    assert champion[:300].mean() - challenger[:300].mean() == pytest.approx(0.1)
    alone = decided(challenger, champion, {})
    assert alone.promote
    decision = decided(challenger, champion, parts(2400, 1200))
    assert (decision.promote, decision.verdict) == (False, "Kept champion")
    assert "on the whole" not in decision.reason
    assert (
        ", but the challenger is right on 70.0% of the 300 rows of the slice shop = a, v3 on 80.0%: 10.0 points fewer "
        "(at least 5." in decision.reason
    )
    assert decision.reason.endswith(" points with 95% confidence over all 8 slices), so v3 stays.")
    assert [part.name for part in decision.slices if part.harmed] == ["shop = a"]
    failed = [check for check in decision.checks if not check.success]
    assert [check.name for check in failed] == ["No slice harmed"]
    assert (decision.difference, decision.error, decision.pull) == (alone.difference, alone.error, alone.pull)


def test_a_stored_decision_is_read_back_unchanged() -> None:
    challenger, champion = better_but_for_a_shop()
    decision = decided(challenger, champion, parts(2400, 1200))
    assert gate.decision_from_dict(asdict(decision)) == decision
    old = {name: value for name, value in asdict(decision).items() if name not in ("slices", "broken")}
    assert gate.decision_from_dict(old).reason == decision.reason


def test_a_winner_on_every_slice_goes_live_and_each_slice_has_its_interval() -> None:
    at = np.arange(2400)
    decision = decided(at % 20 < 17, at % 20 < 15, parts(2400, 1200))
    assert decision.promote
    assert [check.name for check in decision.checks][-1] == "No slice harmed"
    assert decision.checks[-1].detail == (
        "On none of the 8 slices is the challenger surely more than half a point worse"
    )
    for part in decision.slices:
        assert part.interval[0] <= part.ahead <= part.interval[1]
        assert part.challenger - part.champion == pytest.approx(part.ahead)


@pytest.mark.parametrize("kind", ["rows", "groups"])
def test_at_most_5_of_100_challengers_that_are_equal_on_every_slice_are_found_worse_on_one(kind: str) -> None:
    """1,200 rows, 8 slices that share rows, of 30 to 600; both models are right on 80%, each on other rows."""
    rng, slices, harmed = np.random.default_rng(7), parts(1200, 600), 0
    truth = np.arange(1200) % 2
    groups = np.arange(1200) if kind == "rows" else np.arange(1200) // 4
    for trial in range(1000):
        luck = [rng.random(groups.max() + 1)[groups] < 0.8 for _ in range(2)]
        one, two = (answers(truth, right) for right in luck)
        slices_compared = slice_harm.compare_slices(
            ACCURACY,
            truth,
            one,
            two,
            groups,
            slices,
            dict.fromkeys(slices, (0.0, 0.0)),
            seed=trial,
        )
        harmed += any(one.interval[1] < 0 for one in slices_compared)  # even without the half point that is let pass
    assert 20 < harmed <= 50 + 3 * 6.9  # 5 of 100, and three standard deviations of 1,000 trials


@pytest.mark.parametrize("lost", [1, 2, 3, 4])
def test_a_few_lost_rows_harm_no_slice(lost: int) -> None:
    """All that differ in a slice of 30 rows are lost: with four of them a coin does as badly once in sixteen."""
    at = np.arange(2400)
    champion = at % 20 < 15
    challenger = at % 20 < 17
    challenger[:30] = champion[:30]
    challenger[np.flatnonzero(champion[:30])[:lost]] = False
    decision = decided(challenger, champion, {"few": at < 30} | parts(2400, 1200))
    assert decision.promote
    assert not any(part.harmed for part in decision.slices)


def test_more_slices_ask_for_more() -> None:
    """The limit of one slice is that of one test, 1.64; of a hundred independent ones near that of Bonferroni, 3.3."""
    rng = np.random.default_rng(3)
    limits = [slice_harm.max_t_limit(rng.normal(size=(slices, 1001))) for slices in (1, 8, 100)]
    assert limits == pytest.approx([1.645, 2.49, 3.28], abs=0.15)


def test_slices_of_the_same_rows_count_once() -> None:
    challenger, champion = better_but_for_a_shop()
    shop = np.arange(2400) < 300
    single, many = (
        decided(challenger, champion, {f"slice {number}": shop for number in range(count)}).slices[0]
        for count in (1, 12)
    )
    assert single.interval == pytest.approx(many.interval)


def test_half_a_point_is_let_pass_however_many_rows_say_so() -> None:
    """0.4 points on 100,000 rows is beyond doubt, and not what the gate is there to prevent."""
    at = np.arange(100_000)
    champion = at % 250 < 200
    challenger = champion.copy()
    challenger[(at % 250 == 0) & (at < 50_000)] = False  # 0.4 points in the first half
    challenger[(at % 250 > 245) & (at >= 50_000)] = True
    first = at < 50_000
    decision = decided(challenger, champion, {"first": first, "second": ~first})
    assert decision.slices[0].ahead == pytest.approx(-0.004)
    assert decision.slices[0].interval[1] < 0
    assert decision.promote


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "log_loss"])
def test_any_metric_sees_the_harm_with_the_sign_turned_to_better(metric: str) -> None:
    challenger, champion = better_but_for_a_shop()
    rules = gate.Rules(metric_of(metric, 1), floor=0.9 if metric == "log_loss" else 0.5)
    assert decided(challenger, champion, {}, rules).promote
    decision = decided(challenger, champion, parts(2400, 1200), rules)
    assert not decision.promote
    assert [part.name for part in decision.slices if part.harmed] == ["shop = a"]
    sign = -1 if metric == "log_loss" else 1
    for part in decision.slices:
        assert sign * (part.challenger - part.champion) == pytest.approx(part.ahead)


def test_rows_of_one_group_count_as_one() -> None:
    """300 rows of five customers, one of whom lost: the same ten points are luck."""
    challenger, champion = better_but_for_a_shop()
    challenger = np.where(np.arange(2400) < 300, champion, challenger)
    challenger[np.flatnonzero(champion[:60])[:30]] = False
    customers = [f"customer {at // 60 if at < 300 else at}" for at in range(2400)]
    slices = {"shop = a": np.arange(2400) < 300}
    assert not decided(challenger, champion, slices).promote
    assert decided(challenger, champion, slices, groups=customers).promote
