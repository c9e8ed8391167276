"""What the service bears: kills in a storm of feedback, slow and too many clients, a log that cannot be written."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest

from ratchet.monitoring.log import predictions
from ratchet.monitoring.log.writer import REPORT, Answers, Message, Report, framed, frames, pack
from tests.support.private_texts import KNOWN
from tests.support.project import ROOT, Project, copied
from tests.support.service import Served, ask, asked, logged, metrics, served, until
from tests.support.up import wait_for


def with_deploy(original: Project, folder: Path, says: str) -> Project:
    project = copied(original, folder / "project")
    project.write("params.yaml", (project.root / "params.yaml").read_text() + f"deploy: {says}\n")
    return project


@pytest.fixture
def mine(original: Project, tmp_path: Path) -> Project:
    return copied(original, tmp_path / "project")


class Wires:
    """Bare connections to a service, closed at the end of the test."""

    def __init__(self) -> None:
        self.open: list[socket.socket] = []

    def connect(self, service: Served) -> socket.socket:
        host, port = service.address.removeprefix("http://").split(":")
        self.open.append(socket.create_connection((host, int(port)), timeout=30))
        return self.open[-1]

    def begin(self, service: Served, body: bytes, promised: int) -> socket.socket:
        """A request whose head promises so many bytes, of which these are sent."""
        connection = self.connect(service)
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n" % promised + body
        )
        return connection


@pytest.fixture
def wires() -> Iterator[Wires]:
    found = Wires()
    yield found
    for connection in found.open:
        connection.close()


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes, or until a whole answer is there."""
    got = b""
    with suppress(ConnectionResetError):
        while some := connection.recv(1 << 16):
            got += some
            head, _, body = got.partition(b"\r\n\r\n")
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if length and len(body) >= int(length[0].split(b":")[1]):
                break
    return got


