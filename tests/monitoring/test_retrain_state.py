"""What is noted of turns that began by themselves and of labels taken in: no start and no label is forgotten."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ratchet.monitoring import retrain_state
from ratchet.monitoring.log import database, predictions
from ratchet.monitoring.log.writer import Policy, Writer
from ratchet.problem import data_pin
from ratchet.problem.problem import Problem
from ratchet.problem.settings import Settings
from ratchet.project import durable
from ratchet.project.paths import Places
from tests.support.people import ask_of, say, say_of
from tests.support.toy_kind import homes_like, predict_number

NAME = "reviews"
PARAMS = {"problem": NAME, "data": {"text": "text", "label": "label"}, "build": {"candidates": ["linear"]}}


@pytest.fixture
def problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Problem:
    monkeypatch.delenv("RATCHET_PREDICTIONS", raising=False)
    monkeypatch.setenv("RATCHET_STATE", str(tmp_path))
    here = Places(tmp_path, tmp_path, "127.0.0.1", 1, 2, 3)
    return Problem(here, Settings.model_validate(PARAMS), data_pin.Pin("0" * 32, 1, ""))


def waiting(problem: Problem) -> int:
    return retrain_state.count_waiting_labels(problem.here, problem.settings)


def collect(problem: Problem, kept: int = 0) -> None:
    """All that waits in the log is taken in; so many rows are in the data then."""
    log = problem.here.predictions
    predictions.mark_taken(log, predictions.waiting_labels(log, NAME))
    retrain_state.record_collection(problem, 0, kept)


def texts(word: str, count: int) -> list[str]:
    return [f"{word} {number}" for number in range(count)]


def test_a_start_is_recorded_before_the_turn_is_requested(problem: Problem) -> None:
    with retrain_state.record_start(problem.here, NAME) as noted:
        assert len(retrain_state.starts(problem)) == 1, "whoever is killed here has begun a turn"
        noted("a run")
    assert retrain_state.read(problem.here, NAME).run == "a run"
    with pytest.raises(OSError, match="no server"), retrain_state.record_start(problem.here, NAME):
        raise OSError("no server")
    assert len(retrain_state.starts(problem)) == 1, "no turn began"


def test_concurrent_writers_of_the_state_lose_nothing(problem: Problem) -> None:
    def begin(number: int) -> None:
        with retrain_state.record_start(problem.here, NAME) as noted:
            noted(str(number))

    def turn(number: int) -> None:
        retrain_state.record_turn(problem.here, NAME, "cause", {"user": number})

    with ThreadPoolExecutor(2) as both:
        for future in [both.submit(action, number) for number in range(20) for action in (begin, turn)]:
            future.result()
    assert len(retrain_state.starts(problem)) == 20
    assert retrain_state.read(problem.here, NAME).cause == "cause"


def test_labels_deleted_from_the_log_do_not_change_the_count_of_new_ones(problem: Problem) -> None:
    log = problem.here.predictions
    say_of(log, texts("old", 60), "good")
    collect(problem)
    with database.connected(log) as connection:
        connection.execute("delete from feedback where prediction in (select id from predictions order by id limit 9)")
    assert waiting(problem) == 0
    say_of(log, texts("new", 5), "good")
    assert waiting(problem) == 5


def test_a_next_table_that_took_the_feedback_in_leaves_none_waiting(problem: Problem) -> None:
    collect(problem, kept=60)
    assert waiting(problem) == 60
    retrain_state.record_turn(problem.here, NAME, "cause", {"user": 60})
    retrain_state.record_turn(problem.here, NAME, "the owner's table has fifty of them now", {"user": 10})
    assert waiting(problem) == 0


def test_labels_of_another_problem_in_the_log_ask_for_no_turn_of_this_one(problem: Problem) -> None:
    log = problem.here.predictions
    say(log, ask_of(log, texts("of the other", 60), problem="other"), "good")
    assert waiting(problem) == 0
    say_of(log, texts("of ours", 5), "good")
    assert waiting(problem) == 5


def test_labels_left_in_the_log_do_not_count_until_new_ones_come(problem: Problem) -> None:
    log = problem.here.predictions
    say_of(log, texts("a flood", 60), "good")
    retrain_state.record_collection(problem, 60, 0)
    assert waiting(problem) == 0
    say(log, ask_of(log, texts("new", 5)), "good")
    assert waiting(problem) == 5


def test_a_label_that_is_given_again_counts_once(problem: Problem) -> None:
    log = problem.here.predictions
    ids = ask_of(log, texts("said twice", 5))
    say(log, ids, "good")
    assert waiting(problem) == 5
    say(log, ids, "good")
    assert waiting(problem) == 5
    collect(problem)
    say(log, ids, "good")
    assert waiting(problem) == 0
    say(log, ids[:1], "bad")
    assert waiting(problem) == 1


@pytest.mark.parametrize("seen", [0, 2e9])
def test_a_state_file_of_earlier_code_is_read(problem: Problem, seen: float) -> None:
    """It counted all labels of the log, and knew the moment of the newest."""
    say_of(problem.here.predictions, texts("old", 60), "good")
    content = {"problem": NAME, "starts": [1.0], "run": "a run", "learned": 50, "kept": 60, "looked_at": 60}
    durable.write_json(problem.here.pace, content | {"seen": seen, "cause": "cause"})
    state = retrain_state.read(problem.here, NAME)
    assert (state.starts, state.run, state.learned, state.kept, state.cause) == ((1.0,), "a run", 50, 60, "cause")
    assert waiting(problem) == 10, "those that were collected since the last turn"
    assert retrain_state.untaught(problem, {"user": 60}) == {}, "what it had learned of each source it did not note"


def left(log: Path) -> list[tuple[str, str | None]]:
    """The texts that are left in the log, each with its label."""
    with database.connected(log) as connection:
        rows = connection.execute(
            "select text, feedback.label from predictions left join feedback on prediction = id order by text"
        ).fetchall()
    return [(text, label) for text, label in rows]


def forget(log: Path) -> None:
    """What the service's writer does each hour."""
    writer = Writer(log)
    writer.policy = Policy("whole", 7, NAME)
    writer.forget()
    writer.close()


