"""Watching, its pure parts: what moved is called by its name, what did not is left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from flows import drift_check
from flows.pages import drift_report
from ratchet import tasks
from ratchet.monitoring import last_check
from ratchet.monitoring.drift import alpha_spending, drift, two_sample
from ratchet.monitoring.drift.accuracy import Accuracy
from ratchet.monitoring.drift.domain_classifier import areas
from ratchet.monitoring.drift.drift import Drift
from ratchet.monitoring.drift.samples import NO_AUDIT, Audited, LiveSample, Reference
from ratchet.monitoring.drift.two_sample import Sample, permutation_p_value
from ratchet.monitoring.last_check import LastCheck
from ratchet.monitoring.log import database, predictions
from ratchet.project.paths import Places
from ratchet.serving.answering.metrics import last_check_gauges
from ratchet.tasks import Task
from ratchet.tasks.values import Answered
from tests.support.films import HOURLY, answered, audited, judged, met, sides
from tests.support.toy_kind import home

CLASSIFY = tasks.get("classify")


def drifted_names(result: Drift) -> set[str]:
    return {shift.what for shift in result.shifts if shift.drifted}


# What moved, and what did not


def test_unchanged_traffic_is_left_alone() -> None:
    """In 8 splits by film; at a level of 5% a look, which is 700 times what an hourly look may spend."""
    results = [
        drift.compare(CLASSIFY, judged(holdout_rows), met(rest), audited(rest), alpha=0.05)
        for holdout_rows, rest in map(sides, range(8))
    ]
    assert sum(result.drifted for result in results) <= 2  # more with a chance of 0.6%, were each at its level
    assert {len(result.shifts) for result in results} == {8}
    assert all(result.verdict == "Steady: the last 1,000 distinct texts look like the holdout." for result in results)


def planted(rest: pl.DataFrame, what: str) -> pl.DataFrame:
    """The rows once something has moved."""
    text = pl.col("text")
    doubled = text + " " + text.reverse()
    return {
        "text length": lambda: rest.with_columns(doubled.alias("text")),
        "predicted label": lambda: rest.with_columns(said=pl.lit("fresh")),
        "confidence": lambda: rest.with_columns(score=0.5 + (pl.col("score") - 0.5) / 2),
        "words": lambda: rest.with_columns(text.str.replace_all(r"\b(the|of|and|is)\b", "xyzzy")),
        "unknown words": lambda: rest.with_columns(text.str.replace_all("e", "eë")),
        "signs and digits": lambda: rest.with_columns(text.str.replace_all("[a-d]", "!")),
        "word length": lambda: rest.with_columns(text.str.replace_all(" (.)", "$1")),
    }[what]()


@pytest.mark.parametrize(
    "what",
    ["text length", "predicted label", "confidence", "words", "unknown words", "signs and digits", "word length"],
)
def test_a_planted_shift_is_called_by_its_name(what: str) -> None:
    holdout_rows, rest = sides(0)
    result = drift.compare(CLASSIFY, judged(holdout_rows), met(planted(rest, what)), alpha=HOURLY)
    assert result.drifted
    assert what in drifted_names(result)
    assert what in result.verdict
    assert result.verdict.startswith("Drifted: ")


def test_a_class_that_grows_is_seen_against_the_first_answers() -> None:
    """By 20 points: against the holdout, whose 50 films differ more than that, it does not show."""
    holdout_rows, rest = sides(0)
    more = rest.with_columns(
        said=pl.Series(np.where(np.random.default_rng(0).random(1_000) < 0.2, "fresh", rest["said"]))
    )
    first = answered(sides(1, 3_000)[1])
    assert drifted_names(
        drift.compare(CLASSIFY, judged(holdout_rows), replace(met(more), first=first), alpha=HOURLY)
    ) == {"predicted label since it went live"}
    assert (
        drifted_names(drift.compare(CLASSIFY, judged(holdout_rows), replace(met(rest), first=first), alpha=HOURLY))
        == set()
    )


def test_labels_that_changed_their_meaning_show_in_the_audit_alone() -> None:
    holdout_rows, rest = sides(0, 400)
    turned = rest.with_columns(label=pl.Series(np.where(np.arange(400) % 3 == 0, "other", rest["label"])))
    result = drift.compare(CLASSIFY, judged(holdout_rows), met(rest), audited(turned), alpha=HOURLY)
    assert drifted_names(result) == {"accuracy"}
    accuracy = result.accuracy
    assert accuracy.measured
    assert accuracy.holdout
    assert accuracy.always
    assert accuracy.missed
    assert accuracy.measured.high < accuracy.holdout.low
    assert accuracy.always.high < accuracy.holdout.low
    assert accuracy.missed > 0.15


@pytest.mark.parametrize("rows", [0, 1, 49])
def test_too_few_texts_give_no_verdict(rows: int) -> None:
    holdout_rows, rest = sides(0)
    result = drift.compare(CLASSIFY, judged(holdout_rows), met(rest.head(rows)), NO_AUDIT)
    assert not result.drifted
    assert result.verdict == f"Too early to tell: {rows} distinct texts were answered, 50 are needed."
    assert result.shifts == ()
    assert result.accuracy.estimated is None


def test_without_texts_the_other_quantities_are_compared() -> None:
    holdout_rows, rest = sides(0)
    result = drift.compare(CLASSIFY, judged(holdout_rows), met(rest, texts=False), alpha=HOURLY)
    assert {each.what for each in result.shifts} == {"text length", "predicted label", "confidence"}
    assert "deploy.log.texts" in result.unread
    assert result.unread in drift_report.as_markdown(drift_report.make_report(CLASSIFY, "p", 1, "linear", 0.0, result))


def test_a_reference_without_true_labels_gives_no_estimate() -> None:
    holdout_rows, rest = sides(0)
    result = drift.compare(
        CLASSIFY, replace(judged(holdout_rows), truth=None, groups=None), met(planted(rest, "confidence")), alpha=HOURLY
    )
    assert "confidence" in drifted_names(result)
    assert result.accuracy.holdout is None
    assert result.accuracy.estimated is None
    assert result.shares == ()


def test_chinese_texts_of_another_kind_are_told_apart() -> None:
    """Sentences of the same signs, whose pairs differ."""
    chance = np.random.default_rng(0)
    words, others = ["很好", "不错", "房间", "服务", "早餐"], ["好很", "错不", "间房", "务服", "餐早"]
    texts = [["".join(chance.choice(some, 12)) for _ in range(400)] for some in (words, words, others)]
    plain = Answered(np.full(400, 24.0), np.full(400, "a"), chance.random(400))
    teach = np.arange(400) % 2 == 0
    reference = Reference(plain, inputs=tuple(texts[0]))
    same, moved = (LiveSample(plain, tuple(some), teach) for some in texts[1:])
    assert drifted_names(drift.compare(CLASSIFY, reference, same, alpha=HOURLY)) == set()
    assert "words" in drifted_names(drift.compare(CLASSIFY, reference, moved, alpha=HOURLY))


def test_a_called_drift_stands_until_its_p_value_is_large() -> None:
    """A move that a look was sure enough to call stands for one that is less sure, until it is no longer there."""
    holdout_rows, rest = sides(0)
    weak = met(rest.with_columns(score=(pl.col("score") - 0.02).clip(0.5)))
    (shift,) = [
        item
        for item in drift.compare(CLASSIFY, judged(holdout_rows), weak, alpha=0.05).shifts
        if item.what == "confidence"
    ]
    assert 1e-9 < shift.p_value < 0.01
    assert not drift.compare(CLASSIFY, judged(holdout_rows), weak, alpha=1e-9).drifted
    assert drift.compare(CLASSIFY, judged(holdout_rows), weak, alpha=1e-9, standing=frozenset({"confidence"})).drifted
    assert not drift.compare(
        CLASSIFY, judged(holdout_rows), met(rest), alpha=1e-9, standing=frozenset({"confidence"})
    ).drifted


# How sure a look must be


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200))
@example([1.0] * 720)
def test_however_often_one_looks_a_month_spends_at_most_five_in_a_hundred(waits: list[float]) -> None:
    hours = np.cumsum(waits)
    looks = [wait for wait, at in zip(waits, hours, strict=True) if at <= 30 * 24]
    assert alpha_spending.allowed(None) + sum(map(alpha_spending.allowed, looks)) <= 0.05 * (1 + 1e-9)


@given(st.floats(allow_nan=False))
def test_a_clock_that_jumps_neither_saves_nor_owes_much(hours: float) -> None:
    assert 0 <= alpha_spending.allowed(hours) <= 0.012


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9), st.floats(1e-6, 0.5))
def test_holm_is_between_bonferroni_and_nothing(p_values: list[float], alpha: float) -> None:
    significant = alpha_spending.holm(p_values, alpha)
    assert all(p <= alpha for p, yes in zip(p_values, significant, strict=True) if yes)
    assert all(yes for p, yes in zip(p_values, significant, strict=True) if p <= alpha / len(p_values))


# The tests themselves


def test_rows_of_a_group_count_for_fewer() -> None:
    """Ten copies of a sample are worth the sample, or less: of few groups little is known."""
    values = np.random.default_rng(0).normal(size=200)
    copies = Sample(np.repeat(values, 10), np.repeat(np.arange(200), 10))
    assert 100 < two_sample.effective(copies) <= 200
    assert two_sample.effective(Sample(copies.values)) == 2_000
    assert two_sample.effective(Sample(copies.values, np.zeros(2_000, np.int64))) <= 2


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(2, 20))
def test_the_permutation_p_value_is_valid(seed: int, bins: int) -> None:
    counts = np.random.default_rng(seed).integers(0, 60, (2, bins))
    p_value = permutation_p_value(counts[0], counts[1], areas)
    assert 0 < p_value <= 1
    if counts.sum(axis=1).min() > 0:
        flipped = permutation_p_value(counts[0][::-1], counts[1][::-1], areas)
        assert p_value + flipped > 0.9  # what is high on one side is low on the other


def test_many_rare_classes_give_no_false_drift() -> None:
    """A thousand classes and 60 texts: chi-squared called four such looks in a hundred as sure as one in 100,000."""
    chance, names = np.random.default_rng(0), np.array([f"c{number:03}" for number in range(1_000)])
    shares = 1 / np.arange(1, 1_001)
    shifts = [
        two_sample.classes("label", drawn[0], None, drawn[1])
        for drawn in ([chance.choice(names, rows, p=shares / shares.sum()) for rows in (2_000, 60)] for _ in range(100))
    ]
    assert sum(shift.p_value < 0.01 for shift in shifts) <= 6  # more with a chance of 1 in 10,000
    assert min(shift.p_value for shift in shifts) > 1e-4


def test_a_rare_class_that_becomes_frequent_is_detected() -> None:
    before, now = np.repeat(["a", "b"], [995, 5]), np.repeat(["a", "b"], [45, 15])
    assert two_sample.classes("label", before, None, now).p_value < HOURLY / 9


# What is kept of a look, and how it is told


def look() -> tuple[Drift, LastCheck]:
    holdout_rows, rest = sides(0)
    result = drift.compare(CLASSIFY, judged(holdout_rows), met(planted(rest, "words")), audited(rest), alpha=HOURLY)
    return result, last_check.summarise("film-reviews", 3, 1_700_000_000.0, None, result)


def test_a_check_is_read_back_unchanged(tmp_path: Path) -> None:
    here, (_, check) = Places(tmp_path, tmp_path, "", 0, 0, 0), look()
    last_check.write(here, check)
    assert last_check.last(here, "film-reviews", 3) == check
    assert last_check.last(here, "film-reviews", 4) is None
    assert last_check.last(here, "another") is None
    for damaged in ("{}", "[]", '{"problem": "film-reviews"}', "{", json.dumps({"called": 1, "x": 2})):
        here.watch.write_text(damaged)
        assert last_check.last(here, "film-reviews") is None


def test_gauges_read_as_prometheus_reads_them() -> None:
    text = generate_latest(last_check_gauges(look()[1])).decode()
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["ratchet_drifted", (("version", "3"),)] == 1
    assert samples["ratchet_watched_timestamp_seconds", (("version", "3"),)] == 1_700_000_000
    assert samples["ratchet_drift", (("version", "3"), ("what", "words"))] > 0.05
    assert 0 < samples["ratchet_calibration_error", (("version", "3"),)] < 0.1
    for name in ("estimated", "measured", "always", "holdout"):
        low, value, high = (
            samples[f"ratchet_accuracy_{name}", (("bound", bound), ("version", "3"))]
            for bound in ("low", "value", "high")
        )
        assert low < value < high


class Page(HTMLParser):
    """What a page holds, and that every element is ended where it must be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_valid_html_without_external_links_or_texts() -> None:
    result, _ = look()
    report = drift_report.make_report(CLASSIFY, "film-reviews", 3, "<b>linear", 1_700_000_000.0, result)
    content = drift_report.as_html(report)
    page = Page()
    page.feed(content)
    page.close()
    assert page.open == []
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert len(page.addresses) == 2
    assert not page.tags & {"script", "link", "iframe", "b"}
    assert "http" not in content.replace("http-equiv", "")
    assert "url(" not in content
    assert f"<h1>{result.verdict}</h1>" in content
    assert not any(text in content for text in sides(0)[1]["text"].head(50))
    assert drift_report.as_markdown(report).splitlines()[0] == result.verdict