def test_killed_in_a_storm_of_feedback_it_has_all_that_was_acknowledged(mine: Project):
    acknowledged: list[str] = []
    with served(mine) as service:
        ids = [
            row["id"]
            for row in httpx.post(f"{service.address}/predict", json={"texts": ["x"] * 2000}).json()["predictions"]
        ]

        def storm(part: list[str]) -> None:
            with httpx.Client(base_url=service.address) as http, suppress(httpx.TransportError):
                for name in part:
                    if http.post("/feedback", json={"id": name, "label": "good"}).status_code == 200:
                        acknowledged.append(name)

        threads = [threading.Thread(target=storm, args=(ids[at::4],)) for at in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(acknowledged) > 200, "feedback was acknowledged")
        os.kill(service.process.pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
    assert 200 < len(acknowledged) < 2000
    assert set(acknowledged) <= {row[0] for row in logged(mine, "select prediction from feedback")}


def test_told_to_end_it_answers_what_is_here_and_logs_it(mine: Project, wires: Wires):
    body = json.dumps({"texts": ["Film 1 is splendid"]}).encode()
    with served(mine) as service:
        connection = wires.begin(service, body[:5], len(body))
        with asked(service) as http:
            ask(http, "another")
        service.process.send_signal(signal.SIGTERM)
        until(lambda: refuses(service, wires), "it takes no new connection")
        connection.sendall(body[5:])
        assert received(connection).startswith(b"HTTP/1.1 200")
        service.process.wait(30)
    assert logged(mine, "select count(*) from predictions") == [(2,)]


def refuses(service: Served, wires: Wires) -> bool:
    try:
        wires.connect(service)
    except ConnectionRefusedError:
        return True
    return False


def test_a_slow_client_is_cut_off_and_holds_nobody_up(original: Project, tmp_path: Path, wires: Wires):
    project = with_deploy(original, tmp_path, "{limits: {seconds: 1.0}}")
    with served(project) as service, asked(service) as http:
        in_its_body, in_its_head = wires.begin(service, b"{", 100), wires.connect(service)
        in_its_head.sendall(b"POST /predict HTTP/1.1\r\nhost: loc")
        assert ask(http, "others are answered")["version"] == "1"
        assert received(in_its_body).startswith(b"HTTP/1.1 408")
        assert received(in_its_head) == b""
        assert received(in_its_body) == b"", "and its connection is closed"
        endless = wires.connect(service)
        with suppress(BrokenPipeError, ConnectionResetError):
            endless.sendall(b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * 200_000)
        assert b"200 OK" not in received(endless)
        assert ask(http, "and are still")["version"] == "1"


def test_too_much_at_once_is_told_to_come_back(original: Project, tmp_path: Path, wires: Wires):
    project = with_deploy(original, tmp_path, "{limits: {waiting_mb: 0.04}}")
    with served(project) as service, asked(service) as http:
        waiting = [wires.begin(service, b"{", 100) for _ in range(2)]
        until(lambda: http.get("/metrics").status_code == 503, "both are inside")
        answer = http.post("/predict", json={"texts": ["a"]})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["detail"] == "Too many requests at once. Come back in a second."
        assert http.get("/ping").status_code == 200, "whoever watches over it is answered"
        for connection in waiting:
            connection.close()
        until(lambda: http.post("/predict", json={"texts": ["a"]}).status_code == 200, "there is room again")
        assert metrics(http)["ratchet_overload_total"] >= 2


def test_a_log_that_cannot_be_written_costs_no_answer_and_no_row(mine: Project):
    with served(mine) as service, asked(service) as http:
        (first,) = ask(http, "before")["predictions"]
        until(lambda: metrics(http)["ratchet_log_written"] == 1, "the first is written")
        with closing(sqlite3.connect(mine.root / "state" / "predictions.db", isolation_level=None)) as other:
            other.execute("begin exclusive")
            assert len(ask(http, "meanwhile", "and more")["predictions"]) == 2
            answer = http.post("/feedback", json={"id": first["id"], "label": "good"})
            assert (answer.status_code, "not taken" in answer.json()["detail"]) == (503, True)
            assert metrics(http)["ratchet_log_failed_writes"] >= 1
            other.execute("rollback")
        until(lambda: metrics(http)["ratchet_log_written"] == 3, "what waited is written")
        assert http.post("/feedback", json={"id": first["id"], "label": "good"}).status_code == 200
        assert metrics(http)["ratchet_log_dropped"] == 0
    assert logged(mine, "select text from predictions order by id") == [("before",), ("meanwhile",), ("and more",)]


def test_rows_wait_for_a_disk_that_comes_back_however_many_come_meanwhile(tmp_path: Path):
    """The writer alone: each message below is one more try of all rows so far."""
    path = tmp_path / "predictions.db"
    path.mkdir()  # no file can be made there
    command = [sys.executable, "-m", "ratchet.monitoring.log.writer"]
    env = os.environ | {"RATCHET_STATE": str(tmp_path), "RATCHET_PREDICTIONS": ""}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        reports = reported(process.stdout.fileno())
        for number in range(1, 13):
            if number == 12:
                path.rmdir()
            answers = Answers(
                predictions.identities(1), ["a"], ["good"], [1.0], "reviews", 1, "champion", "predict", 0.0, 0.0
            )
            process.stdin.write(framed(pack(Message(number, answers))))
            process.stdin.flush()
            report = next(reports)
            assert report.dropped == 0
        while report.written == 0:
            report = next(reports)
        process.stdin.close()
    assert (report.number, report.written, report.dropped) == (12, 12, 0)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select count(*) from predictions").fetchall() == [(12,)]


def reported(handle: int) -> Iterator[Report]:
    buffer = bytearray()
    while some := os.read(handle, 1 << 16):
        buffer += some
        yield from (REPORT.decode(frame) for frame in frames(buffer))


def test_a_writer_that_is_killed_is_started_anew_loses_nothing_and_keeps_no_more(original: Project, tmp_path: Path):
    project = with_deploy(original, tmp_path, "{log: {texts: hash}}")
    with served(project) as service, asked(service) as http:
        ask(http, "one")
        until(lambda: metrics(http)["ratchet_log_written"] == 1, "the first is written")
        (writer,) = [pid for pid in children(service.process.pid) if b"log.writer" in command(pid)]
        os.kill(writer, signal.SIGKILL)
        for number in range(50):
            ask(http, f"meanwhile {number}")
        until(lambda: metrics(http)["ratchet_log_written"] >= 51, "another writer has written them")
        (row,) = ask(http, "after")["predictions"]
        assert http.post("/feedback", json={"id": row["id"], "label": "bad"}).status_code == 200
    assert logged(project, "select count(*), count(text) from predictions") == [(52, 0)]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize(
    ("policy", "kept"),
    [("whole", "write to ann@example.org"), ("redacted", "write to [mail]"), ("hash", None)],
)
def test_what_is_kept_of_a_text_is_what_the_policy_says(original: Project, tmp_path: Path, policy: str, kept: str):
    project = with_deploy(original, tmp_path, f"{{log: {{texts: {policy}}}}}")
    with served(project) as service, asked(service) as http:
        ask(http, "write to ann@example.org")
    text, digest, characters = logged(project, "select text, digest, characters from predictions")[0]
    assert (text, len(digest), characters) == (kept, 16, 24)


def test_a_redacted_log_has_no_known_form_and_no_long_text_stops_it(original: Project, tmp_path: Path):
    """One writer has the log: 100,000 letters held it up for minutes, and whoever said a label was refused."""
    project = with_deploy(original, tmp_path, "{log: {texts: redacted}}")
    with served(project) as service, asked(service) as http:
        ask(http, *KNOWN)
        for unit in ("a", "a.", "1 ", "+1"):
            ask(http, (unit * 100_000)[:100_000])
        (row,) = ask(http, "short")["predictions"]
        assert http.post("/feedback", json={"id": row["id"], "label": "good"}).status_code == 200
    texts = [text for (text,) in logged(project, "select text from predictions order by id")]
    assert texts[: len(KNOWN)] == list(KNOWN.values())
    assert (len(texts), texts[-1]) == (len(KNOWN) + 5, "short")


def test_what_is_older_than_its_days_is_forgotten_but_no_label_that_waits(original: Project, tmp_path: Path):
    project = with_deploy(original, tmp_path, "{log: {days: 7}}")
    with served(project) as service, asked(service) as http:
        rows = ask(http, "old", "labelled", "new")["predictions"]
        until(lambda: metrics(http)["ratchet_log_written"] == 3, "all are written")
    head = f"{int(1000 * (time.time() - 8 * 86_400)):012x}"
    with closing(sqlite3.connect(project.root / "state" / "predictions.db")) as connection, connection:
        for row in rows[:2]:
            connection.execute("update predictions set id = ? where id = ?", (head + row["id"][12:], row["id"]))
        connection.execute(predictions.FEEDBACK, (head + rows[1]["id"][12:], "good", "user", 0, None))
    texts = "select text from predictions order by id"
    with served(project):
        until(
            lambda: logged(project, texts) == [("labelled",), ("new",)], "the old one is gone, the labelled one waits"
        )
    log = project.root / "state" / "predictions.db"
    predictions.take(log, predictions.untaken(log, "reviews"))
    with served(project):
        until(lambda: logged(project, texts) == [("new",)], "it was taken in, and is gone")
    assert logged(project, "select count(*) from feedback") == [(0,)]


def test_make_serve_starts_a_service_anew_that_was_killed(mine: Project):
    process = mine.start_really("serve")
    address = f"http://127.0.0.1:{mine.environment['SERVE_PORT']}"
    try:
        wait_for(process, "Ctrl-C ends it")
        until(lambda: answered(address), "it answers")
        note = json.loads((mine.root / "state" / "servers" / "service.json").read_text())
        (service,) = [pid for pid in children(note["pid"]) if b"ratchet.serving" in command(pid)]
        os.kill(service, signal.SIGKILL)
        until(lambda: not answered(address), "it is gone")
        until(lambda: answered(address), "it answers again")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert "The prediction service ended by itself, and is started again." in said


def answered(address: str) -> bool:
    try:
        return httpx.post(f"{address}/predict", json={"texts": ["a"]}).status_code == 200
    except httpx.TransportError:
        return False


def test_two_services_at_once_are_one(mine: Project):
    with served(mine):
        done = mine.make("serve")
    assert done.status != 0
    assert "must be free for service" in done.text
