"""What people said of answers: what of it teaches the next model, what is set aside and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import expectations
from models.text.normalise import compared_form
from ratchet import tasks
from ratchet.data.prepare import label_sources, split
from ratchet.data.versions import quarantine
from ratchet.data.versions.quarantine import FILE
from ratchet.monitoring import feedback
from ratchet.monitoring.labels import feedback_rules, vetting
from ratchet.monitoring.labels.feedback_rules import REASONS
from ratchet.monitoring.labels.vetting import AUDITED, Traffic
from ratchet.monitoring.log import database, predictions
from ratchet.problem import data_pin
from ratchet.problem.data_pin import SplitSpec
from ratchet.problem.problem import Problem
from ratchet.problem.settings import Settings
from ratchet.project.paths import Places
from tests.support.other_kind import other_kind, problem_of, stored
from tests.support.people import ask_of, say

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


@pytest.fixture
def problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Problem:
    """A table of two rows, of which nobody has said anything."""
    monkeypatch.delenv("RATCHET_PREDICTIONS", raising=False)
    here = Places(tmp_path, tmp_path / "state", "127.0.0.1", 1, 2, 3)
    here.data.mkdir()
    (here.data / data_pin.TABLE).write_text("text,label\nfine,good\ndull,bad\n")
    (here.data / data_pin.SPLIT).write_text(SplitSpec("text", "reviews").to_json())
    params = {"problem": "reviews", "data": {"text": "text", "label": "label"}, "build": {"candidates": ["linear"]}}
    return Problem(here, Settings.model_validate(params), data_pin.Pin("0" * 32, 1, "table reviews.csv"))


def texts(word: str, count: int) -> list[str]:
    return [f"{word} {number}" for number in range(count)]


def collected(problem: Problem) -> str:
    return str(feedback.collect(problem, feedback.waiting_labels(problem)))


def a_quarter_and_a_week(problem: Problem) -> tuple[list[str], list[str]]:
    """20,000 answers of three months ago, and 200 of this week, of which a script calls 160 wrong; the ids of both.

    The answers have a probability of 0.7: sixty of the 200 should be wrong.
    """
    log = problem.here.predictions
    old = ask_of(log, texts("an old text", 20_000), days_ago=85)
    week = [name for day in range(5) for name in ask_of(log, texts(f"of day {day}", 40), days_ago=4 - day)]
    say(log, week[:160], "bad")
    return old, week


FLIPPED = f"160 set aside ({REASONS['improbable']}: 160)."


def test_flips_of_a_week_are_set_aside(problem: Problem) -> None:
    a_quarter_and_a_week(problem)
    assert collected(problem) == f"160 new labels: none to learn from; {FLIPPED}"


def test_one_label_of_an_old_answer_opens_no_door_to_a_flood_of_flips(problem: Problem) -> None:
    old, _ = a_quarter_and_a_week(problem)
    say(problem.here.predictions, old[:1], "bad")
    assert collected(problem) == f"161 new labels: 1 by users to learn from; {FLIPPED}"


def test_an_old_label_that_says_nothing_new_opens_none_either(problem: Problem) -> None:
    log = problem.here.predictions
    say(log, ask_of(log, ["Fine"], days_ago=86), "good")  # as the table has it
    a_quarter_and_a_week(problem)
    assert collected(problem) == f"160 new labels: none to learn from; {FLIPPED}"


@pytest.mark.parametrize("days_ago", [91, 300])
def test_answers_that_the_log_should_have_forgotten_open_none(problem: Problem, days_ago: int) -> None:
    log = problem.here.predictions
    old = ask_of(log, texts("forgotten", 2_000), days_ago=days_ago)
    say(log, old[:1], "bad")
    say(log, ask_of(log, texts("today", 200))[:160], "bad")
    assert collected(problem) == f"161 new labels: 1 by users to learn from; {FLIPPED}"


def test_unlabelable_answers_make_no_room_for_flips(problem: Problem) -> None:
    """5,000 rows through make predict FILE=, and 5,000 that were answered in the shadow, in the midst of the week's."""
    log = problem.here.predictions
    week = []
    for day in range(4):
        week += ask_of(log, texts(f"of day {day}", 50))
        predictions.record(log, "reviews", 1, [(text, "good", 0.7) for text in texts("of a file", 1250)])
        ask_of(log, texts("in the shadow", 1250), role="shadow")
    say(log, week[:160], "bad")
    assert collected(problem) == f"160 new labels: none to learn from; {FLIPPED}"


