"""What is noted of turns that began by themselves and of labels taken in: no start and no label is forgotten."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ratchet import pace, predictions, versions
from ratchet.places import Places
from ratchet.problem import Problem
from ratchet.serving.writer import LATE, Writer
from ratchet.settings import Settings
from tests.crowd import ask_of, say_of

NAME = "reviews"
TOLD = {"problem": NAME, "data": {"text": "text", "label": "label"}, "build": {"candidates": ["linear"]}}


@pytest.fixture
def problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Problem:
    monkeypatch.delenv("RATCHET_PREDICTIONS", raising=False)
    monkeypatch.setenv("RATCHET_STATE", str(tmp_path))
    here = Places(tmp_path, tmp_path, "127.0.0.1", 1, 2, 3)
    return Problem(here, Settings.model_validate(TOLD), versions.Pin("0" * 32, 1, ""))


def waiting(problem: Problem) -> int:
    return pace.waiting(problem.here, problem.settings)


def collect(problem: Problem, kept: int = 0) -> None:
    log = problem.here.predictions
    pace.collected(problem, predictions.labels(log), predictions.newest_label(log), kept)


def texts(word: str, count: int) -> list[str]:
    return [f"{word} {number}" for number in range(count)]


def test_a_start_is_noted_before_anybody_is_asked_for_the_turn(problem: Problem) -> None:
    with pace.beginning(problem.here, NAME) as noted:
        assert len(pace.starts(problem)) == 1, "whoever is killed here has begun a turn"
        noted("a run")
    assert pace.read(problem.here, NAME).run == "a run"
    with pytest.raises(OSError, match="no server"), pace.beginning(problem.here, NAME):
        raise OSError("no server")
    assert len(pace.starts(problem)) == 1, "no turn began"


def test_a_run_of_the_loop_and_the_watcher_write_the_note_at_one_moment(problem: Problem) -> None:
    def begin(number: int) -> None:
        with pace.beginning(problem.here, NAME) as noted:
            noted(str(number))

    def turn(number: int) -> None:
        pace.turned(problem.here, NAME, "cause", number)

    with ThreadPoolExecutor(2) as both:
        for done in [both.submit(what, number) for number in range(20) for what in (begin, turn)]:
            done.result()
    assert len(pace.starts(problem)) == 20
    assert pace.read(problem.here, NAME).cause == "cause"


def test_labels_that_leave_the_log_with_their_answers_make_the_others_no_news(problem: Problem) -> None:
    log = problem.here.predictions
    say_of(log, texts("old", 60), "good")
    collect(problem)
    with predictions.connected(log) as connection:
        connection.execute("delete from feedback where prediction in (select id from predictions order by id limit 9)")
    assert waiting(problem) == 0
    say_of(log, texts("new", 5), "good")
    assert waiting(problem) == 5


def test_a_next_table_that_took_the_feedback_in_leaves_none_waiting(problem: Problem) -> None:
    collect(problem, kept=60)
    assert waiting(problem) == 60
    pace.turned(problem.here, NAME, "cause", 60)
    pace.turned(problem.here, NAME, "the owner's table has fifty of them now", 10)
    assert waiting(problem) == 0


def test_each_label_that_was_taken_in_is_forgotten_in_its_time_and_no_other(problem: Problem) -> None:
    """Labels come all the while: those that wait keep themselves in the log, not all others."""
    log = problem.here.predictions
    one, two = "0" * 32, "0" * 31 + "1"
    ask_of(log, [one, two, "of today"])
    with predictions.connected(log) as connection:
        for name, at in ((one, 100.0), (two, 200.0)):
            connection.execute("update predictions set id = text where text = ?", (name,))
            connection.execute(predictions.FEEDBACK, (name, "good", "user", at, None))
    pace.collected(problem, 2, 100.0 + LATE, 0)
    Writer(log).forget()
    with predictions.connected(log) as connection:
        assert connection.execute("select text from predictions order by id").fetchall() == [(two,), ("of today",)]
        assert connection.execute("select prediction from feedback").fetchall() == [(two,)]


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

    from flows import watcher

    problem.here.params.write_text(json.dumps(TOLD | {"optimise": {"labels": 1}}))
    say_of(problem.here.predictions, ["a text"], "good")
    with ThreadingHTTPServer(("127.0.0.1", 0), Portal) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{server.server_port}/api"}):
            assert watcher.looked(problem.here).startswith("JSONDecodeError: ")
        server.shutdown()
