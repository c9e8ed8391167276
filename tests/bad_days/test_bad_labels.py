"""Bad days of the closed loop: each ends in a stated safe outcome, and loses nothing acknowledged."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from ratchet.monitoring.labels.feedback_rules import REASONS
from ratchet.monitoring.log import database as predictions
from ratchet.state import lock
from tests.support.people import Loop, driven, texts_of
from tests.support.project import Project, copied, refused
from tests.support.registered import ANOTHER
from tests.support.service import ask, served

PUT_BACK = """
for alias in problem_and_registry()[1].snapshot().aliases:
    problem_and_registry()[1].client.delete_registered_model_alias("reviews", alias)
problem_and_registry()[1].client.set_registered_model_alias("reviews", "champion", "1")
for name in ("trial", "approval"):
    if name in problem_and_registry()[1].version(2).tags:
        problem_and_registry()[1].client.delete_model_version_tag("reviews", "2", name)
for name, value in (("decision", "promote"), ("decided_against", "1")):
    problem_and_registry()[1].client.set_model_version_tag("reviews", "2", name, value)
"""
ALIASES = "dict(problem_and_registry()[1].snapshot().aliases)"
YEAR = 365 * 86_400


@pytest.fixture(scope="module")
def loop(original: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """A project with a champion, version 1, and another version without an alias."""
    project = copied(original, tmp_path_factory.mktemp("bad days") / "project")
    with driven(project) as loop:
        loop.call(f"exec({ANOTHER!r})")
        yield loop


@pytest.fixture(autouse=True)
def as_it_was(loop: Loop) -> None:
    loop.restore()
    loop.call(f"exec({PUT_BACK!r})")


def by_hand(loop: Loop, code: str) -> None:
    """Run code with MLflow's own client."""
    loop.call(f"exec({'client = problem_and_registry()[1].client; ' + code!r})")


# --- feedback


def test_a_poisoned_batch_is_set_aside_with_its_reason_and_teaches_nothing(loop: Loop) -> None:
    before = loop.project.bytes_of("data.dvc", "data", "state/ledger.jsonl")
    ids = loop.asked(texts_of("train", 120), "good", 0.95)
    loop.said(ids[:90], "bad")
    outlook = loop.optimise()
    assert outlook["learned"] == f"90 new labels: none to learn from; 90 set aside ({REASONS['improbable']}: 90)."
    assert loop.project.bytes_of("data.dvc", "data", "state/ledger.jsonl") == before
    assert [row["from_file"] for row in loop.aside] == ids[:90]
    assert {row["set_aside_because"] for row in loop.aside} == {REASONS["improbable"]}
    assert loop.call(ALIASES) == {"champion": 1}
    assert loop.optimise()["learned"] == "No new label waits."
    assert len(loop.aside) == 90

    loop.said(ids[100:103], "bad")
    assert loop.optimise()["learned"] == "3 new labels: 3 by users to learn from.", "honest ones get through after it"


def test_a_flood_of_one_class_comes_in_over_several_turns_and_none_is_lost(loop: Loop) -> None:
    """A turn takes 500 labels of one source at most, however often labels are collected before it."""
    ids = loop.asked(texts_of("train", 650))
    loop.said(ids, "good")
    assert "150 wait for the next turn" in loop.optimise()["learned"]
    assert [row["prediction"] for row in loop.kept] == ids[:500]
    assert loop.optimise()["learned"] == "150 new labels: none to learn from; 150 wait for the next turn."
    assert (loop.pace["looked_at"], loop.waiting) == (150, 150), "they wait in the log"
    loop.call("retrain_state.record_turn(here, 'reviews', '', {'user': 500})")
    assert loop.optimise()["learned"] == "150 new labels: 150 by users to learn from."
    assert [row["prediction"] for row in loop.kept] == ids
    assert (loop.pace["looked_at"], loop.waiting) == (0, 0)


def test_labels_of_forgotten_answers_are_set_aside_and_earlier_labels_stay(loop: Loop) -> None:
    ids = loop.asked(texts_of("train", 6))
    loop.said(ids[:3], "bad")
    loop.optimise()
    loop.said(ids[3:], "bad")
    with predictions.connected(loop.log) as connection:
        connection.execute("delete from predictions")
    learned = loop.optimise()["learned"]
    assert learned == f"3 new labels: none to learn from; 3 set aside ({REASONS['unknown_id']}: 3)."
    assert [row["prediction"] for row in loop.kept] == ids[:3]
    assert loop.optimise()["learned"] == "No new label waits."