def test_much_traffic_of_the_same_day_makes_no_room_for_flips_that_lie_together(problem: Problem) -> None:
    log = problem.here.predictions
    ask_of(log, texts("before", 5_000))
    script = ask_of(log, texts("of a script", 200))
    ask_of(log, texts("after", 5_000))
    say(log, script[:160], "bad")
    assert collected(problem) == f"160 new labels: none to learn from; {FLIPPED}"


def test_flips_that_come_a_few_at_a_time_are_counted_together(problem: Problem) -> None:
    """As a loop does that turns at every fifty labels: sixty may be right, and no more than ninety are believed."""
    log = problem.here.predictions
    week = ask_of(log, texts("today", 200))
    learned = 0
    for start in range(0, 160, 40):
        say(log, week[start : start + 40], "bad")
        batch = feedback.collect(problem, feedback.waiting_labels(problem))
        batch.kept.write_csv(problem.here.data / data_pin.FEEDBACK)
        feedback.append_quarantine(problem, batch.aside, print)
        learned = batch.kept.height
    assert learned in (80, 120)
    assert feedback.waiting_labels(problem).is_empty(), "the rest is set aside"


def test_honest_corrections_are_always_believed(problem: Problem) -> None:
    """Every mistake of a quarter, three in ten answers, whenever it is collected."""
    log = problem.here.predictions
    for week in range(12):
        ids = ask_of(log, texts(f"of week {week}", 200), days_ago=84 - 7 * week)
        say(log, [name for at, name in enumerate(ids) if at % 10 < 3], "bad")
        batch = feedback.collect(problem, feedback.waiting_labels(problem))
        assert batch.aside.is_empty()
        if week % 3 == 0:
            batch.kept.write_csv(problem.here.data / data_pin.FEEDBACK)


def test_labels_whose_neighbours_the_log_has_forgotten_are_believed(problem: Problem) -> None:
    """Nobody turned the loop for months: of the old answers the log has only what somebody labelled."""
    log = problem.here.predictions
    old = ask_of(log, texts("labelled long ago", 150), days_ago=120)
    say(log, old, "bad")
    ask_of(log, texts("of today", 300))
    assert collected(problem) == "150 new labels: 150 by users to learn from."