# What it was judged on, and what it has met


def test_true_labels_are_added_only_to_a_reference_of_the_same_rows() -> None:
    rows = pl.DataFrame({"text": ["one", "three", "five"], "label": ["a", "b", "a"], "group": ["x", "y", "x"]})
    reference = {"characters": [3, 5], "label": ["a", "a"], "score": [0.9, 0.8]}
    assert drift_check.with_labels_and_groups(reference, rows) == {**reference, "truth": ["a", "b"], "group": [0, 1]}
    assert drift_check.with_labels_and_groups(reference, rows.drop("group")) == {**reference, "truth": ["a", "b"]}
    for other in (rows.reverse(), rows.head(1), rows.with_columns(text=pl.lit("x"))):
        assert drift_check.with_labels_and_groups(reference, other) == reference
    new = {**reference, "truth": ["b", "b"]}
    assert drift_check.with_labels_and_groups(new, rows) == new


def test_training_texts_are_recognised_among_the_answers() -> None:
    train = [pl.DataFrame({"text": ["one", "two words"]}), pl.DataFrame({"text": ["three"]})]
    answers = [
        predictions.Prediction(name, 0.0, "p", 1, "champion", "", "a", 0.9, 3, "", text, None)
        for name, text in (("0", "two   words"), ("1", "four"), ("2", None), ("3", "three"), ("4", "three"))
    ]
    assert drift_check.trained_on(answers, train) == {"0", "3", "4"}
    assert drift_check.trained_on([], train) == frozenset()
    assert drift_check.trained_on(answers, []) == frozenset()


