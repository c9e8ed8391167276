"""One loop at a time: a lock on the state folder that the kernel gives back when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ratchet.refusal import Refusal

HELD = "RATCHET_LOOP_HELD"
"""Set for the processes that a holder starts, so that they do not wait for their own parent."""


@contextmanager
def one_at_a_time(state: Path, what: str) -> Iterator[None]:
    """Hold the loop's lock while the block runs.

    Raises:
        Refusal: another process holds it; the message names that process and what it does.
    """
    if os.environ.get(HELD) == str(state):
        yield
        return
    state.mkdir(parents=True, exist_ok=True)
    with open(state / "loop.lock", "a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise Refusal(
                "Only one loop turns at a time.",
                f"{describe(handle.read())} is at work on {state}",
                "Wait for it to end, or stop it, and call again; `make status` shows it.",
            ) from None
        handle.truncate(0)
        handle.write(
            json.dumps({"pid": os.getpid(), "what": what, "since": datetime.now(UTC).isoformat("T", "seconds")})
        )
        handle.flush()
        os.environ[HELD] = str(state)
        try:
            yield
        finally:
            os.environ.pop(HELD, None)
            handle.truncate(0)


def holder(state: Path) -> str | None:
    """Who holds the loop's lock now, in plain words; None where nobody does."""
    try:
        with open(state / "loop.lock", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return describe(handle.read())
    except FileNotFoundError:
        pass
    return None


def describe(written: str) -> str:
    try:
        note = json.loads(written)
        return f"`{note['what']}` (process {note['pid']}, since {note['since'][11:19]} UTC)"
    except (json.JSONDecodeError, KeyError, TypeError):
        return "another process"
