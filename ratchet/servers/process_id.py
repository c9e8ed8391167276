"""Identity of a process: its number, which the system reuses, and its birth, which is unique.

The kernel counts the birth in clock ticks since the machine started, so setting the clock changes nothing. psutil's
create_time moves with the clock.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import psutil


def birth(pid: int) -> str:
    """The boot and the start of a process in clock ticks; empty if no process of that number runs."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else f"{boot()} {fields[19]}"  # field 22 of proc(5)
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return "" if Path("/proc/self/stat").exists() else _created(pid)


def lives(pid: int, born: str) -> bool:
    """Whether that very process still runs; a zombie does not."""
    return bool(born) and birth(pid) == born


@cache
def boot() -> str:
    """The first 8 digits of the boot id: ticks are counted from the boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        return "boot"


def _created(pid: int) -> str:
    """The birth of a process on systems without /proc."""
    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"at {process.create_time()}"
    except psutil.Error:
        return ""
