"""A disk that loses its cache: what is left of a folder where the power goes, at every moment of some work.

What the system has been told to keep (fsync) is kept. Of the rest a disk may have kept nothing, or all names and none
of the bytes behind them, which leaves the right name with nothing in it; both are looked at after every order that this
process gives (fsync, rename, unlink, ...). A rename is on the disk as soon as one of its two folders is.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

Left = dict[str, bytes | None]
"""Path below the folder -> what is in the file; None for a folder."""
ORDERS = ("fsync", "replace", "rename", "unlink", "remove", "rmdir", "mkdir", "link")


class Disk:
    """Watches a folder while the block runs. moments: all that could be left of it; ends: what could be at the end."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.moments: list[Left] = []
        self.ends: tuple[Left, ...] = ()
        self._bytes: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._held: list[int] = []  # so that no number of an inode is given out twice
        self._moved: list[tuple[int, str, int, str, int]] = []
        self._patch = pytest.MonkeyPatch()
        self._real = {name: getattr(os, name) for name in ORDERS}

    def __enter__(self) -> Disk:
        for folder, names, files in os.walk(self.root):
            for path in (Path(folder), *(Path(folder) / name for name in (*names, *files))):
                self._keep(path)
        for name in ORDERS:
            self._patch.setattr(os, name, self._watched(name))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patch.undo()
        self.ends = self._look()
        for handle in self._held:
            os.close(handle)

    def becomes(self, left: Left) -> None:
        """The folder is what is left, as whoever comes after the power cut finds it."""
        shutil.rmtree(self.root)
        self.root.mkdir()
        for name, content in left.items():
            path = self.root / name
            if content is None:
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)

    def _watched(self, name: str) -> Callable[..., Any]:
        real = self._real[name]

        def order(*args: Any, **words: Any) -> Any:
            moved = self._rename(*args) if name in ("replace", "rename") else None
            result = real(*args, **words)
            if moved is not None:
                self._moved.append(moved)
            if name == "mkdir":  # a folder whose names nobody kept is an empty one
                self._held.append(os.open(args[0], os.O_RDONLY))
                self._names.setdefault(os.fstat(self._held[-1]).st_ino, {})
            if name == "fsync":
                self._keep(Path(f"/proc/self/fd/{args[0]}"))
            self.moments += [left for left in self._look() if left not in self.moments[-2:]]
            return result

        return order

    def _rename(self, source: Any, target: Any) -> tuple[int, str, int, str, int]:
        path, to = Path(source), Path(target)
        return path.parent.stat().st_ino, path.name, to.parent.stat().st_ino, to.name, path.stat().st_ino

    def _keep(self, path: Path) -> None:
        """What is there now is on the disk: the bytes of a file, the names in a folder."""
        handle = os.open(path, os.O_RDONLY)
        self._held.append(handle)
        status = os.fstat(handle)
        if not stat.S_ISDIR(status.st_mode):
            self._bytes[status.st_ino] = os.pread(handle, status.st_size, 0)
            return
        with os.scandir(handle) as entries:
            self._names[status.st_ino] = {entry.name: entry.inode() for entry in entries}
        for moved in [each for each in self._moved if status.st_ino in (each[0], each[2])]:
            self._moved.remove(moved)
            source, name, target, new, inode = moved
            if target != status.st_ino:
                self._names.setdefault(target, {})[new] = inode
            if source != status.st_ino and self._names.get(source, {}).get(name) == inode:
                del self._names[source][name]

    def _look(self) -> tuple[Left, Left]:
        return self._least(self.root.stat().st_ino, ""), self._most()

    def _least(self, inode: int, above: str) -> Left:
        """Nothing is there but what was to be kept."""
        left: Left = {}
        for name, each in self._names[inode].items():
            if each in self._names:
                left |= {f"{above}{name}": None} | self._least(each, f"{above}{name}/")
            else:
                left[f"{above}{name}"] = self._bytes.get(each, b"")
        return left

    def _most(self) -> Left:
        """All names are there, and none of the bytes but those that were to be kept."""
        found: Left = {}
        for path in sorted(self.root.rglob("*")):
            kept = None if path.is_dir() else self._bytes.get(path.lstat().st_ino, b"")
            found[path.relative_to(self.root).as_posix()] = kept
        return found
