"""A small JSON file that is there whole or not at all, whatever is killed meanwhile."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Put the note in place of what was there, and have it on the disk before returning."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    with open(fresh, "w", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    _keep_name(path.parent)


def read(path: Path) -> dict[str, Any] | None:
    """What the note says; None where there is none, or where it is no note of ours."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return content if isinstance(content, dict) else None


def remove(path: Path) -> None:
    """Take the note away; no harm where there is none."""
    path.unlink(missing_ok=True)


def _keep_name(folder: Path) -> None:
    """A renamed file survives a power cut only once its folder is on the disk, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
