"""One change of the data, whole or not at all: data/, data.dvc, params.yaml, the quarantine and the ledger's line.

Everything is laid out beside its place first (`data.new/`, `data.dvc.new`, ...), which changes nothing; then a note of
intent is written, and from then on the change is made, by this process or, where it is killed, by the next that holds
the loop's lock. Making it is renames and removals alone, and every step may be done again. All that was laid out is on
the disk before the note is, and all that was made before the note is gone, so that a power cut is no more than a kill.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ratchet.data.versions import dvc_cache, dvc_repo
from ratchet.data.versions import quarantine as quarantined
from ratchet.project import durable
from ratchet.project.data_pin import Pin
from ratchet.project.paths import Places
from ratchet.state import ledger
from ratchet.state.ledger import DataChange


@dataclass(frozen=True)
class PendingChange:
    """What is to be done once all is laid out.

    line: the ledger's.
    emptied: files to be removed. forgotten: data versions that leave DVC's cache, with all other caches.
    """

    line: DataChange
    emptied: tuple[str, ...]
    forgotten: tuple[str, ...]


@contextmanager
def laying_out(here: Places) -> Iterator[Path]:
    """An empty folder for the data that comes in; whatever was laid out is removed where the block fails."""
    clear(here)
    try:
        yield dvc_repo.fresh(here)
    except BaseException:
        if not path_of(here).exists():
            clear(here)
        raise


def make(
    here: Places, pin: Pin, params: str | None, quarantine: str | None, line: DataChange, forgotten: list[str]
) -> None:
    """Change the data to what lies in the incoming folder.

    Args:
        pin: of that folder, which DVC's cache has already.
        params: the new params.yaml; None leaves it as it is.
        quarantine: the rows set aside as CSV; empty, a file of earlier ones is removed; None leaves it as it is.
    """
    aside = quarantined.path(here, line.problem)
    durable.sync(here.incoming)
    lay_out(here.root / "data.dvc", pin.to_yaml())
    if params is not None:
        lay_out(here.params, params)
    if quarantine:
        lay_out(aside, quarantine)
    intended = PendingChange(line, (str(aside),) if quarantine == "" else (), tuple(forgotten))
    durable.write_json(path_of(here), asdict(intended))
    finish(here)


def finish(here: Places) -> DataChange | None:
    """Make the change that is intended, or make it to its end; None where none is. Hold the loop's lock.

    What was laid out without an intent is removed: it came from a command that was killed before it had decided.
    """
    raw = durable.read_json(path_of(here))
    if raw is None:
        clear(here)
        return None
    line = DataChange(**raw["line"])
    old = here.root / "data.old"
    if here.incoming.exists():
        if here.data.exists():
            shutil.rmtree(old, ignore_errors=True)
            durable.move(here.data, old)
        durable.move(here.incoming, here.data)
    shutil.rmtree(old, ignore_errors=True)
    aside = quarantined.path(here, line.problem)
    if staged(aside).exists():
        quarantined.sign(aside, staged(aside).read_bytes())
    for path in (here.root / "data.dvc", here.params, aside):
        if staged(path).exists():
            durable.move(staged(path), path)
    for name in raw["emptied"]:
        durable.remove(Path(name))
    if raw["forgotten"]:
        forget(here, raw["forgotten"], line.after)
    if line.before != line.after:
        ledger.append_once(here.ledger, line)
    durable.remove(path_of(here))
    return line


def forget(here: Places, gone: list[str], kept: str) -> None:
    """Versions that hold withdrawn rows leave DVC's cache; what was made from them leaves ours."""
    dvc_cache.forget(here, gone, kept)
    for folder in (here.state / "cache", here.work):
        shutil.rmtree(folder, ignore_errors=True)
        durable.make_folder(folder)


def beside(source: Path, target: Path) -> None:
    """The same bytes under another name: a link where the disk has links, for nobody writes into a data version."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def clear(here: Places) -> None:
    """Remove what was laid out and never decided on."""
    shutil.rmtree(here.incoming, ignore_errors=True)
    for path in (here.root / "data.dvc", here.params, *here.quarantine.glob("*.csv.new")):
        (path if path.suffix == ".new" else staged(path)).unlink(missing_ok=True)


def staged(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def path_of(here: Places) -> Path:
    return here.state / "change.json"


def lay_out(path: Path, text: str) -> None:
    """Put what a file is to hold beside it, on the disk before anything relies on it."""
    durable.make_folder(path.parent)
    staged(path).write_text(text, encoding="utf-8")
    durable.sync(staged(path))