def used_to_correct(problem: Problem, a_week: int) -> None:
    """Ten weeks of 200 answers; so many of each were corrected by users, and learned."""
    log = problem.here.predictions
    for week in range(10):
        ids = ask_of(log, texts(f"of week {week}", 200), days_ago=80 - 7 * week)
        say(log, ids[:: 200 // a_week][:a_week], "bad")
    batch = feedback.collect(problem, feedback.waiting_labels(problem))
    assert batch.aside.is_empty()
    batch.kept.write_csv(problem.here.data / data_pin.FEEDBACK)


def test_a_source_that_corrects_several_times_as_much_as_it_used_to_is_set_aside(problem: Problem) -> None:
    """Eighty of 200 answers, where sixty should be wrong and ten used to be corrected; another source is believed."""
    log = problem.here.predictions
    used_to_correct(problem, 10)
    week = ask_of(log, texts("today", 200))
    say(log, week[:80], "bad")
    say(log, week[100:110], "bad", "chosen", 0.5)
    reason = "several times as many corrections as this source used to give"
    assert collected(problem) == f"90 new labels: 10 that were asked for to learn from; 80 set aside ({reason}: 80)."


def test_a_source_that_corrects_twice_as_much_as_it_used_to_is_believed(problem: Problem) -> None:
    log = problem.here.predictions
    used_to_correct(problem, 10)
    say(log, ask_of(log, texts("today", 200))[:20], "bad")
    assert collected(problem) == "20 new labels: 20 by users to learn from."


def test_a_source_with_few_corrections_has_no_habit_yet(problem: Problem) -> None:
    log = problem.here.predictions
    used_to_correct(problem, 2)
    say(log, ask_of(log, texts("today", 200))[:60], "bad")
    assert collected(problem) == "60 new labels: 60 by users to learn from."


def test_a_lasting_change_of_habit_is_unusual_only_once(problem: Problem) -> None:
    """Twenty people instead of one correct answers from now on: their first week is set aside, no more."""
    log = problem.here.predictions
    used_to_correct(problem, 10)
    for expected in (0, 80):
        say(log, ask_of(log, texts(f"before {expected}", 200))[:80], "bad")
        batch = feedback.collect(problem, feedback.waiting_labels(problem))
        assert batch.taken.height == expected
        feedback.append_quarantine(problem, batch.aside, print)


def test_a_learned_label_is_weighed_again_after_its_first_source_revised_it(problem: Problem) -> None:
    log = problem.here.predictions
    first, second = ask_of(log, ["grand", "Grand"])
    say(log, [first, second], "good")
    batch = feedback.collect(problem, feedback.waiting_labels(problem))
    assert batch.kept["prediction"].to_list() == [first]
    batch.kept.write_csv(problem.here.data / data_pin.FEEDBACK)
    assert feedback.collect(problem, feedback.waiting_labels(problem)).said.is_empty()
    say(log, [first], "bad")
    batch = feedback.collect(problem, feedback.waiting_labels(problem))
    assert batch.aside[FILE].to_list() == [first, second], "one text, two labels"


def test_waiting_labels_of_a_flood_outlive_the_retention_days(problem: Problem) -> None:
    """Of 700 labels 500 are taken; the rest, and a copy of one of their texts, stay however old they are."""
    log = problem.here.predictions
    flood = ask_of(log, [*texts("of a flood", 700), "of a flood 699"], days_ago=100)
    say(log, flood, "good")
    given = predictions.waiting_labels(log, "reviews")
    batch = feedback.collect(problem, feedback.waiting_labels(problem))
    assert (batch.taken.height, batch.waiting) == (500, 200)
    assert feedback.settle(problem, given, batch) == 201
    with database.connected(log) as connection:
        predictions.forget(connection, "reviews", predictions.identities(1)[0])
        left = connection.execute("select prediction from feedback order by prediction").fetchall()
    assert [name for (name,) in left] == flood[500:]


def test_without_a_batch_no_label_is_settled(problem: Problem) -> None:
    log = problem.here.predictions
    say(log, ask_of(log, texts("new", 3), days_ago=100), "good")
    assert feedback.settle(problem, predictions.waiting_labels(log, "reviews"), None) == 3
    assert predictions.count_waiting_labels(log, "reviews") == 3


# A kind whose inputs are no texts, and whose answers state no confidence


def sizes(count: int) -> list[str]:
    return [stored(number) for number in range(count)]


@pytest.fixture
def homes(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> Problem:
    """A problem of numbers, whose table has one row."""
    made = problem_of(other_kind("feedback"), problem)
    row = {"text": [stored(1)], "label": ["10"], "label_source": [label_sources.ORIGINAL]}
    monkeypatch.setattr(feedback, "RawRows", lambda _: [pl.DataFrame(row)])
    return made


def test_any_target_that_the_kind_can_have_is_taken_in(homes: Problem) -> None:
    log = homes.here.predictions
    first, second, *_ = ask_of(log, [stored(7), stored(8)])
    say(log, [first], "71.5")
    say(log, [second], "much")
    batch = feedback.collect(homes, feedback.waiting_labels(homes))
    reason = "no label that the problem has"
    assert str(batch) == f"2 new labels: 1 by users to learn from; 1 set aside ({reason}: 1)."
    assert batch.kept["text"].to_list() == [stored(7)]
    assert batch.aside.columns == [quarantine.REASON, FILE, quarantine.LINE, "size", "price"]
    assert batch.aside["size"].to_list() == ["8.0"], "it can be mended under the owner's columns"


def test_a_reason_speaks_of_no_text_where_there_is_none(homes: Problem) -> None:
    log = homes.here.predictions
    say(log, ask_of(log, [stored(1)]), "11")
    batch = feedback.collect(homes, feedback.waiting_labels(homes))
    assert batch.aside[quarantine.REASON].to_list() == ["the table has this input with another label"]
    assert set(feedback_rules.OF_ANY_INPUT) < set(REASONS)


def test_corrections_of_answers_without_confidence_are_all_plausible(homes: Problem) -> None:
    """Hardly any number is right to the last digit, so to correct all of them is no attack."""
    log = homes.here.predictions
    say(log, ask_of(log, sizes(200))[2:], "7.5")
    batch = feedback.collect(homes, feedback.waiting_labels(homes))
    assert batch.aside.is_empty()
    assert batch.taken.height == 198


def test_a_withdrawn_input_of_several_columns_leaves_the_quarantine(
    homes: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = homes.here.predictions
    say(log, ask_of(log, sizes(3)), "much")
    batch = feedback.collect(homes, feedback.waiting_labels(homes))
    feedback.append_quarantine(homes, batch.aside, print)
    monkeypatch.setattr(feedback.settings, "load", lambda _: homes.settings)
    feedback.erase_withdrawn(homes.here, homes.name, pl.Series([stored(1)]))
    left = quarantine.read(feedback.aside_path(homes.here, homes.name))
    assert left["size"].to_list() == ["0.0", "2.0"]
