"""Rules for feedback: which labels teach the next model, and why the others are set aside."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import expectations
from models.text.normalise import compared_form
from ratchet import tasks
from ratchet.data.prepare import label_sources, split
from ratchet.monitoring.labels import feedback_rules, vetting
from ratchet.monitoring.labels.feedback_rules import REASONS
from ratchet.monitoring.labels.vetting import AUDITED, Traffic
from ratchet.problem.data_pin import SplitSpec

CLASSIFY = tasks.get("classify")
LABELS = ("bad", "good")
SCHEMA = {
    "prediction": pl.String, "text": pl.String, "predicted": pl.String, "score": pl.Float64, "label": pl.String,
    "source": pl.String, "chance": pl.Float64, "at": pl.Float64,
}  # fmt: skip
TABLE = pl.DataFrame({"key": ["the table has this"], "label": ["good"]})


def labels_of(*rows: Mapping[str, object], every: int = 1) -> pl.DataFrame:
    """Labels of the first answers, or of every so manieth."""
    usual: dict[str, object] = {
        "predicted": "good",
        "score": 0.6,
        "label": "bad",
        "source": "user",
        "chance": None,
        "at": 1.0,
    }
    made = [
        {"prediction": f"{every * at:032x}", "text": f"text {at}"} | usual | dict(row) for at, row in enumerate(rows)
    ]
    return pl.DataFrame(made, schema=SCHEMA)


def traffic(answers: int = 1000, score: float = 0.8, audited: int = 0, wrong: int = 0) -> Traffic:
    """So many answers with that probability; an audit labelled some of the last, and found so many of them wrong."""
    return traffic_of(np.full(answers, score), audited, wrong)


def traffic_of(scores: np.ndarray, audited: int = 0, wrong: int = 0) -> Traffic:
    ids = [f"{at:032x}" for at in range(len(scores))]
    findings = [(name, at < wrong) for at, name in enumerate(ids[len(ids) - audited :])]
    audits = pl.DataFrame(findings, AUDITED, orient="row")
    return Traffic(vetting.stretches([(ids, scores)], set(ids)), audits)


def reasons_for(rows: pl.DataFrame, traffic_: Traffic | None = None) -> list[str | None]:
    return feedback_rules.reasons(
        CLASSIFY, feedback_rules.weigh(CLASSIFY, rows, TABLE, LABELS, traffic_ or traffic())
    ).to_list()


BAD: dict[str, dict[str, object]] = {
    "unknown_id": {"text": None, "predicted": None, "score": None},
    "unknown_label": {"label": "ugly"},
    "no_text": {"text": None},
    "unsound": {"text": "   "},
    "contradicts": {"text": "The table  has THIS", "label": "bad"},
}


@pytest.mark.parametrize("fact", BAD)
def test_unusable_labels_are_set_aside_with_their_reason(fact: str) -> None:
    assert reasons_for(labels_of({}, BAD[fact])) == [None, REASONS[fact]]


def test_two_labels_of_one_text_are_a_conflict_unless_one_source_is_stronger() -> None:
    two = labels_of({"text": "the same"}, {"text": "The same", "label": "good"})
    assert reasons_for(two) == [REASONS["conflict"]] * 2
    audited = labels_of({"text": "the same"}, {"text": "The same", "label": "good", "source": "audit"})
    facts = feedback_rules.weigh(CLASSIFY, audited, TABLE, LABELS, traffic())
    assert feedback_rules.reasons(CLASSIFY, facts).to_list() == [None, None]
    assert facts["first"].to_list() == [False, True], "the audit's word stands for the text"


def test_more_corrections_than_the_model_can_have_made_mistakes_are_set_aside() -> None:
    """A label-flip attack: a hundred answers, of which twenty should be wrong, are called wrong."""
    flipped: list[dict[str, object]] = [{}] * 100
    assert set(reasons_for(labels_of(*flipped), traffic(120, score=0.83))) == {REASONS["improbable"]}
    assert set(reasons_for(labels_of(*flipped, every=10), traffic(1000, score=0.9))) == {None}


def test_agreeing_labels_of_a_flipping_source_are_improbable_too() -> None:
    """The opposite of the truth confirms every mistake; the audit's labels are what all others are measured by."""
    flipped = labels_of(*({} for _ in range(100)), {"label": "good"}, {"label": "good", "source": "audit"})
    reasons = reasons_for(flipped, traffic(120, score=0.83))
    assert reasons == [REASONS["improbable"]] * 101 + [None]


