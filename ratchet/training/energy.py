"""What the processor used, in joules, from the counters that Linux shows for it (Intel and AMD: RAPL, powercap).

The counters are of the whole processor, whatever else ran on it meanwhile. Many systems show them to root alone, and
virtual machines mostly not at all: then there is no figure, which is said, and never a guess.
Source: https://docs.kernel.org/power/powercap/powercap.html
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

COUNTERS = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Reading:
    """One look at every processor package. microjoules: by counter; each begins anew at its `wraps_at`."""

    microjoules: dict[str, int]
    wraps_at: dict[str, int]


def read(counters: Path = COUNTERS) -> Reading | None:
    """What the counters say now; None where this user cannot read any."""
    packages = sorted(counters.glob("*-rapl:[0-9]*"))
    packages = [path for path in packages if path.name.count(":") == 1]  # what is below a package is part of it
    try:
        used = {path.name: int((path / "energy_uj").read_text()) for path in packages}
        wraps = {path.name: int((path / "max_energy_range_uj").read_text()) for path in packages}
    except (OSError, ValueError):
        return None
    return Reading(used, wraps) if used else None


def joules(before: Reading | None, after: Reading | None) -> float | None:
    """What was used between two looks; None where either could not be taken.

    A counter that is lower than before began anew once; one that began anew twice in between cannot be told from that.
    """
    if before is None or after is None or set(before.microjoules) != set(after.microjoules):
        return None
    total = 0
    for name, end in after.microjoules.items():
        used = end - before.microjoules[name]
        total += used if used >= 0 else used + after.wraps_at[name] + 1
    return total / 1e6