def logged(path: Path, texts: list[str], label: str = "good") -> list[str]:
    names = predictions.identities(len(texts))
    predictions.record(path, "reviews", 1, [(text, label, 0.9) for text in texts], names)
    return names


def test_a_repeated_text_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "predictions.db"
    logged(path, ["first", "second"])
    again = logged(path, ["first"] * 300, "bad")
    answers = predictions.latest(path, "reviews", 1, 10)
    assert [(each.id, each.label) for each in answers] == [(again[-1], "bad"), (answers[1].id, "good")]
    assert predictions.latest(path, "reviews", 2, 10) == []


@pytest.mark.parametrize("most", [1, 7, 100])
def test_a_flood_of_one_text_hides_no_other_and_costs_no_more(tmp_path: Path, most: int) -> None:
    path = tmp_path / "predictions.db"
    logged(path, [f"text {number}" for number in range(100)])
    logged(path, ["flood"] * 5 * most)
    answers = predictions.latest(path, "reviews", 1, most)
    assert len({each.digest for each in answers}) == len(answers) == most
    assert answers[0].digest == predictions.digest("flood")


def test_the_first_answers_do_not_overlap_the_last(tmp_path: Path) -> None:
    path = tmp_path / "predictions.db"
    names = logged(path, [f"text {number}" for number in range(30)])
    last = predictions.latest(path, "reviews", 1, 10)
    assert last[-1].id == names[20]
    assert len(predictions.earliest(path, "reviews", 1, last[-1].id, 100)) == 20
    assert len(predictions.earliest(path, "reviews", 1, last[-1].id, 5)) == 5


