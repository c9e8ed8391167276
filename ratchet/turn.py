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


def fingerprint(here: Places) -> str:
    """A hash of all that decides a turn: data, params, lock, code, and where it is registered."""
    seen = hashlib.sha256()
    files = [here.root / name for name in ("data.dvc", "params.yaml", "requirements.lock")]
    files += sorted(path for folder in CODE for path in (here.root / folder).rglob("*.py"))
    for path in files:
        seen.update(str(path.relative_to(here.root)).encode())
        seen.update(path.read_bytes() if path.exists() else b"absent")
    for path in sorted(here.data.glob("*")):
        status = path.stat()
        seen.update(f"{path.name} {status.st_size} {status.st_mtime_ns}".encode())
    seen.update("".join(os.environ.get(name, "") for name in NAMED).encode())
    seen.update(str((here.state / "mlflow.db").exists()).encode())
    return seen.hexdigest()


def remember(here: Places, summary: dict[str, Any]) -> None:
    """Keep what this turn came to, under the fingerprint of what it was made from."""
    fresh = path_of(here).with_suffix(".new")
    fresh.write_text(json.dumps({"fingerprint": fingerprint(here)} | summary, ensure_ascii=False), encoding="utf-8")
    os.replace(fresh, path_of(here))


def recall(here: Places) -> dict[str, Any] | None:
    """What the last turn came to, if all that decided it is as it was; else None."""
    try:
        summary: dict[str, Any] = json.loads(path_of(here).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return summary if summary.get("fingerprint") == fingerprint(here) else None


def path_of(here: Places) -> Path:
    return here.state / "last-turn.json"
