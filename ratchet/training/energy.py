"""Energy used by the processor, in joules, from the RAPL counters of Linux (powercap; Intel and AMD).

The counters cover the whole processor, including other programs. Many systems show them to root only, and most virtual
machines do not show them; then there is no figure instead of a guess.
Source: https://docs.kernel.org/power/powercap/powercap.html
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

COUNTERS = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Reading:
    """Counters of all processor packages at one moment.

    Attributes:
        microjoules: Value by counter.
        wraps_at: Value by counter after which it restarts at 0.
    """

    microjoules: dict[str, int]
    wraps_at: dict[str, int]


def read(counters: Path = COUNTERS) -> Reading | None:
    """Read the counters; None if this user cannot read them."""
    packages = sorted(counters.glob("*-rapl:[0-9]*"))
    packages = [path for path in packages if path.name.count(":") == 1]  # a package's counter includes its parts
    try:
        microjoules = {path.name: int((path / "energy_uj").read_text()) for path in packages}
        wraps_at = {path.name: int((path / "max_energy_range_uj").read_text()) for path in packages}
    except (OSError, ValueError):
        return None
    return Reading(microjoules, wraps_at) if microjoules else None


def joules(before: Reading | None, after: Reading | None) -> float | None:
    """Energy used between two readings; None if either is missing.

    A counter below its earlier value is taken to have wrapped once; a second wrap cannot be detected.
    """
    if before is None or after is None or set(before.microjoules) != set(after.microjoules):
        return None
    total = 0
    for name, end in after.microjoules.items():
        used = end - before.microjoules[name]
        total += used if used >= 0 else used + after.wraps_at[name] + 1
    return total / 1e6