def test_only_audited_labels_measure(tmp_path: Path) -> None:
    path = tmp_path / "predictions.db"
    names = logged(path, ["one", "two", "three", "four"])
    sources = ["audit", "user", "chosen", "audit"]
    with database.connected(path) as connection:
        connection.executemany(
            "insert into feedback (prediction, label, source, at) values (?, ?, ?, ?)",
            [(name, "bad", source, at) for at, (name, source) in enumerate(zip(names, sources, strict=True))],
        )
        connection.execute(
            "insert into feedback (prediction, label, source, at) values (?, 'good', 'audit', 9)", (names[0],)
        )
    answers = predictions.audited(path, "reviews", 1, 10)
    assert [(each.id, each.said) for each in answers] == [(names[0], "good"), (names[3], "bad")]
    assert predictions.audited(path, "reviews", 2, 10) == []


# A kind whose inputs are no texts, and whose answers are neither right nor wrong


def numbers(rows: int, seed: int, answers: float = 0.0, sizes: float = 0.0) -> tuple[Answered, tuple[str, ...]]:
    """Answers and inputs of a kind of numbers, moved by so much."""
    chance = np.random.default_rng(seed)
    said = np.array([f"{number:.6g}" for number in chance.normal(answers, size=rows)])
    inputs = tuple(home(size, rooms=int(chance.integers(1, 6))) for size in chance.normal(sizes, size=rows))
    return Answered(np.full(rows, 20.0), said, np.zeros(rows)), inputs