def test_labels_are_counted_anew_where_the_log_has_forgotten_old_ones(loop: Loop) -> None:
    """Old labels leave the log with their answers (deploy.log.days): new ones must be seen all the same."""
    loop.said(loop.asked(texts_of("train", 60)), "good")
    loop.optimise()
    loop.call("retrain_state.record_turn(here, 'reviews', '', {'user': 60})")
    with predictions.connected(loop.log) as connection:
        connection.execute("delete from predictions")
        connection.execute("delete from feedback")
    loop.said(loop.asked(texts_of("holdout", 55)), "good")
    assert loop.call("retrain_state.count_waiting_labels(here, problem_and_registry()[0].settings)") >= 55
    assert loop.call("retrain_state.is_due(here, problem_and_registry()[0].settings)") is True


def test_an_empty_week_changes_nothing_and_asks_for_nothing(loop: Loop) -> None:
    before = loop.project.bytes_of("data.dvc", "data", "state/ledger.jsonl", "state/quarantine")
    for _ in range(2):
        outlook = loop.optimise()
        assert (outlook["learned"], outlook["next"]) == ("No new label waits.", "Nothing asks for another turn.")
    assert loop.project.bytes_of("data.dvc", "data", "state/ledger.jsonl", "state/quarantine") == before


@pytest.mark.parametrize("ahead", [YEAR, 3600])
def test_a_start_that_lies_ahead_holds_the_loop_back_for_one_cooldown(loop: Loop, ahead: float) -> None:
    """The clock was a year ahead when a turn began, and was set right since."""
    note = loop.root / "state" / "pace.json"
    note.write_text(json.dumps({"problem": "reviews", "starts": [time.time() + ahead]}))
    loop.said(loop.asked(texts_of("train", 60)), "good")
    sentence = loop.optimise()["next"]
    assert sentence.startswith("No turn begins by itself: ")
    assert sentence.endswith("; the next turn may begin in 10 minutes (optimise.cooldown)")
    (start,) = loop.pace["starts"]
    assert start == pytest.approx(time.time(), abs=60), "from here on the wait is counted"


@pytest.mark.parametrize(
    "torn", ["", "{", "[1]", '{"problem": "reviews", "kept": "x"}', '{"problem": "reviews", "starts": [null]}']
)
def test_a_damaged_note_of_the_pace_is_begun_anew(loop: Loop, torn: str) -> None:
    (loop.root / "state" / "pace.json").write_text(torn)
    loop.said(loop.asked(texts_of("train", 3)), "bad")
    assert loop.call("retrain_state.is_due(here, problem_and_registry()[0].settings)") is False
    loop.optimise()
    assert loop.pace["kept"] == 3


# --- changes by hand in MLflow


def test_a_champion_whose_alias_is_removed_is_missed_clearly_and_a_rollback_brings_it_back(loop: Loop) -> None:
    with served(loop.project) as service, httpx.Client(base_url=service.address) as http:
        assert ask(http, "a splendid film")["version"] == "1"
        by_hand(loop, "client.delete_registered_model_alias('reviews', 'champion')")
        status = loop.project.make("status").text
        assert "live       nothing: the champion's alias or its version was removed by hand" in status
        assert "next       make rollback, which puts version 1 live" in status
        assert "Optimise looks at a champion" in loop.call("optimise()")
        assert ask(http, "a splendid film")["version"] == "1"
        back = loop.project.make("rollback")
        assert "Version 1 (linear) of reviews is live again; nothing was." in back.text
    assert loop.call(ALIASES)["champion"] == 1
    assert loop.project.make("status").text.count("live       version 1 (linear)") == 1


def test_a_champion_deleted_by_hand_leaves_the_one_before_it_to_go_back_to(loop: Loop) -> None:
    number = int(loop.call(f"exec({ANOTHER!r}) or problem_and_registry()[1].snapshot().versions[0].number"))
    by_hand(loop, f"client.set_registered_model_alias('reviews', 'challenger', '{number}')")
    by_hand(loop, f"client.set_model_version_tag('reviews', '{number}', 'decided_against', '1')")
    assert loop.call(f"deploy({number})") == number
    by_hand(loop, f"client.delete_model_version('reviews', '{number}')")
    assert "next       make rollback, which puts version 1 live" in loop.project.make("status").text
    assert "Optimise looks at a champion" in loop.call("optimise()")
    assert "Version 1 (linear) of reviews is live again" in loop.project.make("rollback").text
    assert loop.call(ALIASES)["champion"] == 1


