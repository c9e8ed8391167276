"""The turn of the loop that is under way, or was last: is there anything to do, and is there something to go on with?

Answered from files alone, before any heavy import. A turn is noted when it begins and the note removed when it ends;
where a kill left the note, the next turn with the same cause goes on under the same id, and finds what was finished.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ratchet.project import durable
from ratchet.project.paths import Places

CODE = ("flows", "models", "expectations", "ratchet")
NAMED = ("MLFLOW_TRACKING_URI", "KERAS_BACKEND")


@dataclass(frozen=True)
class RunningTurn:
    """A turn under way. cause: what it is made from. model: the one that it trains, None for all candidates."""

    id: str
    cause: str
    model: str | None


@contextmanager
def under_way(here: Places, model: str | None) -> Iterator[RunningTurn]:
    """A turn runs while the block does: the one that was cut off, if it had the same cause, or else a new one.

    Only a kill, or a person who stops it, leaves it to be gone on with: one that failed might fail so for ever.
    """
    begun = RunningTurn(uuid.uuid4().hex[:12], cause(here), model)
    left = durable.read_json(under_way_path(here)) or {}
    if (left.get("cause"), left.get("model")) == (begun.cause, begun.model):
        begun = RunningTurn(**left)
    durable.write_json(under_way_path(here), asdict(begun))
    try:
        yield begun
    except KeyboardInterrupt:
        raise
    except BaseException:
        forget(here)
        raise
    forget(here)


def forget(here: Places) -> None:
    """There is nothing to go on with."""
    durable.remove(under_way_path(here))


def under_way_path(here: Places) -> Path:
    return here.state / "turn.json"


def cause(here: Places) -> str:
    """A hash of all that a turn is made from: data version, params, lock, code, and where it is registered."""
    seen = hashlib.sha256()
    files = [here.root / name for name in ("data.dvc", "params.yaml", "requirements.lock")]
    files += sorted(path for folder in CODE for path in (here.root / folder).rglob("*.py"))
    for path in files:
        seen.update(str(path.relative_to(here.root)).encode())
        seen.update(path.read_bytes() if path.exists() else b"absent")
    seen.update("".join(os.environ.get(name, "") for name in NAMED).encode())
    return seen.hexdigest()


def ground(here: Places) -> str:
    """What a turn leaves and the next stands on: size and time of the data files, and whether the registry is there."""
    files = [(path.name, path.stat()) for path in sorted(here.data.glob("*"))]
    there = [f"{name} {status.st_size} {status.st_mtime_ns}" for name, status in files]
    return "; ".join([*there, f"registry {(here.state / 'mlflow.db').exists()}"])


def remember(here: Places, before: str, summary: dict[str, Any]) -> None:
    """Keep what a turn came to. before: its `cause` when it started; what was edited meanwhile is not in it."""
    durable.write_json(path_of(here), {"cause": before, "ground": ground(here)} | summary)


def recall(here: Places) -> dict[str, Any] | None:
    """What the last turn came to, if all that decided it is as it was; else None."""
    summary = durable.read_json(path_of(here)) or {}
    same = summary.get("cause") == cause(here) and summary.get("ground") == ground(here)
    return summary if same else None


def path_of(here: Places) -> Path:
    return here.state / "last-turn.json"
