"""One loop at a time: a lock on the state folder that the kernel gives back when its holder dies.

Whoever works for the holder enters without asking: the holder's own calls, threads that were given its context (as
Prefect gives it to tasks), and processes that it started. Any other thread of the holder's process has to wait.

The holder's note stays in the lock's file where the holder died at work, or failed in a way that nobody foresaw, and
tells the next one that there may be something to put right.
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
"""The holder's number and the state, for the processes that it starts: they do not wait for their own parent."""
INSIDE: ContextVar[Path | None] = ContextVar("inside", default=None)
"""The state whose lock this context holds."""

GLANCE_SECONDS = 1.0  # whoever asks who holds the lock holds it for a moment, and signs nothing

Mended = TypeVar("Mended")


@contextmanager
def one_at_a_time(state: Path, what: str, mend: Callable[[bool], Mended]) -> Iterator[Mended | None]:
    """Hold the loop's lock while the block runs.

    Args:
        mend: called first, with whether the last holder died or failed; until it returns, that stays noted.

    Yields:
        What `mend` returned; None inside a block that holds the lock already, where it is not called.

    Raises:
        Refusal: another process holds it; the message names that process and what it does.
    """
    if is_mine(state):
        yield None
        return
    state.mkdir(parents=True, exist_ok=True)
    with open(state / "loop.lock", "a+", encoding="utf-8", errors="replace") as handle:
        take(handle, state)
        died, in_order = bool(signed(handle)), False
        sign(handle, what)
        os.environ[HELD] = f"{os.getpid()} {state}"
        outside = INSIDE.set(state)
        try:
            found = mend(died)
            try:
                yield found
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


def take(handle: IO[str], state: Path) -> None:
    """Get the lock, or say who has it.

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
                f"{describe(signed(handle))} is at work on {state}",
                "Wait for it to end, or stop it, and call again; `make status` shows it.",
            ) from None


def sign(handle: IO[str], what: str) -> None:
    """Note who holds the lock now, below whatever the dead have left."""
    note = {"pid": os.getpid(), "what": what, "since": datetime.now(UTC).isoformat("T", "seconds")}
    handle.write(json.dumps(note) + "\n")
    handle.flush()


def signed(handle: IO[str]) -> str:
    """The last note in the lock's file; empty where whoever held it let go in order."""
    handle.seek(0)
    return handle.read().rstrip("\n").rpartition("\n")[2]


def is_clean(state: Path) -> bool:
    """Whether the last holder let go in order, or holds the lock still."""
    try:
        with open(state / "loop.lock", encoding="utf-8", errors="replace") as handle:
            return not signed(handle) or holder(state) is not None
    except FileNotFoundError:
        return True


def holder(state: Path) -> str | None:
    """Who holds the loop's lock now, in plain words; None where nobody does."""
    try:
        with open(state / "loop.lock", encoding="utf-8", errors="replace") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return describe(signed(handle))
    except FileNotFoundError:
        pass
    return None


def describe(written: str) -> str:
    try:
        note = json.loads(written)
        return f"`{note['what']}` (process {note['pid']}, since {note['since'][11:19]} UTC)"
    except (json.JSONDecodeError, KeyError, TypeError):
        return "another process"
