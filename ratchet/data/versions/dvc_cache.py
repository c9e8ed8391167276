"""DVC's cache as what it is: files named by the MD5 of their bytes, so that anyone can tell a damaged one.

A data version is one `.dir` object, JSON that lists the MD5 of each file of the folder, and those files' objects.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from ratchet.project import durable
from ratchet.project.paths import Places


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


def listed(here: Places, version: str) -> dict[str, str] | None:
    """The names of a data version's files, each with the MD5 of its bytes; None where the cache has no such list."""
    listing = path_of(here, f"{version}.dir")
    try:
        return {entry["relpath"]: entry["md5"] for entry in json.loads(listing.read_bytes())}
    except (OSError, ValueError, TypeError, KeyError):
        return None


def is_whole(path: Path) -> bool:
    """Whether an object's bytes are those that its name says."""
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
    except FileNotFoundError:
        return False
    return found == path.parent.name + path.name.removesuffix(".dir")


def digest(folder: Path, but: str = "") -> str:
    """The data version that a flat folder's bytes amount to, read from the bytes themselves; without the file `but`.

    DVC computes the same, and remembers it by a file's time and size: after a checkout it takes what the object's name
    says for what the bytes are.
    """
    listed = []
    for path in sorted((path for path in folder.iterdir() if path.name != but), key=lambda path: path.name):
        with open(path, "rb") as file:
            listed.append({"md5": hashlib.file_digest(file, "md5").hexdigest(), "relpath": path.name})
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest()


def is_complete(here: Places, version: str) -> bool:
    """Whether the cache has all of a data version, whole."""
    return all(is_whole(path) for path in of_version(here, version))


def set_damaged_aside(here: Places, version: str) -> int:
    """Move the objects of a version whose bytes are not those that their names say out of the cache, into
    state/dvc/damaged/, so that nobody uses them, and others can take their place; how many they were.

    DVC itself believes an object's name: a damaged one would become data/ as if it were whole.
    """
    damaged = [path for path in sorted(of_version(here, version)) if path.exists() and not is_whole(path)]
    for path in damaged:
        aside = damaged_path(here, path)
        durable.make_folder(aside.parent)
        durable.move(path, aside)
    return len(damaged)


def damaged_path(here: Places, path: Path) -> Path:
    """Where an object is set aside."""
    return here.state / "dvc" / "damaged" / (path.parent.name + path.name)


def take(here: Places, version: str, target: Path) -> bool:
    """Copy a data version into an empty folder, from whole objects alone; False where the cache lacks one of them."""
    set_damaged_aside(here, version)
    listing = path_of(here, f"{version}.dir")
    if not listing.exists():
        return False
    parts = [(entry["relpath"], path_of(here, entry["md5"])) for entry in json.loads(listing.read_bytes())]
    if not all(path.exists() for _, path in parts):
        return False
    for name, path in parts:
        shutil.copyfile(path, target / name)
    return digest(target) == version


def forget(here: Places, versions: Iterable[str], kept: str) -> None:
    """Remove the objects of data versions, but for what the version `kept` shares with them, and all damaged ones."""
    shared = of_version(here, kept)
    for version in versions:
        for path in of_version(here, version) - shared:
            durable.remove(path)
    shutil.rmtree(here.state / "dvc" / "damaged", ignore_errors=True)


def damaged_listings(here: Places, versions: Iterable[str]) -> list[Path]:
    """The listings of data versions that are there, or were set aside, and do not say what the version needs."""
    listings = [path_of(here, f"{version}.dir") for version in sorted(set(versions))]
    return [path for path in listings if not is_whole(path) and (path.exists() or damaged_path(here, path).exists())]


def beside(here: Places, versions: Iterable[str]) -> list[Path]:
    """All objects that none of these data versions needs; their listings must be whole (`damaged_listings`)."""
    needed = {path for version in versions for path in of_version(here, version)}
    return sorted(path for path in folder(here).glob("*/*") if path.is_file() and path not in needed)
