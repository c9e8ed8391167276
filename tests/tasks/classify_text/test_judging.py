"""How probabilities of classes are judged: the baseline, the parts of texts, the findings, the limits."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ratchet.judging.class_metrics import METRICS
from ratchet.judging.pictures import Grid, Lines
from ratchet.tasks.classify_text import judging
from ratchet.tasks.classify_text.columns import Columns

LABELS = ("bad", "good")


def answered(counts: list[list[int]], confidence: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """Truth and probabilities of a model that made these mistakes, as sure as told of every answer."""
    table = np.array(counts)
    truth, taken = (np.repeat(place.ravel(), table.ravel()) for place in np.indices(table.shape))
    outputs = np.full((len(truth), len(table)), (1 - confidence) / (len(table) - 1))
    outputs[np.arange(len(truth)), taken] = confidence
    return truth, outputs


def test_texts_are_parted_by_length_and_script_and_the_names_have_the_cut_offs() -> None:
    masks = judging.slices(pl.Series([*("x" * (1 + at % 90) for at in range(270)), *["漢字"] * 30]))
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {
        "up to 24 characters": 102,
        "25 to 57 characters": 99,
        "over 57 characters": 99,
        "in Chinese characters": 30,
        "in Latin letters": 270,
        "in both scripts": 0,
    }


def test_texts_of_one_script_are_not_parted_by_it_and_no_texts_have_no_parts() -> None:
    assert all("characters" in name for name in judging.slices(pl.Series(["a", "bb", "ccc"])))
    assert judging.slices(pl.Series([], dtype=pl.String)) == {}


def test_a_named_class_of_two_binds_f1_and_its_intervals_and_scores() -> None:
    data = Columns(text="quote", label="verdict", positive="good")
    truth, outputs = answered([[30, 10], [5, 55]])
    scores = judging.score(truth, outputs, LABELS, data)
    assert judging.metric("f1", LABELS, data).value(truth, outputs) == scores.f1 == pytest.approx(110 / 125)
    assert judging.metric("macro_f1", LABELS, data).value(truth, outputs) == scores.macro_f1 != scores.f1
    assert [metric.name for metric in judging.intervals(LABELS, data)] == [
        "accuracy", "log_loss", "precision", "recall", "f1", "macro_f1",
    ]  # fmt: skip
    for metric in judging.intervals(LABELS, data):
        sums = metric.sums(truth, outputs, np.zeros(100, np.int64))
        assert metric.signed(metric.gain(sums))[0] == pytest.approx(getattr(scores, metric.name))


def test_every_metric_is_a_figure_and_every_figure_a_score() -> None:
    truth, outputs = answered([[30, 10], [5, 55]])
    scores = judging.score(truth, outputs, LABELS, Columns(text="quote", label="verdict"))
    assert set(METRICS) <= set(judging.FIGURES)
    assert set(judging.COMPARED) <= set(METRICS)
    assert all(isinstance(getattr(scores, name), float) for name in judging.FIGURES)


def test_the_baseline_gives_the_shares_of_the_training_rows() -> None:
    assert judging.baseline({"good": 3, "bad": 1}, ("bad", "good", "none")).tolist() == [0.25, 0.75, 0.0]


def test_labels_are_sorted_and_the_first_few_are_listed() -> None:
    assert judging.labels(["b", "a", "b"]) == ("a", "b")
    assert judging.listed(("a", "b")) == "`a`, `b`"
    assert judging.listed([str(at) for at in range(10)]).endswith("`7` and 2 more")


@pytest.mark.parametrize(
    ("counts", "confidence", "sentence"),
    [
        ([[8, 2], [2, 8]], 0.8, "about as sure as it should be"),
        ([[8, 2], [2, 8]], 0.95, "surer than it should be. Of its 20 answers above 93%, 80.0% are right."),
        ([[10, 0], [0, 10]], 0.7, "less sure than it could be"),
    ],
)
def test_calibration_is_said_in_words(counts: list[list[int]], confidence: float, sentence: str) -> None:
    _, calibration = judging.findings(*answered(counts, confidence), LABELS, None)
    assert sentence in calibration.sentence


def test_mistakes_are_told_by_their_shares_and_drawn_as_a_grid() -> None:
    mistakes, _ = judging.findings(*answered([[30, 10], [5, 55]]), LABELS, None)
    assert mistakes.sentence == "Errs most often: 25% of `bad` taken for `good`, 8% of `good` taken for `bad`."
    assert isinstance(mistakes.data, Grid)
    assert mistakes.data.counts.tolist() == [[30, 10], [5, 55]]
    none, _ = judging.findings(*answered([[10, 0], [0, 40]]), LABELS, None)
    assert none.sentence == "Errs on no row of the holdout."


def test_the_champion_is_drawn_behind_the_challenger() -> None:
    truth, outputs = answered([[8, 2], [2, 8]])
    champion = answered([[8, 2], [2, 8]], 0.6)[1]
    alone, beside = (judging.findings(truth, outputs, LABELS, other)[1].data for other in (None, champion))
    assert isinstance(alone, Lines)
    assert isinstance(beside, Lines)
    assert list(alone.points) == ["challenger"]
    assert list(beside.points) == ["champion", "challenger"]
    assert beside.points["champion"] == [(pytest.approx(0.6), pytest.approx(0.8))]


def test_a_rare_class_is_a_limit() -> None:
    truth, _ = answered([[10, 0], [0, 40]])
    assert judging.limits(truth, LABELS) == [
        "Fewer than 30 holdout rows, so hardly measured: `bad`.",
        "Every text gets one of the classes, even a text that fits none.",
    ]


def test_a_wrong_answer_costs_one() -> None:
    assert (judging.loss("good", "good"), judging.loss("good", "bad")) == (0.0, 1.0)
