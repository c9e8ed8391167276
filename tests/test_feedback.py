"""What people said of answers: what of it teaches the next model, what is set aside and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import expectations
from ratchet import feedback as harvesting
from ratchet import versions
from ratchet.ingest import FILE
from ratchet.places import Places
from ratchet.problem import Problem
from ratchet.settings import Settings
from ratchet.steps import feedback, split
from ratchet.steps.feedback import REASONS, Traffic
from ratchet.steps.split import SplitSpec
from tests.crowd import ask_of, say

LABELS = {"good", "bad"}
SCHEMA = {
    "prediction": pl.String, "text": pl.String, "predicted": pl.String, "score": pl.Float64, "label": pl.String,
    "source": pl.String, "chance": pl.Float64, "at": pl.Float64,
}  # fmt: skip
TABLE = pl.DataFrame({"key": ["the table has this"], "label": ["good"]})


def said(*rows: Mapping[str, object]) -> pl.DataFrame:
    usual: dict[str, object] = {
        "predicted": "good",
        "score": 0.6,
        "label": "bad",
        "source": "user",
        "chance": None,
        "at": 1.0,
    }
    made = [{"prediction": f"{at:032x}", "text": f"text {at}"} | usual | dict(row) for at, row in enumerate(rows)]
    return pl.DataFrame(made, schema=SCHEMA)


def why(rows: pl.DataFrame, traffic: Traffic | None = None) -> list[str | None]:
    plenty = Traffic(answers=1000, errors=200.0, sure=100, sure_errors=5.0)
    return feedback.reasons(feedback.weigh(rows, TABLE, LABELS, traffic or plenty)).to_list()


BAD: dict[str, dict[str, object]] = {
    "unknown_id": {"text": None, "predicted": None, "score": None},
    "unknown_label": {"label": "ugly"},
    "no_text": {"text": None},
    "unsound": {"text": "   "},
    "contradicts": {"text": "The table  has THIS", "label": "bad"},
}


@pytest.mark.parametrize("fact", BAD)
def test_what_cannot_teach_is_set_aside_with_its_reason(fact: str) -> None:
    assert why(said({}, BAD[fact])) == [None, REASONS[fact]]


def test_two_labels_of_one_text_are_a_conflict_unless_one_source_is_stronger() -> None:
    two = said({"text": "the same"}, {"text": "The same", "label": "good"})
    assert why(two) == [REASONS["conflict"]] * 2
    audited = said({"text": "the same"}, {"text": "The same", "label": "good", "source": "audit"})
    found = feedback.weigh(audited, TABLE, LABELS, Traffic(1000, 200.0))
    assert feedback.reasons(found).to_list() == [None, None]
    assert found["first"].to_list() == [False, True], "the audit's word stands for the text"


def test_more_corrections_than_the_model_can_have_made_mistakes_are_set_aside() -> None:
    """A label-flip attack: a hundred answers, of which twenty should be wrong, are called wrong."""
    flipped = said(*({} for _ in range(100)))
    assert set(why(flipped, Traffic(answers=120, errors=20.0))) == {REASONS["improbable"]}
    assert set(why(flipped, Traffic(answers=1000, errors=100.0))) == {None}


def test_who_flips_labels_is_not_believed_where_he_agrees_either() -> None:
    """The opposite of the truth confirms every mistake; the audit's labels are what all others are measured by."""
    flipped = said(*({} for _ in range(100)), {"label": "good"}, {"label": "good", "source": "audit"})
    found = why(flipped, Traffic(answers=120, errors=20.0))
    assert found == [REASONS["improbable"]] * 101 + [None]


def test_flipped_labels_of_sure_answers_stand_out_of_much_traffic() -> None:
    flipped = said(*({"score": 0.97} for _ in range(60)), {"score": 0.6})
    found = why(flipped, Traffic(answers=5000, errors=900.0, sure=600, sure_errors=20.0))
    assert found == [REASONS["improbable"]] * 60 + [None]


def test_an_audit_that_finds_the_model_wrong_makes_many_corrections_plausible() -> None:
    """The world moved: then people are right to correct more than the model's own probabilities would say."""
    corrected = said(*({} for _ in range(100)))
    found = why(corrected, Traffic(answers=200, errors=20.0, audited=50, audited_wrong=25))
    assert set(found) == {None}


def test_a_few_audited_texts_that_were_wrong_by_chance_open_no_door() -> None:
    flipped = said(*({} for _ in range(60)))
    assert set(why(flipped, Traffic(answers=100, errors=20.0, audited=8, audited_wrong=4))) == {REASONS["improbable"]}


def test_what_an_audit_says_is_never_called_improbable() -> None:
    audited = said(*({"source": "audit"} for _ in range(100)))
    assert set(why(audited, Traffic(answers=120, errors=5.0))) == {None}


