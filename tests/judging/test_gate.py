"""The steps that judge: scores, slices, bootstrap and gate; worked examples, scikit-learn, and properties."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.judging import bootstrap, gate, slices
from ratchet.judging import metrics as score
from tests.support.answers import answers, judged, random_case, share
from tests.support.tables import frame_of

# --- score


@pytest.mark.parametrize(("classes", "positive"), [(2, "c1"), (2, "c0"), (2, None), (5, None), (5, "c1")])
def test_scores_are_those_of_scikit_learn(classes: int, positive: str | None) -> None:
    from sklearn import metrics

    labels, truth, probabilities = random_case(classes, classes)
    got = score.score(labels, truth, probabilities, positive)
    likely = [labels[at] for at in probabilities.argmax(axis=1)]
    one = {"average": "binary", "pos_label": positive} if classes == 2 and positive else {"average": "macro"}
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, likely, zero_division=0, **one)
    assert got.accuracy == pytest.approx(metrics.accuracy_score(truth, likely))
    assert (got.precision, got.recall, got.f1) == pytest.approx((precision, recall, f1))
    assert got.macro_f1 == pytest.approx(metrics.f1_score(truth, likely, average="macro"))
    assert got.log_loss == pytest.approx(metrics.log_loss(truth, probabilities, labels=list(labels)))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 40))
def test_scores_agree_on_small_and_lopsided_sets_too(seed: int, classes: int, rows: int) -> None:
    from sklearn import metrics

    labels, truth, probabilities = random_case(seed, classes, rows)
    likely = [labels[at] for at in probabilities.argmax(axis=1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = metrics.f1_score(truth, likely, average="macro", zero_division=0)
    assert score.score(labels, truth, probabilities).macro_f1 == pytest.approx(expected)


def test_a_worked_example_of_every_score() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    got = score.score(("a", "b"), ["a", "b", "b", "b"], probabilities, positive="b")
    assert got.accuracy == 0.75
    assert (got.precision, got.recall) == (1.0, pytest.approx(2 / 3))
    assert got.log_loss == pytest.approx(-np.log([0.9, 0.2, 0.6, 0.7]).mean())
    # Each row is in a bin of its own: gaps 0.1, 0.8, 0.4 and 0.3.
    assert got.ece == pytest.approx((0.1 + 0.8 + 0.4 + 0.3) / 4)
    assert got.as_metrics("holdout")["rows_holdout"] == 4


@pytest.mark.parametrize(
    ("truth", "probabilities", "rule"),
    [
        (["a", "z"], np.full((2, 2), 0.5), "true label must be one the model knows"),
        (["a"], np.full((2, 2), 0.5), "a row for each true label"),
        (["a", "b"], np.full((2, 2), np.nan), "must be numbers"),
    ],
)
def test_what_cannot_be_scored_is_refused(truth: list[str], probabilities: np.ndarray, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        score.score(("a", "b"), truth, probabilities)


def test_a_calibrated_model_has_little_calibration_error() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1.0, 20_000)
    probabilities = np.stack([sure, 1 - sure], axis=1)
    truth = np.where(rng.random(20_000) < sure, "a", "b").tolist()
    assert score.score(("a", "b"), truth, probabilities).ece < 0.02


# --- slices


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


# --- bootstrap and gate


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_an_interval_holds_the_figure_that_it_is_of(seed: int, classes: int) -> None:
    labels, truth, probabilities = random_case(seed, classes)
    true = score.indices(labels, truth)
    chosen = 1 if classes == 2 else None
    found = bootstrap.intervals(true, probabilities, np.arange(300), positive=chosen, resamples=300, seed=seed)
    scores = score.score(labels, truth, probabilities, "c1" if classes == 2 else None)
    assert set(found) == {"accuracy", "log_loss", "precision", "recall", "f1", "macro_f1"}
    for name, (low, high) in found.items():
        assert low <= getattr(scores, name) <= high, name


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(0), 0
    for trial in range(200):
        true = rng.integers(0, 2, 400)
        answered = answers(true, rng.random(400) < 0.8)
        groups = np.arange(400)
        low, high = bootstrap.intervals(true, answered, groups, positive=None, resamples=300, seed=trial)["accuracy"]
        held += low <= 0.8 <= high
    assert 178 <= held <= 199  # 95% of 200, give or take 3.3 standard deviations, and a little low as percentiles are


def test_rows_of_one_group_make_an_interval_wider_and_one_group_gives_none() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), 10)
    true = rng.integers(0, 2, 400)
    answered = answers(true, np.repeat(rng.random(40) < 0.7, 10))  # a group is answered wholly right or wholly wrong
    spans = [
        np.ptp(bootstrap.intervals(true, answered, by, positive=None, resamples=500, seed=0)["accuracy"])
        for by in (groups, np.arange(400))
    ]
    assert spans[0] > 2 * spans[1]
    assert bootstrap.intervals(true, answered, np.zeros(400, int), positive=None, resamples=10, seed=0) == {}


def test_the_first_good_model_is_promoted() -> None:
    done = judged(share(400, 0.8), None)
    assert (done.promote, done.verdict) == (True, "Promoted")
    assert done.reason == (
        "The first model to pass: the challenger's accuracy 80.0% beats 50.0%, "
        "that of always giving the most frequent class."
    )


def test_a_model_below_the_floor_is_refused_with_or_without_a_champion() -> None:
    alone, beside = judged(share(400, 0.55), None), judged(share(400, 0.55), share(400, 0.8))
    assert (alone.verdict, beside.verdict) == ("Refused", "Refused")
    assert alone.reason == "The challenger's accuracy 55.0% does not reach the floor 60.0%."
    assert beside.reason.endswith(", so v3 stays.")


def test_a_model_no_better_than_the_most_frequent_class_is_refused() -> None:
    done = judged(share(400, 0.5), None, rules=gate.Rules(floor=0.2))
    assert done.verdict == "Refused"
    assert "does not beat 50.0%, that of always giving the most frequent class" in done.reason


def test_a_clearly_better_challenger_is_promoted_and_says_by_how_much() -> None:
    done = judged(np.arange(1000) % 10 < 8, np.arange(1000) % 10 < 7)
    assert done.promote
    assert done.difference == pytest.approx(0.1)
    assert done.interval is not None
    assert done.interval[0] < 0.1 < done.interval[1]
    assert done.reason.startswith(
        "The challenger is right on 80.0% of 1,000 holdout rows, v3 on 70.0%: 10.0 points more (80% interval of "
    )
    assert done.reason.endswith("so it replaces v3.")


def test_a_margin_asks_for_more() -> None:
    right, champion = np.arange(1000) % 10 < 8, np.arange(1000) % 10 < 7
    done = judged(right, champion, rules=gate.Rules(floor=0.6, margin=0.1))
    assert done.verdict == "Kept champion"
    assert "and more than 10.0 points is asked" in done.reason


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "log_loss"])
def test_the_same_answers_never_replace_the_champion(metric: str) -> None:
    right = share(300, 0.8)
    done = judged(right, right.copy(), rules=gate.Rules(metric, floor=0.69 if metric == "log_loss" else 0.6))
    assert (done.promote, done.verdict, done.difference) == (False, "Kept champion", 0.0)
    assert done.reason == "The challenger answers all 300 holdout rows as v3 does, so v3 stays."


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "log_loss"])
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_swapping_the_two_turns_the_figures_round(metric: str, seed: int) -> None:
    """Never may each replace the other, or two models could swap for ever."""
    rng = np.random.default_rng(seed)
    one, two = (rng.random(200) < right for right in (0.8, 0.8))
    groups = [f"g{at % 40}" for at in range(200)]
    rules = gate.Rules(metric, floor=0.9 if metric == "log_loss" else 0.5)
    there, back = judged(one, two, groups, rules), judged(two, one, groups, rules)
    assert not (there.promote and back.promote)
    assert there.difference is not None
    assert back.difference is not None
    assert there.difference == pytest.approx(-back.difference)
    assert there.interval == pytest.approx(tuple(-end for end in reversed(back.interval or ())))


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
    done = judged(share(300, 0.9), share(300, 0.7), ["only"] * 300)
    assert done.verdict == "Kept champion"
    assert "of one group" in done.reason


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "log_loss"])
def test_the_bootstrap_computes_the_metric_itself(metric: str) -> None:
    """A resample of one group is that group, so both ways to the metric must meet."""
    labels, truth, first = random_case(3, 3, 90)
    second = random_case(4, 3, 90)[2]
    true = score.indices(labels, truth)
    one_group = np.zeros(90, dtype=np.int64)
    by = score.METRICS[metric]
    one, two = bootstrap.pairs(by, true, first, second, one_group, positive=None, resamples=3, seed=0)
    figures = [getattr(score.score(labels, truth, probabilities), metric) for probabilities in (first, second)]
    expected = figures[1] - figures[0] if metric == "log_loss" else figures[0] - figures[1]
    assert one - two == pytest.approx([expected] * 3)


def test_an_unknown_metric_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="Received: 'auc'"):
        gate.Rules(metric="auc")


def test_the_bootstrap_interval_holds_what_it_promises() -> None:
    """Equal models: the lower end is above zero in about one of ten draws of the world, not more."""
    rng = np.random.default_rng(0)
    wins = [judged(rng.random(400) < 0.8, rng.random(400) < 0.8).promote for _ in range(200)]
    assert 0.03 < np.mean(wins) < 0.18
