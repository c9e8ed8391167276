"""Where words lie in a text, and which of them moved an answer; all models are asked in test_models.py."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import models
from models.contract import Rows
from models.text import explanation as explanation_module
from models.text.explanation import explain
from models.text.ngrams import read
from models.text.vocabulary import find
from models.text.word_spans import spans

COMPOSING = ["e\u0301", "\u0301", "\u0323", "\u1112\u1161\u11ab", "\u1161", "\u0958", "\u2adc", "\U0001d15e", "\u0f73"]
PLAIN = [*"abcde !?.'’ÉİßДжไท한好映👍❤\n", "fine ", "Dull ", "\ufe0f", "\ud800", "\U00020000", "\u212b"]
TEXTS = st.text(max_size=30) | st.lists(st.sampled_from([*PLAIN, *COMPOSING]), max_size=30).map("".join)


@settings(max_examples=300)
@given(TEXTS)
@example("한\u0301")
@example("\U0001d15e fine")
@example("e" + "\u0301" * 3 + "\u1161")
@example("a\u0f73\u0323 word")  # the last mark composes with the letter, over one that seems to begin anew
def test_a_span_holds_its_word_and_no_other(text: str) -> None:
    places, words = spans(text), read([text]).words[0]
    composed = unicodedata.normalize("NFC", text)
    assert len(places.of) == len(words.starts)
    assert sorted(set(places.of.tolist())) == list(range(len(places)))
    edges = np.column_stack([places.starts, places.ends]).ravel()
    assert (np.diff(edges)[::2] > 0).all()
    assert (np.diff(edges)[1::2] >= 0).all()
    assert len(edges) == 0 or (edges[0] >= 0 and edges[-1] <= len(text))
    for word, (start, end) in enumerate(zip(words.starts - 1, words.ends - 1, strict=True)):
        own = text[places.starts[places.of[word]] : places.ends[places.of[word]]]
        assert composed[start:end] in unicodedata.normalize("NFC", own)
        assert text != composed or own == composed[start:end]


def test_words_are_found_where_they_stand_in_the_text_as_given() -> None:
    text = "Cafe\u0301s,  don’t İ 好\u1112\u1161\u11ab!👍"
    words = [text[start:end] for start, end in zip(spans(text).starts, spans(text).ends, strict=True)]
    assert words == ["Cafe\u0301s", "don’t", "İ", "好", "\u1112\u1161\u11ab", "!", "👍"]


@cache
def linear(classes: int) -> Any:
    """A linear model of made-up texts in several scripts, so that many n-grams of any are known."""
    draw = np.random.default_rng(0)
    labels = tuple(f"class {number}" for number in range(classes))
    texts = ["".join(draw.choice([*PLAIN, *COMPOSING], 25)) for _ in range(60)]
    rows = Rows(texts, [labels[number % classes] for number in range(60)])
    model = models.get("linear")
    return model.fit(rows, rows, (*labels, "never"), model.Params(), seed=0, progress=lambda *_: None)


@pytest.mark.parametrize("classes", [2, 5])
@settings(max_examples=150)
@given(text=TEXTS)
def test_exact_weights_and_the_bias_sum_to_the_log_odds(classes: int, text: str) -> None:
    model = linear(classes)
    result, logs = explain(model, text), np.log(np.maximum(model.predict([text])[0], 1e-300))
    number_of = model.labels.index
    assert result.method == "exact"
    assert result.left_out == 0
    assert number_of(result.label) == logs.argmax()
    assert logs[number_of(result.against or "")] == sorted(logs)[-2]
    assert result.log_odds == pytest.approx(
        logs[number_of(result.label)] - logs[number_of(result.against or "")], abs=1e-4
    )
    assert result.bias is not None
    assert sum(word.weight for word in result.words) + result.bias == pytest.approx(result.log_odds, abs=1e-9)


@pytest.mark.parametrize("classes", [2, 5])
@settings(max_examples=60)
@given(text=TEXTS)
def test_an_ngram_is_shared_equally_among_the_words_that_it_covers(classes: int, text: str) -> None:
    """Against a plain reading: n-gram after n-gram, word after word."""
    model, block = linear(classes), read([text])
    evidence = model.evidence(text)
    label, against = model.seen.index(evidence.label), model.seen.index(evidence.against)
    bounds = list(zip(block.words[0].starts, block.words[0].ends, strict=True))
    expected = np.zeros(len(bounds))
    for families, group in ((block.words, model.words), (block.pieces, model.pieces)):
        hits = [(grams, *find(grams, group.vocabulary)) for grams in families]
        times = Counter(int(column) for _, _, columns in hits for column in columns)
        length = np.sqrt(sum(((1 + np.log(n)) * float(group.rarity[column])) ** 2 for column, n in times.items()))
        for grams, places, columns in hits:
            for at, column in zip(places, columns.tolist(), strict=True):
                first, last = int(grams.starts[at]), int(grams.ends[at])
                if families is block.pieces:  # its ends may be edges: only the inner two are letters for certain
                    first, last = first + 1, last - 1
                covered = [word for word, (start, end) in enumerate(bounds) if start < last and first < end]
                score = group.weights[column] * (1 + np.log(times[column])) / length
                score = score if group.present is None else score + group.present[column]
                both = np.append(0.0, score) if len(score) == 1 else score
                expected[covered] += (both[label] - both[against]) / times[column] / len(covered)
    assert np.allclose(evidence.words, expected, atol=1e-5)


@dataclass(frozen=True)
class Counting:
    """A stand-in that says 'yes' the more often a text says so, and notes what it is asked; 'never' has no chance."""

    labels: tuple[str, ...] = ("never", "no", "yes")

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        yes = np.array([1 / (1 + np.exp(-text.count("yes"))) for text in texts])
        return np.column_stack([np.zeros(len(texts)), 1 - yes, yes])[:, -len(self.labels) :]


def test_occlusion_gives_what_the_log_odds_lose_without_the_word() -> None:
    result = explain(Counting(), "yes, oh yes!")
    assert (result.label, result.against, result.method, result.bias) == (
        "yes",
        "no",
        "occlusion",
        None,
    )
    assert result.log_odds == pytest.approx(2)
    assert [(word.start, word.end) for word in result.words] == [(0, 3), (5, 7), (8, 11), (11, 12)]
    assert [word.weight for word in result.words] == pytest.approx([1, 0, 1, 0])


def test_words_left_out_grow_nothing_together() -> None:
    """Without the sign between them, two halves would make a word that the model knows."""
    assert [word.weight for word in explain(Counting(), "ye!s").words] == pytest.approx([0, 0, 0])


def test_of_a_long_text_the_first_words_are_weighed_and_the_rest_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    result = explain(Counting(), "yes " + "oh " * 400)
    assert len(result.words) == explanation_module.MOST_WORDS
    assert result.left_out == 401 - explanation_module.MOST_WORDS
    monkeypatch.setattr(explanation_module, "MOST_CHARACTERS", 3 * 1205)
    result = explain(Counting(), "yes " + "oh " * 400)
    assert (len(result.words), result.left_out) == (3, 398)


def test_a_class_that_has_no_chance_has_log_odds_all_the_same() -> None:
    assert explain(Counting(("no", "yes")), "").log_odds == pytest.approx(0)
    sure = explain(Counting(("never", "no", "yes")), "yes" * 800)
    assert sure.against in ("never", "no")
    assert sure.log_odds == pytest.approx(-np.log(1e-12))


def test_where_there_is_one_class_no_word_moves_anything() -> None:
    found = explain(Counting(("yes",)), "yes or no")
    assert (found.label, found.against, found.words, found.left_out) == ("yes", None, (), 0)
