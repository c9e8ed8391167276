"""The running turn of the loop and the last one: has anything changed since, and can a killed turn be resumed?

Files answer both, before any heavy import. A turn writes a note when it begins and removes it when it ends. If a kill
left the note, the next turn with the same cause resumes under the same id, and finds what was finished.
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
    """A running turn.

    Attributes:
        id: of the turn.
        cause: digest of all that decides its result (see `cause`).
        model: the one model that it trains; None for all candidates.
    """

    id: str
    cause: str
    model: str | None


@contextmanager
def running_turn(here: Places, model: str | None) -> Iterator[RunningTurn]:
    """Run a turn for the length of the block: resume a killed one with the same cause and model, or begin a new one.

    A turn can be resumed only after a kill or Ctrl-C. A failed turn is not resumed: it could fail again forever.
    """
    turn = RunningTurn(uuid.uuid4().hex[:12], cause(here), model)
    note = durable.read_json(under_way_path(here)) or {}
    if (note.get("cause"), note.get("model")) == (turn.cause, turn.model):
        turn = RunningTurn(**note)
    durable.write_json(under_way_path(here), asdict(turn))
    try:
        yield turn
    except KeyboardInterrupt:
        raise
    except BaseException:
        forget(here)
        raise
    forget(here)


def forget(here: Places) -> None:
    """Remove the note of the running turn: there is nothing to resume."""
    durable.remove(under_way_path(here))


def under_way_path(here: Places) -> Path:
    return here.state / "turn.json"


def cause(here: Places) -> str:
    """The hash of all that decides a turn: data version, params, lock, code, and place of the registry."""
    digest = hashlib.sha256()
    files = [here.root / name for name in ("data.dvc", "params.yaml", "requirements.lock")]
    files += sorted(path for folder in CODE for path in (here.root / folder).rglob("*.py"))
    for path in files:
        digest.update(str(path.relative_to(here.root)).encode())
        digest.update(path.read_bytes() if path.exists() else b"absent")
    digest.update("".join(os.environ.get(name, "") for name in NAMED).encode())
    return digest.hexdigest()


def ground(here: Places) -> str:
    """State that the next turn depends on: size and time of the data files, and whether a registry exists."""
    files = [(path.name, path.stat()) for path in sorted(here.data.glob("*"))]
    states = [f"{name} {status.st_size} {status.st_mtime_ns}" for name, status in files]
    return "; ".join([*states, f"registry {(here.state / 'mlflow.db').exists()}"])


def remember(here: Places, before: str, summary: dict[str, Any]) -> None:
    """Write the result of a turn.

    Args:
        before: the `cause` when the turn started; edits made since are not in it.
        summary: of the turn.
    """
    durable.write_json(path_of(here), {"cause": before, "ground": ground(here)} | summary)


def recall(here: Places) -> dict[str, Any] | None:
    """The summary of the last turn, if nothing that decides a turn has changed since; else None."""
    summary = durable.read_json(path_of(here)) or {}
    same = summary.get("cause") == cause(here) and summary.get("ground") == ground(here)
    return summary if same else None


def path_of(here: Places) -> Path:
    return here.state / "last-turn.json"
