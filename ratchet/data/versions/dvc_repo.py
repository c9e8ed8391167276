"""The only code that imports DVC: it fetches the pinned data into data/, and puts new versions into the cache."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ratchet.data.versions import dvc_cache
from ratchet.problem.data_pin import Pin
from ratchet.project import durable, faults
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.servers.remote import s3

if TYPE_CHECKING:
    from dvc.repo import Repo

USED_LATER = (
    "cachemgr", "data_cloud", "lock", "scm",
    "repo.artifacts", "repo.datasets", "repo.metrics", "repo.params", "repo.plots", "repo.stage",
)  # fmt: skip
"""Modules that a DVC repository imports only when it is opened."""
DVC_ROOM = 4 * 2**20
"""Free bytes required for DVC's own databases and scratch files; they took 0.2 MB."""


def import_dvc() -> None:
    """Import DVC now, while the caller waits for something else."""
    for name in USED_LATER:
        import_module(f"dvc.{name}")
    import dvc_data.hashfile.build
    import dvc_data.hashfile.transfer  # noqa: F401


@contextmanager
def repository(here: Places, needed: int = 0) -> Iterator[Repo]:
    """The project's DVC repository, with its cache and scratch files below state/, and no log output.

    Args:
        needed: bytes that will be written. On a full disk DVC waits for its own database forever.

    Raises:
        Refusal: the disk has less room than that.
    """
    from dvc.repo import Repo

    faults.require_room(here.state, needed + DVC_ROOM)
    for name in ("dvc", "dvc_data", "dvc_objects"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    (here.root / ".dvc" / "tmp").resolve().mkdir(parents=True, exist_ok=True)
    cache = {"dir": str(here.state / "dvc" / "cache")}
    alone = {"no_scm": True}  # a project unpacked from an archive has no git, and .gitignore is ours to write
    repo = Repo(str(here.root), config={"cache": cache, "core": alone}, _wait_for_lock=True)
    try:
        yield repo
    finally:
        repo.close()


def fetch(here: Places, pin: Pin, rebuild: Callable[[Path], None] | None = None) -> str:
    """Put exactly the pinned bytes into data/: from the cache, a DVC remote, or `rebuild`.

    data/ appears whole or not at all. Files in data/ that the cache cannot give back are neither used nor overwritten.

    Args:
        rebuild: writes table.csv and split.json into an empty folder; None where the data cannot be rebuilt.

    Returns:
        Where they came from, in plain words.

    Raises:
        Refusal: data/ was changed by hand, or nothing gives the pinned bytes.
    """
    with repository(here, 0 if here.data.exists() else 2 * pin.bytes) as repo:
        if here.data.exists():
            version = digest(repo, here.data)
            if version == pin.version:
                return "already there"
            # data/ may be replaced where the cache has a copy of it
            if not dvc_cache.take(here, version, empty_incoming(here)):
                raise Refusal(
                    "data/ must hold what data.dvc pins.",
                    "other bytes",
                    "Delete data/ to fetch the pinned ones, or bring them as a new version: make data SOURCE=...",
                )
        origin, failure = take_or_pull(here, repo, pin)
        origin = origin or rebuild_pinned(here, repo, pin, rebuild, failure)
        shutil.rmtree(here.data, ignore_errors=True)
        durable.replace(here.incoming, here.data)
        return origin


def lay_beside(here: Places, pin: Pin, rebuild: Callable[[Path], None] | None, kept: str) -> None:
    """Put the pinned files into data/, which holds only the file `kept`; that file stays as it is.

    Raises:
        Refusal: nothing gives the pinned bytes.
    """
    with repository(here, 2 * pin.bytes) as repo:
        origin, failure = take_or_pull(here, repo, pin)
        if not origin:
            rebuild_pinned(here, repo, pin, rebuild, failure)
        _into_cache(here, repo, here.incoming)
    for path in here.incoming.iterdir():
        if path.name != kept:
            durable.replace(path, here.data / path.name)
    shutil.rmtree(here.incoming)


def take_or_pull(here: Places, repo: Repo, pin: Pin) -> tuple[str, Refusal | None]:
    """Put the pinned bytes into the incoming folder, from the cache or else the remote.

    Returns:
        Where they came from, empty where neither has them; and the refusal of a remote that did not answer.
    """
    if dvc_cache.take(here, pin.version, empty_incoming(here)):
        return "from the cache", None
    if not default_remote(repo):
        return "", None
    try:
        with answering(repo):
            repo.fetch(targets=[str(here.root / "data.dvc")])
    except Refusal as failure:
        return "", failure
    return ("pulled from the remote" if dvc_cache.take(here, pin.version, empty_incoming(here)) else ""), None


def rebuild_pinned(
    here: Places, repo: Repo, pin: Pin, rebuild: Callable[[Path], None] | None, failure: Refusal | None
) -> str:
    """Rebuild the pinned bytes in the incoming folder, and put them into the cache.

    Args:
        failure: the refusal of the remote, raised where nothing can rebuild the bytes.

    Returns:
        Where the bytes came from.

    Raises:
        Refusal: nothing can rebuild them, or other bytes came out.
    """
    if rebuild is None and failure is not None:
        raise failure
    if rebuild is None:
        aside = here.state / "dvc" / "damaged"
        raise Refusal(
            f"data.dvc pins {pin.short}, made from {pin.source or 'an unknown source'}.",
            "neither DVC's cache nor a remote has it whole, and nothing here can rebuild it"
            + (f"; damaged objects are in {aside}" if aside.exists() else ""),
            "Name the remote that has it (dvc remote add -d NAME URL), or bring the table again: make data SOURCE=...",
        )
    rebuild(empty_incoming(here))
    version = digest(repo, here.incoming)
    if version != pin.version:
        wrong = here.work / "pinned-data"
        shutil.rmtree(wrong, ignore_errors=True)
        shutil.move(here.incoming, wrong)
        raise Refusal(
            f"data.dvc pins {pin.short}, and {pin.source} must give these bytes.",
            f"bytes with hash {version[:8]}, kept in {wrong}",
            "Take this version of the project's code as it was committed, or pin anew: make data EXAMPLE=...",
        )
    _into_cache(here, repo, here.incoming)
    return f"rebuilt from {pin.source}"


def into_cache(here: Places, folder: Path, source: str) -> Pin:
    """Put a folder with the files of a new data version into DVC's cache; data/ and data.dvc stay as they are.

    Args:
        source: the text of `meta.source`.

    Returns:
        The pin of the new version.
    """
    sizes = [path.stat().st_size for path in folder.iterdir()]
    with repository(here, sum(sizes)) as repo:
        return Pin(_into_cache(here, repo, folder), sum(sizes), source, len(sizes))


def _into_cache(here: Places, repo: Repo, folder: Path) -> str:
    """Copy a folder into the cache, synced to the disk, and return its version."""
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.transfer import transfer

    cache = repo.cache.local
    staging, _, tree = build(cache, str(folder), repo.fs, "md5")
    transfer(staging, cache, {tree.hash_info}, shallow=False)
    version = str(tree.hash_info.value).removesuffix(".dir")
    for path in dvc_cache.of_version(here, version):
        durable.sync(path, within=here.state)
    return version


def remote(here: Places) -> str:
    """The name of the default DVC remote; empty without one."""
    with repository(here) as repo:
        return default_remote(repo)


def default_remote(repo: Repo) -> str:
    """The name of the repository's default remote; empty without one."""
    return str(repo.config["core"].get("remote") or "")


def push(here: Places) -> tuple[str, int]:
    """Push the pinned version to the default remote.

    Returns:
        The remote's name and how many files it lacked; ("", 0) without a remote.

    Raises:
        Refusal: the remote does not take them.
    """
    with repository(here) as repo:
        name = default_remote(repo)
        if not name:
            return "", 0
        with answering(repo):
            return name, int(repo.push(targets=[str(here.root / "data.dvc")]))


@contextmanager
def answering(repo: Repo) -> Iterator[None]:
    """Turn every error of the default remote inside the block into a refusal.

    A bucket is checked first: DVC waits ten seconds for one that refuses, and minutes for one that hangs.

    Raises:
        Refusal: the remote fails.
    """
    name = default_remote(repo)
    try:
        settings = repo.config["remote"][name]
        if s3.is_bucket(str(settings["url"])):
            s3.of_dvc(settings).require(f"the DVC remote {name!r}")
        yield
    except Refusal:
        raise
    except Exception as error:  # every kind of storage has exceptions of its own, and DVC passes them on
        raise Refusal(
            f"The DVC remote {name!r} must answer, and hand over or take what it is asked to.",
            faults.first_line(error),
            "See where it is (.dvc/config), whether it runs, and whether its keys are in the environment.",
        ) from error


def keep_pinned(here: Places, pin: Pin) -> bool:
    """Put the pinned version from data/ into DVC's cache; False where data/ holds other bytes."""
    dvc_cache.set_damaged_aside(here, pin.version)
    with repository(here) as repo:
        if not here.data.exists() or digest(repo, here.data) != pin.version:
            return False
        _into_cache(here, repo, here.data)
    return dvc_cache.is_complete(here, pin.version)


def digest(repo: Repo, folder: Path) -> str:
    """DVC's hash of a folder, as data.dvc states it; DVC caches it for unchanged files."""
    from dvc_data.hashfile.build import build

    _, _, tree = build(repo.cache.local, str(folder), repo.fs, "md5", dry_run=True)
    return str(tree.hash_info.value).removesuffix(".dir")


def empty_incoming(here: Places) -> Path:
    """The incoming folder, emptied. It lies on the disk of data/, so one rename can make it data/."""
    shutil.rmtree(here.incoming, ignore_errors=True)
    here.incoming.mkdir()
    return here.incoming
