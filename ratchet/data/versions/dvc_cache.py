"""DVC's cache, read and repaired without DVC: files named by the MD5 of their bytes, so damage can be detected.

A data version consists of one `.dir` object, a JSON list of the folder's files with their MD5, and those files'
objects.
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
    """The folder of all objects."""
    return here.state / "dvc" / "cache" / "files" / "md5"


def path_of(here: Places, md5: str) -> Path:
    """The path of an object; the name of a `.dir` object ends in `.dir`."""
    return folder(here) / md5[:2] / md5[2:]


def of_version(here: Places, version: str) -> set[Path]:
    """The paths of a data version's objects, existing or not; only the `.dir` object where that cannot be read."""
    listing = path_of(here, f"{version}.dir")
    try:
        return {listing} | {path_of(here, entry["md5"]) for entry in json.loads(listing.read_bytes())}
    except (OSError, ValueError, TypeError, KeyError):
        return {listing}


def listed(here: Places, version: str) -> dict[str, str] | None:
    """A data version's files, name -> MD5; None where the cache has no readable `.dir` object of it."""
    listing = path_of(here, f"{version}.dir")
    try:
        return {entry["relpath"]: entry["md5"] for entry in json.loads(listing.read_bytes())}
    except (OSError, ValueError, TypeError, KeyError):
        return None


def is_whole(path: Path) -> bool:
    """Whether an object exists and its bytes have the MD5 that is its name."""
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "md5").hexdigest()
    except FileNotFoundError:
        return False
    return digest == path.parent.name + path.name.removesuffix(".dir")


def digest(folder: Path, but: str = "") -> str:
    """The data version of a flat folder without the file `but`, computed from the bytes themselves.

    DVC computes the same, but caches hashes by a file's time and size; after a checkout it trusts the object's name.
    """
    entries = []
    for path in sorted((path for path in folder.iterdir() if path.name != but), key=lambda path: path.name):
        with open(path, "rb") as file:
            entries.append({"md5": hashlib.file_digest(file, "md5").hexdigest(), "relpath": path.name})
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def is_complete(here: Places, version: str) -> bool:
    """Whether the cache has all objects of a data version, undamaged."""
    return all(is_whole(path) for path in of_version(here, version))


def set_damaged_aside(here: Places, version: str) -> int:
    """Move the damaged objects of a version from the cache into state/dvc/damaged/, and return how many there were.

    DVC itself trusts an object's name: a damaged object would become data/ as if it were whole.
    """
    damaged = [path for path in sorted(of_version(here, version)) if path.exists() and not is_whole(path)]
    for path in damaged:
        aside = damaged_path(here, path)
        durable.make_folder(aside.parent)
        durable.move(path, aside)
    return len(damaged)


def damaged_path(here: Places, path: Path) -> Path:
    """The path to which a damaged object is moved."""
    return here.state / "dvc" / "damaged" / (path.parent.name + path.name)


def take(here: Places, version: str, target: Path) -> bool:
    """Copy a data version into an empty folder, from undamaged objects; False where the cache lacks one of them."""
    set_damaged_aside(here, version)
    listing = path_of(here, f"{version}.dir")
    if not listing.exists():
        return False
    objects = [(entry["relpath"], path_of(here, entry["md5"])) for entry in json.loads(listing.read_bytes())]
    if not all(path.exists() for _, path in objects):
        return False
    for name, path in objects:
        shutil.copyfile(path, target / name)
    return digest(target) == version


def forget(here: Places, versions: Iterable[str], kept: str) -> None:
    """Remove all objects of data versions that the version `kept` does not share, and all damaged objects."""
    shared = of_version(here, kept)
    for version in versions:
        for path in of_version(here, version) - shared:
            durable.remove(path)
    shutil.rmtree(here.state / "dvc" / "damaged", ignore_errors=True)


def damaged_listings(here: Places, versions: Iterable[str]) -> list[Path]:
    """The damaged `.dir` objects of data versions, in the cache or set aside."""
    listings = [path_of(here, f"{version}.dir") for version in sorted(set(versions))]
    return [path for path in listings if not is_whole(path) and (path.exists() or damaged_path(here, path).exists())]


def unneeded_objects(here: Places, versions: Iterable[str]) -> list[Path]:
    """All objects that none of these data versions needs; their `.dir` objects must be whole (`damaged_listings`)."""
    needed = {path for version in versions for path in of_version(here, version)}
    return sorted(path for path in folder(here).glob("*/*") if path.is_file() and path not in needed)