def test_confirming_answers_is_always_plausible() -> None:
    confirmed = said(*({"label": "good"} for _ in range(100)))
    assert set(why(confirmed, Traffic(answers=100, errors=1.0))) == {None}


def test_a_flood_waits_its_turn_and_an_audit_does_not() -> None:
    rows = said(*({"label": "good"} for _ in range(700)), *({"source": "audit"} for _ in range(700)))
    found = feedback.in_turn(feedback.weigh(rows, TABLE, LABELS, Traffic(2000, 500.0)), table_rows=1000)
    assert found.filter(source="user")["waits"].sum() == 700 - feedback.FEW
    assert found.filter(source="audit")["waits"].sum() == 0
    verdict = expectations.check(found, "feedback")
    assert verdict.passed, "no flood refuses the rest"
    assert any("more labels than one turn takes" in check.name for check in verdict.warnings)


def test_the_last_word_of_the_strongest_source_counts() -> None:
    name = "0" * 32
    rows = said(
        {"prediction": name, "label": "bad", "at": 1.0},
        {"prediction": name, "label": "good", "at": 2.0},
        {"prediction": "1" * 32, "label": "bad", "source": "audit", "at": 1.0},
        {"prediction": "1" * 32, "label": "good", "at": 9.0},
    )
    assert feedback.last_words(rows)["label"].to_list() == ["good", "bad"]


TEXTS = st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=40)


@given(TEXTS, st.sampled_from(["user", "chosen"]))
def test_nothing_that_people_chose_ever_judges(texts: list[str], source: str) -> None:
    spec = SplitSpec("text", "reviews")
    rows = pl.DataFrame({"text": texts, "label_source": [source] * len(texts)})
    usable = feedback.usable(rows, spec)
    assert set(split.assign(usable, spec)["split"]) <= {"train"}
    audited = feedback.usable(rows.with_columns(label_source=pl.lit("audit")), spec)
    assert audited.height == rows.height, "an audited row keeps the side that its hash gives it"


@given(TEXTS, st.integers(0, 40))
def test_every_row_is_learned_from_or_has_a_reason_or_a_stronger_twin(texts: list[str], wrong: int) -> None:
    rows = said(*({"text": text, "label": "bad" if at < wrong else "good"} for at, text in enumerate(texts)))
    found = feedback.weigh(rows, TABLE, LABELS, Traffic(100, 30.0))
    assert found["row"].to_list() == list(range(1, rows.height + 1))
    assert not (found["first"] & found["set_aside"]).any()
    kept = rows.filter(found["first"])
    assert kept["text"].n_unique() == kept.height


@pytest.fixture
def problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Problem:
    """A table of two rows, of which nobody has said anything."""
    monkeypatch.delenv("RATCHET_PREDICTIONS", raising=False)
    here = Places(tmp_path, tmp_path / "state", "127.0.0.1", 1, 2, 3)
    here.data.mkdir()
    (here.data / versions.TABLE).write_text("text,label\nfine,good\ndull,bad\n")
    (here.data / versions.SPLIT).write_text(SplitSpec("text", "reviews").to_json())
    told = {"problem": "reviews", "data": {"text": "text", "label": "label"}, "build": {"candidates": ["linear"]}}
    return Problem(here, Settings.model_validate(told), versions.Pin("0" * 32, 1, "table reviews.csv"))


def texts(word: str, count: int) -> list[str]:
    return [f"{word} {number}" for number in range(count)]


def test_an_old_label_that_says_nothing_new_opens_no_door_to_a_flood_of_flips(problem: Problem) -> None:
    """Corrections are held to the answers since the first of them, not to all that were ever given."""
    log = problem.here.predictions
    say(log, ask_of(log, ["Fine"]), "good")  # as the table has it: it stays in the log, neither learned nor set aside
    ask_of(log, texts("last month", 1000))
    say(log, ask_of(log, texts("today", 200))[:150], "bad")
    found = harvesting.harvest(problem, harvesting.waiting(problem))
    assert str(found) == f"150 new labels: none to learn from; 150 set aside ({REASONS['improbable']}: 150)."


def test_a_label_that_was_learned_is_news_again_where_who_said_it_first_changes_their_mind(problem: Problem) -> None:
    log = problem.here.predictions
    first, second = ask_of(log, ["grand", "Grand"])
    say(log, [first, second], "good")
    found = harvesting.harvest(problem, harvesting.waiting(problem))
    assert found.kept["prediction"].to_list() == [first]
    found.kept.write_csv(problem.here.data / versions.FEEDBACK)
    assert harvesting.harvest(problem, harvesting.waiting(problem)).said.is_empty()
    say(log, [first], "bad")
    found = harvesting.harvest(problem, harvesting.waiting(problem))
    assert found.aside[FILE].to_list() == [first, second], "one text, two labels"
