"""What is to be labelled next: how texts are chosen, with which chance, and which of the log reach the queue."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.monitoring import label_queue
from ratchet.monitoring.labels import audit_sample
from ratchet.monitoring.labels.active_learning import choose
from ratchet.monitoring.log.predictions import Prediction, digest
from ratchet.problem.data_pin import SplitSpec

SPEC = SplitSpec(by="group", salt="films")
TEXTS = st.lists(st.text(max_size=12) | st.sampled_from(["a b c d e", "A  b, c d e!", "", "漢字 漢字"]), max_size=25)


def varied(count: int) -> list[str]:
    """Texts of many subjects."""
    rng = np.random.default_rng(0)
    words = [f"word{number}" for number in range(300)]
    return [" ".join(rng.choice(words, 8)) for _ in range(count)]


@given(TEXTS, st.data())
def test_choices_are_distinct_and_each_has_a_chance_whatever_the_texts(texts: list[str], data: st.DataObject) -> None:
    doubts = data.draw(st.lists(st.floats(0, 1), min_size=len(texts), max_size=len(texts)))
    most, seed = data.draw(st.integers(1, 30)), data.draw(st.integers(0, 9))
    choices = choose(texts, doubts, most, seed)
    assert choices == choose(texts, doubts, most, seed)
    assert len({choice.index for choice in choices}) == len(choices) <= most
    assert all(0 < choice.chance <= 1 + 1e-9 for choice in choices)
    spelled = Counter(texts[choice.index] for choice in choices)
    assert not choices or spelled.most_common(1)[0][1] == 1, "a copy is no other text"
    if most >= len(texts) and "" in texts:
        copies = [choice for choice in choices if len(choose(["", texts[choice.index]], [1.0, 1.0], 2, seed)) == 1]
        assert len(copies) == 1, "whatever is there can be chosen, or a copy of it: all texts without a word are one"


def test_near_copies_are_one_text_and_similar_texts_are_not() -> None:
    texts = [
        "The plot is thin, the jokes are old and the ending comes an hour too late for anyone to care",
        "the plot is thin; the jokes are OLD, and the ending comes an hour too late for anyone to care!",
        "The plot is thin, the jokes are old and the ending comes an hour too late for anyone to mind",
        "The plot is strong, the jokes are fresh and nobody looks at the clock before it is over",
    ]
    assert {choice.index for choice in choose(texts, [0.5] * 4, 9, seed=0)} == {0, 3}


def test_a_chance_is_the_probability_of_its_draw() -> None:
    """Of draws weighed by 1 / chance each text has the same mean, so the mean weight is their number."""
    texts, doubts = varied(12), list(np.linspace(0.05, 0.5, 12))
    first = [choose(texts, doubts, 1, seed)[0] for seed in range(2_000)]
    assert np.mean([1 / choice.chance for choice in first]) == pytest.approx(12, rel=0.1)
    taken = Counter(choice.index for choice in first)
    for choice in {choice.index: choice for choice in first}.values():
        assert taken[choice.index] / 2_000 == pytest.approx(choice.chance, abs=0.03)


def test_doubtful_and_novel_texts_are_chosen() -> None:
    sure, unsure = [0.02] * 50, [0.45] * 50
    chosen = Counter(choice.index < 50 for choice in choose(varied(100), [*sure, *unsure], 30, seed=1))
    assert chosen[False] >= 28
    alike = [f"the same story told once more number{number}" for number in range(50)] + varied(50)
    chosen = Counter(choice.index < 50 for choice in choose(alike, [0.4] * 100, 20, seed=1))
    assert chosen[False] >= 16, "of fifty texts that say one thing few are asked"


def answers_to(texts: list[str | None], score: float = 0.6) -> list[Prediction]:
    template = Prediction("", 1.0, "films", 1, "champion", "page", "bad", score, 4, "", None, 0.1)
    return [
        replace(template, id=f"{number:032x}", text=text, digest=digest(text or ""))
        for number, text in enumerate(texts)
    ]


def test_audits_come_in_hash_order_and_chosen_texts_from_the_training_side() -> None:
    answers = answers_to([f"film {number} {text}" for number, text in enumerate(varied(3_000))])
    texts = {each.id: each.text or "" for each in answers}
    drawn = label_queue.audits(answers, SPEC, 0.05)
    where = audit_sample.places([texts[name] for name in drawn], SPEC)
    assert len(drawn) == label_queue.MOST
    assert (np.diff(where) > 0).all()
    assert where.max() < 0.05
    assert label_queue.audits(list(reversed(answers)), SPEC, 0.05) == drawn, "the order of the log is no matter"
    chosen = label_queue.chosen(answers, SPEC, seed=0)
    assert len(chosen) == label_queue.MOST
    assert audit_sample.may_train([texts[name] for name, _ in chosen], SPEC).all()
    assert label_queue.chosen(answers, SPEC, seed=1) != chosen


def test_blank_texts_and_empty_logs_give_an_empty_queue() -> None:
    assert label_queue.audits(answers_to(["", " \n"]), SPEC, 0.1) == label_queue.audits([], SPEC, 0.1) == ()
    assert label_queue.chosen(answers_to(["", " \n"]), SPEC, 0) == label_queue.chosen([], SPEC, 0) == ()