def test_flipped_labels_of_sure_answers_stand_out_of_much_traffic() -> None:
    """Of eight answers one is sure, and that one is called wrong: as many as all eight may be, and not this one."""
    flipped = labels_of(*({"score": 0.97} for _ in range(60)), {"score": 0.7}, every=8)
    reasons = reasons_for(flipped, traffic_of(np.where(np.arange(5000) % 8 == 0, 0.97, 0.7)))
    assert reasons == [REASONS["improbable"]] * 60 + [None]


def test_an_audit_that_finds_the_model_wrong_makes_many_corrections_plausible() -> None:
    """The world moved: then people are right to correct more than the model's own probabilities would say."""
    corrected = labels_of(*({} for _ in range(100)))
    assert set(reasons_for(corrected, traffic(200, score=0.9))) == {REASONS["improbable"]}
    reasons = reasons_for(corrected, traffic(200, score=0.9, audited=50, wrong=25))
    assert set(reasons) == {None}


def test_recent_audit_findings_count_for_later_answers() -> None:
    """Fifty audited answers, half of them wrong, and after these the ones that people correct."""
    ids = [f"{at:032x}" for at in range(400)]
    audits = pl.DataFrame({"prediction": ids[100:150], "wrong": [at % 2 == 0 for at in range(50)]})
    stretches = vetting.stretches([(ids, np.full(400, 0.9))], set(ids))
    corrected = labels_of(*({"prediction": name} for name in ids[300:350]))
    assert set(reasons_for(corrected, Traffic(stretches, audits))) == {None}
    assert set(reasons_for(corrected, Traffic(stretches))) == {REASONS["improbable"]}


@pytest.mark.parametrize(("corrected", "believed"), [(280, True), (400, False)])
def test_a_model_may_be_wrong_nearly_half_as_often_again_as_it_says(corrected: int, believed: bool) -> None:
    """Of 1,000 answers 200 should be wrong: 280 corrections are believed, 400 are not."""
    ids = [f"{at * 1000 // corrected:032x}" for at in range(corrected)]
    reasons = set(reasons_for(labels_of(*({"prediction": name} for name in ids)), traffic(1000, score=0.8)))
    assert reasons == ({None} if believed else {REASONS["improbable"]})


def test_chance_alone_makes_an_attack_of_hardly_any_week() -> None:
    """People correct one and a half times the stated mistakes, the most that is tolerated, 1,000 times over."""
    chance, names = np.random.default_rng(5), [f"{at:032x}" for at in range(1000)]
    suspected = 0
    for _ in range(1000):
        wrong = [name for name, is_wrong in zip(names, chance.random(1000) < 0.15, strict=True) if is_wrong]
        rows = pl.DataFrame({"prediction": wrong}).with_columns(source=pl.lit("user"), wrong=True, sure=False)
        suspected += vetting.implausible(rows, Traffic(vetting.stretches([(names, np.full(1000, 0.9))], set())))[
            "improbable"
        ].any()
    assert suspected <= 5


def test_a_few_audited_texts_that_were_wrong_by_chance_open_no_door() -> None:
    flipped = labels_of(*({} for _ in range(60)))
    assert set(reasons_for(flipped, traffic(100, score=0.8, audited=8, wrong=4))) == {REASONS["improbable"]}


def test_audit_labels_are_never_improbable() -> None:
    audited = labels_of(*({"source": "audit"} for _ in range(100)))
    assert set(reasons_for(audited, traffic(120, score=0.95))) == {None}


