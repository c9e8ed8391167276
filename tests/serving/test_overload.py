"""The service under stress: kills, slow and too many clients, a log that cannot be written, retention of texts."""

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


def with_deploy(original: Project, folder: Path, value: str) -> Project:
    """A copy of the project with this section `deploy` in params.yaml."""
    project = copied(original, folder / "project")
    project.write("params.yaml", (project.root / "params.yaml").read_text() + f"deploy: {value}\n")
    return project


@pytest.fixture
def own_project(original: Project, tmp_path: Path) -> Project:
    return copied(original, tmp_path / "project")


class Sockets:
    """Raw connections to a service, closed at the end of the test."""

    def __init__(self) -> None:
        self.open: list[socket.socket] = []

    def connect(self, service: Served) -> socket.socket:
        host, port = service.address.removeprefix("http://").split(":")
        self.open.append(socket.create_connection((host, int(port)), timeout=30))
        return self.open[-1]

    def begin(self, service: Served, body: bytes, promised: int) -> socket.socket:
        """Send the head of a request and a part of its body.

        Args:
            service: to connect to.
            body: the part that is sent.
            promised: the Content-Length.
        """
        connection = self.connect(service)
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n" % promised + body
        )
        return connection


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    opened = Sockets()
    yield opened
    for connection in opened.open:
        connection.close()


def received(connection: socket.socket) -> bytes:
    """What the service sends: one whole answer, or all until it closes the connection."""
    data = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(1 << 16):
            data += chunk
            head, _, body = data.partition(b"\r\n\r\n")
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if length and len(body) >= int(length[0].split(b":")[1]):
                break
    return data


