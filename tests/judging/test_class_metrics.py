"""The figures of a model: worked examples, and those of scikit-learn on whatever comes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.judging import class_metrics
from tests.support.answers import random_case


@pytest.mark.parametrize(("classes", "positive"), [(2, 1), (2, 0), (2, None), (5, None)])
def test_scores_are_those_of_scikit_learn(classes: int, positive: int | None) -> None:
    from sklearn import metrics

    truth, probabilities = random_case(classes, classes)
    got = class_metrics.score(truth, probabilities, classes, positive)
    likely = probabilities.argmax(axis=1)
    one = {"average": "macro"} if positive is None else {"average": "binary", "pos_label": positive}
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, likely, zero_division=0, **one)
    assert got.accuracy == pytest.approx(metrics.accuracy_score(truth, likely))
    assert (got.precision, got.recall, got.f1) == pytest.approx((precision, recall, f1))
    assert got.macro_f1 == pytest.approx(metrics.f1_score(truth, likely, average="macro"))
    assert got.log_loss == pytest.approx(metrics.log_loss(truth, probabilities, labels=range(classes)))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 40))
def test_scores_agree_on_small_and_lopsided_sets_too(seed: int, classes: int, rows: int) -> None:
    from sklearn import metrics

    truth, probabilities = random_case(seed, classes, rows)
    likely = probabilities.argmax(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = metrics.f1_score(truth, likely, average="macro", zero_division=0)
    assert class_metrics.score(truth, probabilities, classes).macro_f1 == pytest.approx(expected)


def test_a_worked_example_of_every_score() -> None:
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    got = class_metrics.score(np.array([0, 1, 1, 1]), probabilities, 2, positive=1)
    assert got.accuracy == 0.75
    assert (got.precision, got.recall) == (1.0, pytest.approx(2 / 3))
    assert got.log_loss == pytest.approx(-np.log([0.9, 0.2, 0.6, 0.7]).mean())
    # Each row is in a bin of its own: gaps 0.1, 0.8, 0.4 and 0.3.
    assert got.ece == pytest.approx((0.1 + 0.8 + 0.4 + 0.3) / 4)
    assert got.as_metrics("holdout")["rows_holdout"] == 4


@pytest.mark.parametrize("name", ["accuracy", "f1", "macro_f1", "log_loss"])
@pytest.mark.parametrize(("classes", "positive"), [(2, 1), (2, 0), (2, None), (7, None)])
def test_a_metric_says_what_the_scores_say(name: str, classes: int, positive: int | None) -> None:
    truth, probabilities = random_case(classes, classes)
    metric = class_metrics.F1(positive) if name == "f1" else class_metrics.METRICS[name]
    scores = class_metrics.score(truth, probabilities, classes, positive)
    assert metric.value(truth, probabilities) == getattr(scores, name)
    sums = metric.sums(truth, probabilities, np.zeros(len(truth), np.int64))
    assert metric.signed(metric.gain(sums))[0] == pytest.approx(getattr(scores, name))
    assert metric.best(scores) == pytest.approx(metric.gain(sums)[0])


@pytest.mark.parametrize(
    ("labels", "positive", "index"),
    [(("a", "b"), "b", 1), (("a", "b"), None, None), (("a", "b"), "c", None), (("a", "b", "c"), "b", None)],
)
def test_a_class_is_positive_where_there_are_two_and_it_is_named(
    labels: tuple[str, ...], positive: str | None, index: int | None
) -> None:
    assert class_metrics.positive_index(labels, positive) == index


@pytest.mark.parametrize(
    ("truth", "probabilities", "rule"),
    [
        ([0], np.full((2, 2), 0.5), "a row for each true label"),
        ([0, 1], np.full((2, 2), np.nan), "must be numbers"),
    ],
)
def test_invalid_probabilities_are_refused(truth: list[int], probabilities: np.ndarray, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        class_metrics.score(np.array(truth), probabilities, 2)


def test_an_unknown_label_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"true label must be one the model knows: a, b\. Received also: z\."):
        class_metrics.indices(("a", "b"), ["a", "z"])


def test_a_calibrated_model_has_little_calibration_error() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1.0, 20_000)
    probabilities = np.stack([sure, 1 - sure], axis=1)
    truth = np.where(rng.random(20_000) < sure, 0, 1)
    assert class_metrics.score(truth, probabilities, 2).ece < 0.02