def test_an_alias_moved_by_hand_is_told_and_a_rollback_goes_back(loop: Loop) -> None:
    by_hand(loop, "client.set_registered_model_alias('reviews', 'champion', '2')")
    status = loop.project.make("status").text
    assert "live       version 2 (linear)" in status
    assert "before     version 1 (linear); back to it: make rollback" in status
    assert "not live" not in status
    back = loop.project.make("rollback")
    assert "Version 1 (linear) of reviews is live again, instead of version 2." in back.text, back.text
    assert loop.call(ALIASES) == {"champion": 1, "previous": 2}
    story = " ".join(loop.project.make("history").text.split())
    assert "the alias was moved by hand" in story
    assert [(line["action"], line["after"]) for line in loop.project.ledger] == [
        ("promoted", 1), ("found", 2), ("rolled back", 1),
    ]  # fmt: skip


# --- kills


def test_a_half_written_data_version_is_cleared_away(loop: Loop) -> None:
    """Laid out without a decision it goes; once change.json decides, it comes: test_killed_optimise.py."""
    loop.said(loop.asked(texts_of("train", 3)), "bad")
    (loop.root / "data.new").mkdir()
    (loop.root / "data.new" / "table.csv").write_text("half a ta")
    (loop.root / "data.dvc.new").write_text("outs:")
    loop.optimise()
    assert len(loop.kept) == 3
    assert not (loop.root / "data.new").exists()
    assert not (loop.root / "data.dvc.new").exists()


def test_two_at_once_are_one_and_a_sentence(loop: Loop) -> None:
    ids = loop.asked(texts_of("train", 4))
    loop.said(ids, "bad")
    before = loop.project.bytes_of("data.dvc", "data", "state/ledger.jsonl")
    with lock.one_at_a_time(loop.root / "state", "make optimise", lambda died: None):
        sentence = loop.call("optimise()")
        assert sentence.startswith("Only one loop turns at a time. Received: `make optimise` (process ")
        refused(loop.project.make("optimise"), "Only one loop turns at a time")
        assert loop.project.bytes_of("data.dvc", "data", "state/ledger.jsonl") == before
    loop.optimise()
    assert [row["prediction"] for row in loop.kept] == ids


# --- the trial on live traffic


def on_trial(loop: Loop, rows: int = 1000) -> None:
    """Put version 2, which passed the gate, on trial in the champion's shadow."""
    params = loop.root / "params.yaml"
    params.write_text(params.read_text() + f"deploy: {{canary: {{shadow: true, rows: {rows}}}}}\n")
    by_hand(loop, "client.set_registered_model_alias('reviews', 'challenger', '2')")
    assert loop.call("deploy(2)") == 1
    assert "since " in loop.call("problem_and_registry()[1].version(2).tags['trial']")


def both_answer(loop: Loop, champion: str, challenger: str, words: str, count: int) -> None:
    """Log both versions' answers to texts that the audit labels `good`."""
    texts = [f"Opinion {number} on trial, {words}" for number in range(count)]
    ids = loop.asked(texts, champion)
    loop.asked(texts, challenger, version=2, role="shadow")
    loop.said(ids, "good", "audit")


def test_a_worse_challenger_goes_back_and_the_champion_stays(loop: Loop) -> None:
    on_trial(loop)
    both_answer(loop, "good", "bad", "the champion alone is right", 12)
    both_answer(loop, "good", "good", "both are right", 5)
    loop.optimise()
    assert loop.call(ALIASES) == {"champion": 1}
    tags = loop.call("dict(problem_and_registry()[1].version(2).tags)")
    assert tags["decision"] == "refused on live traffic"
    assert "On 17 audited live texts the challenger alone was right on 0, the champion alone on 12" in tags["trial"]
    assert "so version 1 stays" in " ".join(loop.project.make("history").text.split())
    by_hand(loop, "client.set_registered_model_alias('reviews', 'challenger', '2')")  # as a kill before the end left it
    loop.optimise()
    assert loop.call(ALIASES) == {"champion": 1}
    assert (loop.root / "state" / "ledger.jsonl").read_text().count('"by": "its trial on live traffic"') == 1


