"""One loop at a time: a lock on the state folder that the kernel gives back when its holder dies.

The lock is reentrant for work of the holder: its own calls, threads that run in its context (as Prefect's tasks do),
and processes that it started. Any other thread of the holder's process has to wait.

The holder writes a note into the lock file. The note stays there if the holder dies or fails with an unforeseen error,
and tells the next holder that there may be something to repair.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TypeVar

from ratchet.project.errors import Refusal

HELD = "RATCHET_LOOP_HELD"
"""The variable with the holder's process id and the state, by which its child processes need not wait for it."""
INSIDE: ContextVar[Path | None] = ContextVar("inside", default=None)
"""The state whose lock this context holds."""

GLANCE_SECONDS = 1.0  # `holder` takes the lock for a moment, without a note

Repaired = TypeVar("Repaired")


@contextmanager
def one_at_a_time(state: Path, command: str, mend: Callable[[bool], Repaired]) -> Iterator[Repaired | None]:
    """Hold the loop's lock while the block runs.

    Args:
        state: the folder that the lock is for.
        command: for the note, e.g. `make run`.
        mend: called first, with whether the last holder died or failed; until it returns, the old note stays.

    Yields:
        The result of `mend`; None inside a block that holds the lock already, where `mend` is not called.

    Raises:
        Refusal: another process holds the lock; the message names that process and its command.
    """
    if is_mine(state):
        yield None
        return
    state.mkdir(parents=True, exist_ok=True)
    with open(state / "loop.lock", "a+", encoding="utf-8", errors="replace") as handle:
        acquire(handle, state)
        died = bool(last_note(handle))
        in_order = False
        write_note(handle, command)
        os.environ[HELD] = f"{os.getpid()} {state}"
        outside = INSIDE.set(state)
        try:
            repaired = mend(died)
            try:
                yield repaired
            except Refusal:
                in_order = True
                raise
            in_order = True
        finally:
            INSIDE.reset(outside)
            os.environ.pop(HELD, None)
            if in_order:
                handle.truncate(0)


def is_mine(state: Path) -> bool:
    """Whether this context, or a process that started this one, holds the lock."""
    number, _, held = os.environ.get(HELD, "").partition(" ")
    return INSIDE.get() == state or (held == str(state) and number != str(os.getpid()))


def acquire(handle: IO[str], state: Path) -> None:
    """Take the lock.

    Raises:
        Refusal: another process holds it.
    """
    deadline = time.monotonic() + GLANCE_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            raise Refusal(
                "Only one loop turns at a time.",
                f"{describe(last_note(handle))} is at work on {state}",
                "Wait for it to end, or stop it, and call again; `make status` shows it.",
            ) from None


def write_note(handle: IO[str], command: str) -> None:
    """Append the note of the new holder to the lock file; notes of earlier holders that died stay above it."""
    note = {"pid": os.getpid(), "what": command, "since": datetime.now(UTC).isoformat("T", "seconds")}
    handle.write(json.dumps(note) + "\n")
    handle.flush()


def last_note(handle: IO[str]) -> str:
    """The last note in the lock file; empty if the last holder released the lock in order."""
    handle.seek(0)
    return handle.read().rstrip("\n").rpartition("\n")[2]


def is_clean(state: Path) -> bool:
    """Whether the last holder released the lock in order, or still holds it."""
    try:
        with open(state / "loop.lock", encoding="utf-8", errors="replace") as handle:
            return not last_note(handle) or holder(state) is not None
    except FileNotFoundError:
        return True


def holder(state: Path) -> str | None:
    """The command and process that hold the loop's lock, in words; None if it is free."""
    try:
        with open(state / "loop.lock", encoding="utf-8", errors="replace") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return describe(last_note(handle))
    except FileNotFoundError:
        pass
    return None


def describe(text: str) -> str:
    try:
        note = json.loads(text)
        return f"`{note['what']}` (process {note['pid']}, since {note['since'][11:19]} UTC)"
    except (json.JSONDecodeError, KeyError, TypeError):
        return "another process"
