"""What people said of answers: what of it teaches the next model, what is set aside and why."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ratchet.data.versions import known_inputs, quarantine
from ratchet.data.versions.quarantine import FILE
from ratchet.monitoring import feedback
from ratchet.monitoring.labels import feedback_rules
from ratchet.monitoring.labels.feedback_rules import REASONS
from ratchet.monitoring.log import database, predictions
from ratchet.problem import data_pin
from ratchet.problem.data_pin import SplitSpec
from ratchet.problem.problem import Problem
from ratchet.problem.settings import Settings
from ratchet.project.paths import Places
from ratchet.tasks import Task
from tests.support.people import ask_of, say
from tests.support.toy_kind import home, homes_like


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
    return [home(number) for number in range(count)]


@pytest.fixture
def homes(problem: Problem, toy: Task) -> Problem:
    """A problem of numbers, whose table has one row."""
    (problem.here.data / data_pin.TABLE).write_text("rooms,size,price\n3,1,10\n")
    return homes_like(problem)


def test_any_target_that_the_kind_can_have_is_taken_in(homes: Problem) -> None:
    log = homes.here.predictions
    first, second, *_ = ask_of(log, [home(7), home(8)])
    say(log, [first], "71.5")
    say(log, [second], "much")
    batch = feedback.collect(homes, feedback.waiting_labels(homes))
    reason = "no label that the problem has"
    assert str(batch) == f"2 new labels: 1 by users to learn from; 1 set aside ({reason}: 1)."
    assert batch.kept["text"].to_list() == [home(7)]
    assert batch.aside.columns == [quarantine.REASON, FILE, quarantine.LINE, "rooms", "size", "price"]
    assert batch.aside["size"].to_list() == ["8.0"], "it can be mended under the owner's columns"


def test_a_reason_speaks_of_no_text_where_there_is_none(homes: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homes.task.rows, "ONE_TARGET", True)
    log = homes.here.predictions
    say(log, ask_of(log, [home(1)]), "11")
    batch = feedback.collect(homes, feedback.waiting_labels(homes))
    assert batch.aside[quarantine.REASON].to_list() == ["the table has this row with another label"]
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
    monkeypatch.setattr(known_inputs.settings, "load", lambda _: homes.settings)
    feedback.erase_withdrawn(homes.here, homes.name, pl.Series([home(1)]))
    left = quarantine.read(feedback.aside_path(homes.here, homes.name))
    assert left["size"].to_list() == ["0.0", "2.0"]
