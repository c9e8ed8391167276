"""The only code that knows DVC: how the pinned data gets to data/, and how a new version gets into the cache."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ratchet.data.versions import dvc_cache
from ratchet.project import durable, faults
from ratchet.project.data_pin import Pin
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.servers.remote import s3

if TYPE_CHECKING:
    from dvc.repo import Repo

USED_LATER = (
    "cachemgr", "data_cloud", "lock", "scm",
    "repo.artifacts", "repo.datasets", "repo.metrics", "repo.params", "repo.plots", "repo.stage",
)  # fmt: skip
"""What a repository of DVC's loads only as it is made."""
DVC_ROOM = 4 * 2**20
"""Bytes for DVC's own databases and scratch files; they took 0.2 MB."""


def load() -> None:
    """Load DVC now, for whoever has something else to wait for meanwhile."""
    for name in USED_LATER:
        import_module(f"dvc.{name}")
    import dvc_data.hashfile.build
    import dvc_data.hashfile.transfer  # noqa: F401


@contextmanager
def repository(here: Places, needed: int = 0) -> Iterator[Repo]:
    """The project's DVC repository, with its cache and its scratch files below state/, saying nothing.

    Args:
        needed: bytes that are going to be written. On a disk without room DVC waits for its own database forever.

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
    """Put exactly the pinned bytes into data/: from the cache, a DVC remote, or what `rebuild` makes.

    data/ appears whole or not at all. What is there and pinned by nobody is neither used nor overwritten.

    Args:
        rebuild: called with an empty folder to fill with table.csv and split.json; None where nothing can.

    Returns:
        Where they came from, in plain words.

    Raises:
        Refusal: data/ was changed by hand, or nothing gives the pinned bytes.
    """
    with repository(here, 0 if here.data.exists() else 2 * pin.bytes) as repo:
        if here.data.exists():
            found = digest(repo, here.data)
            if found == pin.version:
                return "already there"
            if not dvc_cache.take(
                here, found, fresh(here)
            ):  # a version that the cache can give back is nobody's only copy
                raise Refusal(
                    "data/ must hold what data.dvc pins.",
                    "other bytes",
                    "Delete data/ to fetch the pinned ones, or bring them as a new version: make data SOURCE=...",
                )
        came, trouble = found_again(here, repo, pin)
        came = came or rebuilt(here, repo, pin, rebuild, trouble)
        shutil.rmtree(here.data, ignore_errors=True)
        durable.replace(here.incoming, here.data)
        return came


def lay_beside(here: Places, pin: Pin, rebuild: Callable[[Path], None] | None, mine: str) -> None:
    """Put the pinned files into data/, which holds a person's own file alone; that one stays as it is.

    Raises:
        Refusal: nothing gives the pinned bytes.
    """
    with repository(here, 2 * pin.bytes) as repo:
        came, trouble = found_again(here, repo, pin)
        if not came:
            rebuilt(here, repo, pin, rebuild, trouble)
        _into_cache(here, repo, here.incoming)
    for path in here.incoming.iterdir():
        if path.name != mine:
            durable.replace(path, here.data / path.name)
    shutil.rmtree(here.incoming)


def found_again(here: Places, repo: Repo, pin: Pin) -> tuple[str, Refusal | None]:
    """The pinned bytes in the folder for what comes in, from the cache or else the remote.

    Returns:
        Where they came from, empty where neither has them; and why the remote could not even be asked.
    """
    if dvc_cache.take(here, pin.version, fresh(here)):
        return "from the cache", None
    if not default_remote(repo):
        return "", None
    try:
        with answering(repo):
            repo.fetch(targets=[str(here.root / "data.dvc")])
    except Refusal as trouble:
        return "", trouble
    return ("pulled from the remote" if dvc_cache.take(here, pin.version, fresh(here)) else ""), None


def rebuilt(here: Places, repo: Repo, pin: Pin, rebuild: Callable[[Path], None] | None, trouble: Refusal | None) -> str:
    if rebuild is None and trouble is not None:
        raise trouble
    if rebuild is None:
        aside = here.state / "dvc" / "damaged"
        raise Refusal(
            f"data.dvc pins {pin.short}, made from {pin.source or 'an unknown source'}.",
            "neither DVC's cache nor a remote has it whole, and nothing here can rebuild it"
            + (f"; damaged objects are in {aside}" if aside.exists() else ""),
            "Name the remote that has it (dvc remote add -d NAME URL), or bring the table again: make data SOURCE=...",
        )
    rebuild(fresh(here))
    found = digest(repo, here.incoming)
    if found != pin.version:
        made = here.work / "pinned-data"
        shutil.rmtree(made, ignore_errors=True)
        shutil.move(here.incoming, made)
        raise Refusal(
            f"data.dvc pins {pin.short}, and {pin.source} must give these bytes.",
            f"bytes with hash {found[:8]}, kept in {made}",
            "Take this version of the project's code as it was committed, or pin anew: make data EXAMPLE=...",
        )
    _into_cache(here, repo, here.incoming)
    return f"rebuilt from {pin.source}"


def into_cache(here: Places, folder: Path, source: str) -> Pin:
    """Put a folder with what data/ is to hold into DVC's cache; the pin that data.dvc may then hold.

    Neither data/ nor data.dvc is touched.
    """
    sizes = [path.stat().st_size for path in folder.iterdir()]
    with repository(here, sum(sizes)) as repo:
        return Pin(_into_cache(here, repo, folder), sum(sizes), source, len(sizes))


def _into_cache(here: Places, repo: Repo, folder: Path) -> str:
    """The version that the folder is, now in the cache, and on the disk."""
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
    """The name of the DVC remote that is asked by default, which may hold versions too; empty without one."""
    with repository(here) as repo:
        return default_remote(repo)


def default_remote(repo: Repo) -> str:
    return str(repo.config["core"].get("remote") or "")


def push(here: Places) -> tuple[str, int]:
    """Have the default remote hold the pinned version; its name, and how many files it lacked. Without one: ("", 0).

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
    """Whatever goes wrong with the default remote while the block uses it is one sentence.

    A bucket is asked first: DVC waits ten seconds for one that refuses, and minutes for one that hangs.

    Raises:
        Refusal: something does.
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


def keep(here: Places, pin: Pin) -> bool:
    """Have DVC's cache hold the pinned version; whether it does, which it cannot where data/ holds other bytes."""
    dvc_cache.set_damaged_aside(here, pin.version)
    with repository(here) as repo:
        if not here.data.exists() or digest(repo, here.data) != pin.version:
            return False
        _into_cache(here, repo, here.data)
    return dvc_cache.is_complete(here, pin.version)


def digest(repo: Repo, folder: Path) -> str:
    """DVC's own hash of a folder, as data.dvc would state it; cheap where the files have not changed since."""
    from dvc_data.hashfile.build import build

    _, _, tree = build(repo.cache.local, str(folder), repo.fs, "md5", dry_run=True)
    return str(tree.hash_info.value).removesuffix(".dir")


def fresh(here: Places) -> Path:
    """The folder for data that comes in, empty; on the disk of data/, so that it can become data/ in one move."""
    shutil.rmtree(here.incoming, ignore_errors=True)
    here.incoming.mkdir()
    return here.incoming