def test_confirming_answers_is_always_plausible() -> None:
    confirmed = labels_of(*({"label": "good"} for _ in range(100)))
    assert set(reasons_for(confirmed, traffic(100, score=0.99))) == {None}


def test_a_flood_waits_its_turn_and_an_audit_does_not() -> None:
    rows = labels_of(*({"label": "good"} for _ in range(700)), *({"source": "audit"} for _ in range(700)))
    facts = feedback_rules.limit_per_turn(
        feedback_rules.weigh(CLASSIFY, rows, TABLE, LABELS, traffic(2000)), table_rows=1000
    )
    assert facts.filter(source="user")["waits"].sum() == 200, "one source adds 500 in a turn"
    assert facts.filter(source="audit")["waits"].sum() == 0
    verdict = expectations.check(facts, "feedback", expectations.rules_of(tasks.get("classify")))
    assert verdict.passed, "no flood refuses the rest"
    more = feedback_rules.limit_per_turn(facts.drop("waits"), table_rows=1000, untaught={"user": 450, "audit": 450})
    assert more.filter(source="user")["waits"].sum() == 650, "with 450 in the data that no turn has learned"
    assert more.filter(source="audit")["waits"].sum() == 0
    assert any("more labels than one turn takes" in check.name for check in verdict.warnings)


def test_the_last_word_of_the_strongest_source_counts() -> None:
    name = "0" * 32
    rows = labels_of(
        {"prediction": name, "label": "bad", "at": 1.0},
        {"prediction": name, "label": "good", "at": 2.0},
        {"prediction": "1" * 32, "label": "bad", "source": "audit", "at": 1.0},
        {"prediction": "1" * 32, "label": "good", "at": 9.0},
    )
    assert feedback_rules.last_words(rows)["label"].to_list() == ["good", "bad"]


TEXTS = st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=40)


@given(TEXTS, st.sampled_from(["user", "chosen"]))
def test_nothing_that_people_chose_ever_judges(texts: list[str], source: str) -> None:
    spec = SplitSpec("text", "reviews")
    rows = pl.DataFrame({"text": texts, "label_source": [source] * len(texts)})
    usable = label_sources.usable_rows(rows, spec)
    assert set(split.assign_sides(usable, spec)["split"]) <= {"train"}
    audited = label_sources.usable_rows(rows.with_columns(label_source=pl.lit("audit")), spec)
    assert audited.height == rows.height, "an audited row keeps the side that its hash gives it"


@given(TEXTS, st.lists(st.sampled_from(["good", "bad", "ugly"]), min_size=40, max_size=40))
def test_every_row_is_learned_from_or_has_a_reason_or_a_twin_that_is_learned_from(
    texts: list[str], given_labels: list[str]
) -> None:
    """Texts of a few signs meet often; the table has `t` as good."""
    rows = labels_of(*({"text": text, "label": label} for text, label in zip(texts, given_labels, strict=False)))
    table = pl.DataFrame({"key": ["t"], "label": ["good"]})
    facts = feedback_rules.weigh(CLASSIFY, rows, table, LABELS, traffic(100, score=0.7))
    learned, reasons = facts["first"].to_list(), feedback_rules.reasons(CLASSIFY, facts).to_list()
    pairs = [(compared(text), label) for text, label in zip(rows["text"], rows["label"], strict=True)]
    kept = [pair for pair, is_learned in zip(pairs, learned, strict=True) if is_learned]
    assert len({key for key, _ in kept}) == len(kept), "a text is learned once, with one label"
    assert facts.height == rows.height
    for pair, is_learned, reason in zip(pairs, learned, reasons, strict=True):
        assert not (is_learned and reason)
        assert is_learned or reason or pair in kept or pair == ("t", "good"), pair
        if pair[1] == "ugly":
            assert reason == "no class of the problem"


def compared(text: str) -> str:
    """Texts that differ in case or spaces alone are one, as the table's are."""
    return str(compared_form(pl.Series([text])).item())