def test_no_acknowledged_feedback_is_lost_by_a_kill(own_project: Project):
    acknowledged: list[str] = []
    with served(own_project) as service:
        ids = [
            row["id"]
            for row in httpx.post(f"{service.address}/predict", json={"texts": ["x"] * 2000}).json()["predictions"]
        ]

        def send_feedback(part: list[str]) -> None:
            with httpx.Client(base_url=service.address) as http, suppress(httpx.TransportError):
                for prediction in part:
                    if http.post("/feedback", json={"id": prediction, "label": "good"}).status_code == 200:
                        acknowledged.append(prediction)

        threads = [threading.Thread(target=send_feedback, args=(ids[start::4],)) for start in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(acknowledged) > 200, "feedback was acknowledged")
        os.kill(service.process.pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
    assert 200 < len(acknowledged) < 2000
    assert set(acknowledged) <= {row[0] for row in logged(own_project, "select prediction from feedback")}


def test_after_sigterm_requests_in_flight_are_answered_and_logged(own_project: Project, sockets: Sockets):
    body = json.dumps({"texts": ["Film 1 is splendid"]}).encode()
    with served(own_project) as service:
        connection = sockets.begin(service, body[:5], len(body))
        with asked(service) as http:
            ask(http, "another")
        service.process.send_signal(signal.SIGTERM)
        until(lambda: refuses_connections(service, sockets), "the service takes no new connection")
        connection.sendall(body[5:])
        assert received(connection).startswith(b"HTTP/1.1 200")
        service.process.wait(30)
    assert logged(own_project, "select count(*) from predictions") == [(2,)]


def refuses_connections(service: Served, sockets: Sockets) -> bool:
    try:
        sockets.connect(service)
    except ConnectionRefusedError:
        return True
    return False


def test_a_slow_client_is_cut_off_and_does_not_delay_others(original: Project, tmp_path: Path, sockets: Sockets):
    project = with_deploy(original, tmp_path, "{limits: {seconds: 1.0}}")
    with served(project) as service, asked(service) as http:
        slow_body = sockets.begin(service, b"{", 100)
        slow_head = sockets.connect(service)
        slow_head.sendall(b"POST /predict HTTP/1.1\r\nhost: loc")
        assert ask(http, "others are answered")["version"] == "1"
        assert received(slow_body).startswith(b"HTTP/1.1 408")
        assert received(slow_head) == b""
        assert received(slow_body) == b"", "and its connection is closed"
        endless_head = sockets.connect(service)
        with suppress(BrokenPipeError, ConnectionResetError):
            endless_head.sendall(b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * 200_000)
        assert b"200 OK" not in received(endless_head)
        assert ask(http, "and are still")["version"] == "1"


def test_an_overload_is_refused_with_retry_after(original: Project, tmp_path: Path, sockets: Sockets):
    project = with_deploy(original, tmp_path, "{limits: {waiting_mb: 0.04}}")
    with served(project) as service, asked(service) as http:
        waiting = [sockets.begin(service, b"{", 100) for _ in range(2)]
        until(lambda: http.get("/metrics").status_code == 503, "both are inside")
        answer = http.post("/predict", json={"texts": ["a"]})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["detail"] == "Too many requests at once. Come back in a second."
        assert http.get("/ping").status_code == 200, "health checks are answered"
        for connection in waiting:
            connection.close()
        until(lambda: http.post("/predict", json={"texts": ["a"]}).status_code == 200, "there is room again")
        assert metrics(http)["ratchet_overload_total"] >= 2


def test_a_log_that_cannot_be_written_costs_no_answer_and_no_row(own_project: Project):
    with served(own_project) as service, asked(service) as http:
        (first,) = ask(http, "before")["predictions"]
        until(lambda: metrics(http)["ratchet_log_written"] == 1, "the first is written")
        with closing(sqlite3.connect(own_project.root / "state" / "predictions.db", isolation_level=None)) as blocker:
            blocker.execute("begin exclusive")
            assert len(ask(http, "meanwhile", "and more")["predictions"]) == 2
            answer = http.post("/feedback", json={"id": first["id"], "label": "good"})
            assert (answer.status_code, "not taken" in answer.json()["detail"]) == (503, True)
            assert metrics(http)["ratchet_log_failed_writes"] >= 1
            blocker.execute("rollback")
        until(lambda: metrics(http)["ratchet_log_written"] == 3, "what waited is written")
        assert http.post("/feedback", json={"id": first["id"], "label": "good"}).status_code == 200
        assert metrics(http)["ratchet_log_dropped"] == 0
    assert logged(own_project, "select text from predictions order by id") == [
        ("before",),
        ("meanwhile",),
        ("and more",),
    ]


def test_the_writer_keeps_all_rows_until_the_disk_comes_back(tmp_path: Path):
    """The writer alone: each message makes it try all rows so far once more."""
    path = tmp_path / "predictions.db"
    path.mkdir()  # no file can be made there
    command = [sys.executable, "-m", "ratchet.monitoring.log.writer"]
    env = os.environ | {"RATCHET_STATE": str(tmp_path), "RATCHET_PREDICTIONS": ""}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        reports = read_reports(process.stdout.fileno())
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


def read_reports(handle: int) -> Iterator[Report]:
    buffer = bytearray()
    while chunk := os.read(handle, 1 << 16):
        buffer += chunk
        yield from (REPORT.decode(frame) for frame in frames(buffer))


def test_a_killed_writer_is_restarted_without_a_loss_and_with_its_policy(original: Project, tmp_path: Path):
    project = with_deploy(original, tmp_path, "{log: {texts: hash}}")
    with served(project) as service, asked(service) as http:
        ask(http, "one")
        until(lambda: metrics(http)["ratchet_log_written"] == 1, "the first is written")
        (writer,) = [pid for pid in child_pids(service.process.pid) if b"log.writer" in command_line(pid)]
        os.kill(writer, signal.SIGKILL)
        for number in range(50):
            ask(http, f"meanwhile {number}")
        until(lambda: metrics(http)["ratchet_log_written"] >= 51, "another writer has written them")
        (row,) = ask(http, "after")["predictions"]
        assert http.post("/feedback", json={"id": row["id"], "label": "bad"}).status_code == 200
    assert logged(project, "select count(*), count(text) from predictions") == [(52, 0)]


def child_pids(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize(
    ("policy", "kept"),
    [("whole", "write to ann@example.org"), ("redacted", "write to [mail]"), ("hash", None)],
)
def test_the_log_keeps_of_a_text_what_the_policy_says(original: Project, tmp_path: Path, policy: str, kept: str):
    project = with_deploy(original, tmp_path, f"{{log: {{texts: {policy}}}}}")
    with served(project) as service, asked(service) as http:
        ask(http, "write to ann@example.org")
    text, digest, characters = logged(project, "select text, digest, characters from predictions")[0]
    assert (text, len(digest), characters) == (kept, 16, 24)


def test_a_redacted_log_hides_all_known_forms_and_is_not_stopped_by_long_texts(original: Project, tmp_path: Path):
    """There is one writer: 100,000 letters once held it up for minutes, and feedback was refused meanwhile."""
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


def test_old_predictions_are_deleted_unless_their_label_waits(original: Project, tmp_path: Path):
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
            lambda: logged(project, texts) == [("labelled",), ("new",)],
            "the old prediction is gone, the labelled one stays",
        )
    log = project.root / "state" / "predictions.db"
    predictions.mark_taken(log, predictions.waiting_labels(log, "reviews"))
    with served(project):
        until(lambda: logged(project, texts) == [("new",)], "the labelled one is taken in, and gone")
    assert logged(project, "select count(*) from feedback") == [(0,)]


def test_make_serve_restarts_a_killed_service(own_project: Project):
    process = own_project.start_really("serve")
    address = f"http://127.0.0.1:{own_project.environment['SERVE_PORT']}"
    try:
        wait_for(process, "Ctrl-C ends it")
        until(lambda: does_predict(address), "the service answers")
        note = json.loads((own_project.root / "state" / "servers" / "service.json").read_text())
        (service,) = [pid for pid in child_pids(note["pid"]) if b"ratchet.serving" in command_line(pid)]
        os.kill(service, signal.SIGKILL)
        until(lambda: not does_predict(address), "the service is gone")
        until(lambda: does_predict(address), "the service answers again")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        output, _ = process.communicate(timeout=60)
    assert "The prediction service ended by itself, and is started again." in output


def does_predict(address: str) -> bool:
    try:
        return httpx.post(f"{address}/predict", json={"texts": ["a"]}).status_code == 200
    except httpx.TransportError:
        return False


def test_a_second_service_on_the_same_port_is_refused(own_project: Project):
    with served(own_project):
        done = own_project.make("serve")
    assert done.status != 0
    assert "must be free for service" in done.text
