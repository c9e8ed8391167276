"""Faults become sentences: by type before words, and with every traceback in the log."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ratchet.project import faults
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places


@pytest.fixture
def here(tmp_path: Path) -> Places:
    (tmp_path / "state").mkdir()
    return Places(tmp_path, tmp_path / "state", "127.0.0.1", 1, 2, 3)


def error_of(work: Callable[[], object]) -> Exception:
    try:
        work()
    except Exception as error:
        return error
    raise AssertionError("no error was raised")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("the query timed out"),
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/file"),
        sqlite3.OperationalError("database is locked"),
        KeyError("odd"),
    ],
)
def test_every_traceback_is_logged_also_that_of_a_recognised_fault(here: Places, error: Exception) -> None:
    def fail() -> None:
        raise error

    faults.explain(error_of(fail), here, "make build")
    log = (here.logs / "errors.log").read_text()
    assert "Traceback (most recent call last)" in log
    assert "in fail" in log
    assert "make build" in log
    assert log.count(type(error).__name__) >= 1


def test_a_refusal_stays_as_it_is_and_is_not_logged(here: Places) -> None:
    refusal = Refusal("A rule.", "this: timed out, permission denied", "Do that.")
    assert faults.explain(refusal, here, "make build") is refusal
    assert not (here.logs / "errors.log").exists()


@pytest.mark.parametrize(
    "error",
    [
        ValueError("the label 'timed out' is unknown"),
        KeyError("permission denied"),
        TypeError("AccessDenied() takes no argument"),
        AssertionError("read-only file system"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "connection refused"),
        FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/data/no space left on device.csv"),
    ],
)
def test_an_error_that_quotes_the_words_of_a_fault_is_not_recognised(here: Places, error: Exception) -> None:
    sentence = str(faults.explain(error, here, "make build"))
    assert "`make build` met an error that Ratchet does not know." in sentence
    assert str(here.logs / "errors.log") in sentence


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "must have room"),
        (errno.EDQUOT, "must have room"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "no permission for /a/timed out"),
        (errno.EPERM, "no permission for /a/timed out"),
        (errno.EIO, "give back what was written"),
        (errno.ECONNREFUSED, "must answer"),
        (errno.ECONNRESET, "must answer"),
    ],
)
def test_the_error_number_decides_whatever_the_file_is_called(here: Places, number: int, words: str) -> None:
    """The words of the tool's own exception would mean another fault."""
    cause = OSError(number, os.strerror(number), "/a/timed out")
    error = RuntimeError("Max retries exceeded, permission denied, disk is full")
    error.__cause__ = cause
    assert words in str(faults.recognise(error, here))


def test_the_error_number_of_sqlite_decides(here: Places, tmp_path: Path) -> None:
    path = tmp_path / "timed out.db"
    with sqlite3.connect(path) as first:
        first.execute("create table t (a)")
        first.execute("begin exclusive")
        second = sqlite3.connect(path, timeout=0)
        assert "must become free" in str(faults.recognise(error_of(lambda: second.execute("select * from t")), here))
    first.close()
    path.write_bytes(b"no database at all" * 100)
    third = sqlite3.connect(path)
    assert "whole SQLite file" in str(faults.recognise(error_of(lambda: third.execute("select * from t")), here))
    absent = f"file:{tmp_path / 'absent' / 'x.db'}?mode=rw"
    assert "can be opened" in str(faults.recognise(error_of(lambda: sqlite3.connect(absent, uri=True)), here))


def test_a_broken_pipe_is_not_taken_for_a_silent_server(here: Places) -> None:
    assert faults.recognise(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)), here) is None