def test_a_better_challenger_goes_live(loop: Loop) -> None:
    on_trial(loop)
    both_answer(loop, "bad", "good", "the challenger alone is right", 12)
    loop.optimise()
    assert loop.call(ALIASES) == {"champion": 2, "previous": 1}


def test_a_trial_without_a_verdict_ends_after_its_rows_and_the_gate_holds(loop: Loop) -> None:
    on_trial(loop, rows=8)
    both_answer(loop, "good", "good", "both are right", 7)
    loop.call("vars(optimise(2))")  # whichever version is looked at: the trial is against what is live
    assert loop.call(ALIASES) == {"champion": 1, "challenger": 2}
    loop.optimise()
    assert loop.call(ALIASES) == {"champion": 1, "challenger": 2}
    assert "on trial on live texts. On 7 audited" in " ".join(loop.project.make("status").text.split())
    both_answer(loop, "good", "good", "and once more", 1)
    loop.optimise()
    assert loop.call(ALIASES) == {"champion": 2, "previous": 1}


def test_a_trial_that_params_yaml_asks_for_no_more_is_over_and_the_gate_holds(loop: Loop) -> None:
    params = loop.root / "params.yaml"
    before = params.read_text()
    on_trial(loop)
    params.write_text(before)
    loop.optimise()
    assert loop.call(ALIASES) == {"champion": 2, "previous": 1}


def test_a_trial_that_was_passed_waits_once_for_a_person(loop: Loop) -> None:
    """Looks that come meanwhile ask nobody again: the run to resume stays the one that was shown."""
    on_trial(loop)
    params = loop.root / "params.yaml"
    params.write_text(params.read_text().replace("deploy: {", "deploy: {approval: manual, "))
    both_answer(loop, "bad", "good", "the challenger alone is right", 12)
    before = deploys(loop)
    for _ in range(2):
        loop.optimise()
        assert deploys(loop) == before + 1
        assert loop.call(ALIASES) == {"champion": 1, "challenger": 2}
    assert "make approve, which puts version 2 live" in loop.project.make("status").text
    assert loop.call("deploy(2, tried=True, approved=True)") == 2


def deploys(loop: Loop) -> int:
    """Count the runs of *deploy*."""
    with closing(sqlite3.connect(loop.root / "state" / "prefect" / "prefect.db")) as database:
        (count,) = database.execute(
            "select count(*) from flow_run join flow on flow.id = flow_id where flow.name = 'deploy'"
        ).fetchone()
    return int(count)


def test_no_turn_of_its_own_ends_a_trial_and_the_labels_that_asked_for_it_judge(loop: Loop) -> None:
    """A turn's version would take the alias of the one on trial: with labels all the while, no trial would ever end."""
    on_trial(loop)
    loop.said(loop.asked(texts_of("train", 6)), "bad")
    assert loop.call("lifecycle(trigger='6 new labels', learn=True)") is None
    assert loop.call(ALIASES) == {"champion": 1, "challenger": 2}
    assert (loop.pace["kept"], loop.pace["learned"]) == (6, 6), "they ask for no turn again"
    assert loop.call("retrain_state.has_changed(problem_and_registry()[0])"), "and the next one has them"
    both_answer(loop, "good", "bad", "the champion alone is right", 12)
    assert loop.call("lifecycle(trigger='12 new labels', learn=True)") is None
    assert loop.call(ALIASES) == {"champion": 1}


def test_a_look_asks_for_no_turn_while_a_version_waits(loop: Loop) -> None:
    params = loop.root / "params.yaml"
    params.write_text(params.read_text() + "optimise: {labels: 6}\n")
    on_trial(loop)
    loop.said(loop.asked(texts_of("train", 6)), "bad")
    assert loop.optimise()["next"] == "No turn begins by itself: 6 new labels; version 2 is on trial"


def test_corrections_decide_no_trial(loop: Loop) -> None:
    on_trial(loop, rows=5)
    texts = texts_of("train", 30)
    ids = loop.asked(texts, "good")
    loop.asked(texts, "bad", version=2, role="shadow")
    loop.said(ids, "good")
    loop.optimise()
    assert loop.call(ALIASES) == {"champion": 1, "challenger": 2}
