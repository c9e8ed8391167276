"""DVC's cache as what it is: files named by the MD5 of their bytes, so that anyone can tell a damaged one.

A data version is one `.dir` object, JSON that lists the MD5 of each file of the folder, and those files' objects.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from ratchet.places import Places


def folder(here: Places) -> Path:
    return here.state / "dvc" / "cache" / "files" / "md5"


def path_of(here: Places, md5: str) -> Path:
    return folder(here) / md5[:2] / md5[2:]


def of_version(here: Places, version: str) -> set[Path]:
    """The paths that a data version needs, as far as its `.dir` object tells; whether they are there is not asked."""
    listing = path_of(here, f"{version}.dir")
    try:
        return {listing} | {path_of(here, entry["md5"]) for entry in json.loads(listing.read_bytes())}
    except (OSError, ValueError, TypeError, KeyError):
        return {listing}


def is_whole(path: Path) -> bool:
    """Whether an object's bytes are those that its name says."""
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
    except FileNotFoundError:
        return False
    return found == path.parent.name + path.name.removesuffix(".dir")


def is_complete(here: Places, version: str) -> bool:
    """Whether the cache has all of a data version, whole."""
    return all(is_whole(path) for path in of_version(here, version))


def drop_damaged(here: Places, version: str) -> int:
    """Remove the objects of a version whose bytes are not those that their names say, so that nobody uses them; how
    many they were."""
    damaged = [path for path in sorted(of_version(here, version)) if path.exists() and not is_whole(path)]
    for path in damaged:
        path.unlink()
    return len(damaged)


def beside(here: Places, versions: Iterable[str]) -> list[Path]:
    """All objects that none of these data versions needs."""
    needed = {path for version in versions for path in of_version(here, version)}
    return sorted(path for path in folder(here).glob("*/*") if path.is_file() and path not in needed)
