"""An atomic change of the data: data/, data.dvc, params.yaml, the quarantine and the ledger's line, by write-ahead.

All files are staged beside their places first (`data.new/`, `data.dvc.new`, ...), which changes nothing. Then the
pending change is written to state/change.json. From then on it is carried out, by this process or, if that is killed,
by the next one that holds the loop's lock. Carrying it out takes only renames and removals, and every step can be
repeated. The staged files are synced before state/change.json is written, and the results before it is removed, so a
power cut has the same effect as a kill.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ratchet.data.versions import dvc_cache, dvc_repo
from ratchet.data.versions import quarantine as quarantine_file
from ratchet.problem.data_pin import Pin
from ratchet.project import durable
from ratchet.project.paths import Places
from ratchet.state import ledger
from ratchet.state.ledger import DataChange


@dataclass(frozen=True)
class PendingChange:
    """The content of state/change.json: what remains to be done once all files are staged.

    Attributes:
        line: the line to append to the ledger.
        emptied: files to remove.
        forgotten: data versions to remove from DVC's cache; all other caches are emptied then, too.
    """

    line: DataChange
    emptied: tuple[str, ...]
    forgotten: tuple[str, ...]


@contextmanager
def staging_folder(here: Places) -> Iterator[Path]:
    """An empty folder for the next data; all staged files are removed if the block fails."""
    clear(here)
    try:
        yield dvc_repo.empty_incoming(here)
    except BaseException:
        if not path_of(here).exists():
            clear(here)
        raise


def change_data(
    here: Places, pin: Pin, params: str | None, quarantine: str | None, line: DataChange, forgotten: list[str]
) -> None:
    """Make the incoming folder the data, with all other files of the change.

    Args:
        pin: the pin of that folder, whose version DVC's cache already has.
        params: text of the new params.yaml; None leaves the file as it is.
        quarantine: the rows set aside as CSV; empty to remove the file; None leaves it as it is.
        line: the line to append to the ledger.
        forgotten: data versions to remove from all caches.
    """
    aside = quarantine_file.path(here, line.problem)
    durable.sync(here.incoming)
    stage(here.root / "data.dvc", pin.to_yaml())
    if params is not None:
        stage(here.params, params)
    if quarantine:
        stage(aside, quarantine)
    pending = PendingChange(line, (str(aside),) if quarantine == "" else (), tuple(forgotten))
    durable.write_json(path_of(here), asdict(pending))
    finish(here)


def finish(here: Places) -> DataChange | None:
    """Carry out the pending change, or what is left of it; the caller holds the loop's lock.

    Without a pending change staged files are removed: their command was killed before it had decided.

    Returns:
        The ledger's line of the change; None where none was pending.
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
    aside = quarantine_file.path(here, line.problem)
    if staged(aside).exists():
        quarantine_file.sign(aside, staged(aside).read_bytes())
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


def forget(here: Places, versions: list[str], kept: str) -> None:
    """Remove versions with withdrawn rows from DVC's cache, and everything that was made from them from ours."""
    dvc_cache.forget(here, versions, kept)
    for folder in (here.state / "cache", here.work):
        shutil.rmtree(folder, ignore_errors=True)
        durable.make_folder(folder)


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it where the disk has no links. A link is safe: nothing writes into a data version."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def clear(here: Places) -> None:
    """Remove all staged files."""
    shutil.rmtree(here.incoming, ignore_errors=True)
    for path in (here.root / "data.dvc", here.params, *here.quarantine.glob("*.csv.new")):
        (path if path.suffix == ".new" else staged(path)).unlink(missing_ok=True)


def staged(path: Path) -> Path:
    """The path under which the next content of a file is staged."""
    return path.with_name(path.name + ".new")


def path_of(here: Places) -> Path:
    """The file of the pending change."""
    return here.state / "change.json"


def stage(path: Path, text: str) -> None:
    """Write the next content of a file beside it, synced to the disk."""
    durable.make_folder(path.parent)
    staged(path).write_text(text, encoding="utf-8")
    durable.sync(staged(path))
