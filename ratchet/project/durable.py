"""Durable, atomic writes: a file or folder appears whole, and is still there after a power cut.

Three system calls, in this order: fsync of the bytes, rename to the name, fsync of the folder that holds the name.
Without the first a power cut leaves the right name with nothing in it, without the last it leaves the old file. Ratchet
renames files nowhere else (decisions/0028).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write(path: Path, content: str, mode: int = 0o666) -> None:
    """Write a text file atomically, by way of `NAME.new` beside it.

    Args:
        mode: permissions of the file, before the umask.
    """
    make_folder(path.parent)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8", newline="") as file:
        file.write(content)
    replace(fresh, path)


def replace(fresh: Path, path: Path) -> None:
    """Sync a file or folder and rename it to `path`; a file of that name is replaced."""
    sync_content(fresh)
    move(fresh, path)


def move(path: Path, to: Path) -> None:
    """Rename a file or folder that is synced already."""
    os.replace(path, to)
    fsync(to.parent)


def remove(path: Path) -> None:
    """Remove a file durably; a missing one is no error."""
    path.unlink(missing_ok=True)
    if path.parent.exists():
        fsync(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents durably."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        fsync(path.parent)


def sync(path: Path, within: Path | None = None) -> None:
    """Sync a file, or a folder with all its content, and its name.

    Args:
        within: a folder above `path`; the names from there down are synced as well. None: only the name of `path`.
    """
    sync_content(path)
    for folder in path.parents:
        fsync(folder)
        if folder == (within or path.parent):
            return


def sync_content(path: Path) -> None:
    """Sync the bytes of a file, or all files and names in a folder; symbolic links are skipped."""
    if path.is_dir():
        for entry in path.iterdir():
            if not entry.is_symlink():
                sync_content(entry)
    if path.is_dir() or path.is_file():
        fsync(path)


def fsync(path: Path) -> None:
    """Sync the bytes of one file, or the names in one folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a small JSON file atomically and durably."""
    write(path, json.dumps(content, ensure_ascii=False))


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None if there is no file, or it holds no JSON object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    return content if isinstance(content, dict) else None
