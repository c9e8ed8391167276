"""Intervals by drawing the holdout anew: they hold the figure, and the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.judging import bootstrap, class_metrics
from tests.support.answers import answers, random_case

ACCURACY = class_metrics.METRICS["accuracy"]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(2, 4))
def test_an_interval_holds_the_figure_that_it_is_of(seed: int, classes: int) -> None:
    truth, probabilities = random_case(seed, classes)
    positive = 1 if classes == 2 else None
    metrics = class_metrics.intervals(positive)
    intervals = bootstrap.intervals(metrics, truth, probabilities, np.arange(300), resamples=300, seed=seed)
    scores = class_metrics.score(truth, probabilities, classes, positive)
    assert set(intervals) == {"accuracy", "log_loss", "precision", "recall", "f1", "macro_f1"}
    for name, (low, high) in intervals.items():
        assert low <= getattr(scores, name) <= high, name


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng, covered = np.random.default_rng(0), 0
    for trial in range(200):
        true = rng.integers(0, 2, 400)
        probabilities = answers(true, rng.random(400) < 0.8)
        groups = np.arange(400)
        low, high = bootstrap.intervals([ACCURACY], true, probabilities, groups, resamples=300, seed=trial)["accuracy"]
        covered += low <= 0.8 <= high
    assert (
        178 <= covered <= 199
    )  # 95% of 200, give or take 3.3 standard deviations, and a little low as percentiles are


def test_rows_of_one_group_make_an_interval_wider_and_one_group_gives_none() -> None:
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), 10)
    true = rng.integers(0, 2, 400)
    probabilities = answers(
        true, np.repeat(rng.random(40) < 0.7, 10)
    )  # a group is answered wholly right or wholly wrong
    spans = [
        np.ptp(bootstrap.intervals([ACCURACY], true, probabilities, by, resamples=500, seed=0)["accuracy"])
        for by in (groups, np.arange(400))
    ]
    assert spans[0] > 2 * spans[1]
    assert bootstrap.intervals([ACCURACY], true, probabilities, np.zeros(400, int), resamples=10, seed=0) == {}


@pytest.mark.parametrize("metric", ["accuracy", "f1", "macro_f1", "log_loss"])
def test_the_bootstrap_computes_the_metric_itself(metric: str) -> None:
    """A resample of one group is that group, so both ways to the metric must meet."""
    truth, first = random_case(3, 3, 90)
    second = random_case(4, 3, 90)[1]
    one_group = np.zeros(90, dtype=np.int64)
    decider = class_metrics.METRICS[metric]
    first_gains, second_gains = bootstrap.paired_gains(decider, truth, first, second, one_group, resamples=3, seed=0)
    figures = [getattr(class_metrics.score(truth, probabilities, 3), metric) for probabilities in (first, second)]
    expected = figures[1] - figures[0] if metric == "log_loss" else figures[0] - figures[1]
    assert first_gains - second_gains == pytest.approx([expected] * 3)


def test_figures_of_one_family_are_drawn_once_and_apart_give_the_same_intervals() -> None:
    truth, probabilities = random_case(5, 4)
    metrics = class_metrics.intervals(None)
    together, *apart = (
        bootstrap.intervals(asked, truth, probabilities, np.arange(300), resamples=200, seed=3)
        for asked in (metrics, *([metric] for metric in metrics))
    )
    for metric, alone in zip(metrics, apart, strict=True):
        assert alone == {metric.name: pytest.approx(together[metric.name], rel=1e-12)}
    assert len({metric.family for metric in metrics}) == len(metrics) - 2


def test_figures_with_sums_for_each_output_get_no_interval_where_there_are_many() -> None:
    truth, probabilities = random_case(5, bootstrap.MOST_OUTPUTS + 1)
    metrics = class_metrics.intervals(None)
    intervals = bootstrap.intervals(metrics, truth, probabilities, np.arange(300), resamples=20, seed=0)
    assert list(intervals) == ["accuracy", "log_loss"]
