"""The figures of a model: worked examples, and those of scikit-learn on whatever comes."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.judging import metrics as score
from tests.support.answers import random_case


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
def test_invalid_probabilities_are_refused(truth: list[str], probabilities: np.ndarray, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        score.score(("a", "b"), truth, probabilities)


def test_a_calibrated_model_has_little_calibration_error() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1.0, 20_000)
    probabilities = np.stack([sure, 1 - sure], axis=1)
    truth = np.where(rng.random(20_000) < sure, "a", "b").tolist()
    assert score.score(("a", "b"), truth, probabilities).ece < 0.02
