"""Which process is meant: a number that the system gives out again, and the moment of birth that it never does.

The moment is counted by the kernel in clock ticks since the machine started, so a clock that is set forward or back
changes nothing; psutil's create_time moves with the clock.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import psutil


def birth(pid: int) -> str:
    """What tells this process from every other that had or will have its number; empty where none runs."""
    try:
        behind_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "" if behind_name[0] in "ZX" else f"{boot()} {behind_name[19]}"  # field 22 of proc(5)
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return "" if Path("/proc/self/stat").exists() else _created(pid)


def lives(pid: int, born: str) -> bool:
    """Whether the very process that was noted still runs; one that ended and waits to be seen off does not."""
    return bool(born) and birth(pid) == born


@cache
def boot() -> str:
    """The machine's start, of which ticks are counted."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        return "boot"


def _created(pid: int) -> str:
    """For systems without /proc."""
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"at {process.create_time()}"
    except psutil.Error:
        return ""
