"""A file or folder that appears whole and stays: what has returned from here is there after a power cut.

Three orders to the system, in this order: the bytes to the disk (fsync), the name in one move (rename), the folder that
holds the name to the disk (fsync). Without the first a power cut leaves the right name with nothing in it, without the
last the old file. Whatever Ratchet renames is renamed here (decisions/0028).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write(path: Path, content: str, mode: int = 0o666) -> None:
    """Put a text in place of what was there, by way of `NAME.new` beside it. mode: who may read it, less the umask."""
    make_folder(path.parent)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8", newline="") as file:
        file.write(content)
    replace(fresh, path)


def replace(fresh: Path, path: Path) -> None:
    """Give a file, or a folder with all that is in it, its name; a file of that name is replaced."""
    sync_content(fresh)
    move(fresh, path)


def move(path: Path, to: Path) -> None:
    """Rename what is on the disk already."""
    os.replace(path, to)
    fsync(to.parent)


def remove(path: Path) -> None:
    """Take a file away, so that it does not come back; no harm where there is none."""
    path.unlink(missing_ok=True)
    if path.parent.exists():
        fsync(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        fsync(each.parent)


def sync(path: Path, within: Path | None = None) -> None:
    """Have a file or a folder with all that is in it on the disk, under its name.

    Args:
        within: a folder above it; the names from there on stay as well. Without one, that of `path` alone.
    """
    sync_content(path)
    for folder in path.parents:
        fsync(folder)
        if folder == (within or path.parent):
            return


def sync_content(path: Path) -> None:
    """Have the bytes of a file on the disk, or all files and names in a folder; links are left alone."""
    if path.is_dir():
        for entry in path.iterdir():
            if not entry.is_symlink():
                sync_content(entry)
    if path.is_dir() or path.is_file():
        fsync(path)


def fsync(path: Path) -> None:
    """Have the bytes of a file on the disk, or the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Put a small JSON file in place of what was there, and have it on the disk before returning."""
    write(path, json.dumps(content, ensure_ascii=False))


def read_json(path: Path) -> dict[str, Any] | None:
    """What a JSON file says; None where there is none, or where it is no object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return content if isinstance(content, dict) else None