def test_a_label_leaves_the_log_only_once_it_was_taken_in_whatever_came_after_it(problem: Problem) -> None:
    """Labels come all the while, some by a clock that is behind: those that wait keep themselves, not others."""
    log = problem.here.predictions
    one, two, three = ask_of(log, ["one", "two", "three"], days_ago=8)
    ask_of(log, ["four, with no label"], days_ago=8)
    say(log, [one, two], "good")
    given = predictions.waiting_labels(log, NAME)
    say(log, [three], "good")
    with database.connected(log) as connection:
        connection.execute("update feedback set at = 0 where prediction = ?", (three,))
    say(log, ask_of(log, ["of today"]), "good")
    predictions.mark_taken(log, [each for each in given if each.prediction == one])
    forget(log)
    assert left(log) == [("of today", "good"), ("three", "good"), ("two", "good")]
    predictions.mark_taken(log, predictions.waiting_labels(log, NAME))
    forget(log)
    assert left(log) == [("of today", "good")]


def test_a_label_that_was_given_again_while_it_was_collected_waits(problem: Problem) -> None:
    log = problem.here.predictions
    ids = ask_of(log, ["changed"], days_ago=8)
    for label in ("good", "bad"):
        say(log, ids, label)
    given = predictions.waiting_labels(log, NAME)
    say(log, ids, "good")
    predictions.mark_taken(log, given)
    forget(log)
    assert left(log) == [("changed", "bad"), ("changed", "good")], "what it is of and all that was said of it stay"
    assert [each.label for each in predictions.waiting_labels(log, NAME)] == ["good"]


def test_labels_of_another_problem_stay_until_its_own_loop_takes_them_in(problem: Problem) -> None:
    log = problem.here.predictions
    say(log, ask_of(log, ["of the other"], days_ago=8, problem="other"), "good")
    say(log, ask_of(log, ["of ours"], days_ago=8), "good")
    predictions.mark_taken(log, predictions.waiting_labels(log, NAME))
    forget(log)
    assert left(log) == [("of the other", "good")]
    predictions.mark_taken(log, predictions.waiting_labels(log, "other"))
    forget(log)
    assert left(log) == []


class Portal(BaseHTTPRequestHandler):
    """What stands in the way of a network says hello to everybody."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"Please log in")

    def log_message(self, *_: object) -> None:
        pass


def test_the_watcher_of_labels_bears_an_answer_that_is_none_of_prefects(problem: Problem) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.published import label_watcher

    problem.here.params.write_text(json.dumps(PARAMS | {"optimise": {"labels": 1}}))
    say_of(problem.here.predictions, ["a text"], "good")
    with ThreadingHTTPServer(("127.0.0.1", 0), Portal) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{server.server_port}/api"}):
            assert label_watcher.check_safely(problem.here).startswith("JSONDecodeError: ")
        server.shutdown()


def test_no_label_of_a_kind_without_feedback_waits(problem: Problem) -> None:
    log = problem.here.predictions
    say(log, ask_of(log, texts("once asked", 60)), "bad")
    assert waiting(problem) == 60
    assert remedy(problem) == "label some texts"
    with predict_number():
        heard = homes_like(problem)
        assert (waiting(heard), remedy(heard)) == (60, "label some rows")
    with predict_number(()):
        deaf = homes_like(problem)
        assert (waiting(deaf), remedy(deaf)) == (0, "bring newer rows (make data)")


def remedy(problem: Problem) -> str:
    return retrain_state.current_signals(problem, None, "size").remedy
