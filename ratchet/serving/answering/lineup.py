"""The lineup file: which bundles the service answers with, so that its first answer does not wait for MLflow.

The registry's aliases are the truth. *deploy* and the follower write this file after they have read the registry; the
service reads it when it starts.
"""

from __future__ import annotations

import fcntl
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ratchet.project import durable


@dataclass(frozen=True)
class BundleRef:
    """A version and the digest of its bundle."""

    version: int
    digest: str


@dataclass(frozen=True)
class Lineup:
    """The versions that are to answer for a problem.

    Attributes:
        problem: name of the problem; empty in an empty lineup.
        champion: None where no version is live.
        challenger: None where there is no alias for one, or no canary.
    """

    problem: str = ""
    champion: BundleRef | None = None
    challenger: BundleRef | None = None


def write(path: Path, lineup: Lineup) -> None:
    """Write the file under a lock, since *deploy* and the follower may write at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        durable.write_json(path, asdict(lineup))


def read_last(path: Path) -> Lineup:
    """Read the lineup of any problem; empty where there is no file."""
    return parse(durable.read_json(path) or {})


def read(path: Path, problem: str) -> Lineup:
    """Read the lineup of this problem; empty where the file is about another one."""
    lineup = read_last(path)
    return lineup if lineup.problem == problem else Lineup(problem)


def parse(record: dict[str, Any]) -> Lineup:
    """Turn the JSON of the file, or of a follower's line, into a lineup; empty where the fields do not fit."""
    try:
        places = {
            alias: BundleRef(**place)
            for alias in ("champion", "challenger")
            if isinstance(place := record.get(alias), dict)
        }
        return Lineup(str(record.get("problem", "")), **places)
    except TypeError:
        return Lineup()
