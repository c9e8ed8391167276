"""Has anything changed since the last turn of the loop? Answered from files alone, before any heavy import."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from ratchet.places import Places

CODE = ("flows", "models", "expectations", "ratchet")
NAMED = ("MLFLOW_TRACKING_URI", "KERAS_BACKEND")


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
    fresh = path_of(here).with_suffix(".new")
    known = {"cause": before, "ground": ground(here)} | summary
    fresh.write_text(json.dumps(known, ensure_ascii=False), encoding="utf-8")
    os.replace(fresh, path_of(here))


def recall(here: Places) -> dict[str, Any] | None:
    """What the last turn came to, if all that decided it is as it was; else None."""
    try:
        summary: dict[str, Any] = json.loads(path_of(here).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    same = isinstance(summary, dict) and summary.get("cause") == cause(here) and summary.get("ground") == ground(here)
    return summary if same else None


def path_of(here: Places) -> Path:
    return here.state / "last-turn.json"
