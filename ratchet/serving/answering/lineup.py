"""Which bundles are to answer: written by whoever looked at the registry last, read by the service when it starts.

The registry's aliases are the truth; this note lets the first answer come before MLflow is loaded.
"""

from __future__ import annotations

import fcntl
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ratchet.project import durable


@dataclass(frozen=True)
class Place:
    """A version and the digest of its bundle."""

    version: int
    digest: str


@dataclass(frozen=True)
class Lineup:
    """Who is to answer for a problem. challenger: None where no alias or no canary asks for one."""

    problem: str = ""
    champion: Place | None = None
    challenger: Place | None = None


def write(path: Path, lineup: Lineup) -> None:
    """Leave the note; *deploy* and the follower may both be at it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        durable.write_json(path, asdict(lineup))


def last(path: Path) -> Lineup:
    """The last lineup, whatever the problem; an empty one where none was written."""
    return understood(durable.read_json(path) or {})


def read(path: Path, problem: str) -> Lineup:
    """The last lineup, where it is the problem's; an empty one otherwise."""
    found = last(path)
    return found if found.problem == problem else Lineup(problem)


def understood(written: dict[str, Any]) -> Lineup:
    """The lineup that a note or the follower tells of; an empty one where it is none."""
    try:
        places = {
            alias: Place(**place)
            for alias in ("champion", "challenger")
            if isinstance(place := written.get(alias), dict)
        }
        return Lineup(str(written.get("problem", "")), **places)
    except TypeError:
        return Lineup()
