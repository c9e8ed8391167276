"""A small JSON file that is there whole or not at all, whatever is killed and whenever the power goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ratchet.project import durable


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Put the note in place of what was there, and have it on the disk before returning."""
    durable.write(path, json.dumps(content, ensure_ascii=False))


def read(path: Path) -> dict[str, Any] | None:
    """What the note says; None where there is none, or where it is no note of ours."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return content if isinstance(content, dict) else None


def remove(path: Path) -> None:
    """Take the note away for good; no harm where there is none."""
    durable.remove(path)