def compared(task: Task, answers: float = 0.0, sizes: float = 0.0, kept: bool = True) -> Drift:
    held, now = numbers(400, 0), numbers(400, 1, answers, sizes)
    reference = Reference(held[0], held[0].answers, None, held[1])
    return drift.compare(task, reference, LiveSample(now[0], now[1] if kept else (), first=held[0]), alpha=HOURLY)


def test_a_kind_names_what_is_compared(toy: Task) -> None:
    assert {shift.what for shift in compared(toy).shifts} == {"number", "rooms", "size"}
    assert compared(toy).verdict == "Steady: the last 400 distinct rows look like the holdout."
    assert compared(toy, answers=2.0).moved == "number"
    assert compared(toy, sizes=2.0).moved == "size"
    early = drift.compare(toy, Reference(numbers(9, 0)[0]), LiveSample(numbers(9, 1)[0]))
    assert early.verdict == "Too early to tell: 9 distinct rows were answered, 50 are needed."


def test_answers_that_are_never_right_have_no_accuracy(toy: Task) -> None:
    result = compared(toy, sizes=2.0)
    assert result.accuracy == Accuracy()
    assert result.shares == ()
    report = drift_report.make_report(toy, "homes", 1, "mean", 0.0, result)
    assert [section.title for section in report.sections] == ["What moved"]
    assert "text" not in drift_report.as_markdown(report).replace("deploy.log.texts", "").partition("![")[0]
    assert report.next.startswith("Next: label some of the newest rows")
    deaf = drift_report.make_report(replace(toy, abilities=frozenset()), "homes", 1, "mean", 0.0, result)
    assert "make data ADD=file" in deaf.next
    assert "label" not in deaf.next


def test_inputs_that_the_log_does_not_keep_are_not_compared(toy: Task) -> None:
    result = compared(toy, sizes=2.0, kept=False)
    assert [shift.what for shift in result.shifts] == ["number"]
    words = "The log keeps the rows of 0 of them (deploy.log.texts), 50 are needed to compare them."
    assert result.unread == words


def test_an_answer_is_right_as_the_kind_says(toy: Task) -> None:
    """However this one's number is written; the kind states no confidence, so nothing is estimated."""
    held, now = numbers(400, 0)[0], numbers(400, 1)[0]
    same = np.array([f"{float(answer):.9e}" for answer in now.answers])
    assert not (same == now.answers).any()
    result = drift.compare(
        replace(toy, abilities=toy.abilities | {"right_or_wrong"}),
        Reference(held, held.answers),
        LiveSample(now),
        Audited(now, same),
        alpha=HOURLY,
    )
    assert result.accuracy.measured
    assert result.accuracy.measured.value == 1
    assert result.accuracy.holdout
    assert result.accuracy.estimated is result.accuracy.honesty is result.accuracy.missed is None
    assert "accuracy" in {shift.what for shift in result.shifts}
