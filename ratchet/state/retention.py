"""Retention in the registry: versions, runs and moves of the champion enter, a Choice of what can be removed leaves.

Pure, except for the removal of files.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ratchet.state.ledger import Move


@dataclass(frozen=True)
class Version:
    """The fields of a registered version that retention needs.

    Attributes:
        problem: registered model.
        number: of the version.
        run: id of its run.
        model: id of its logged model.
        data: the data version it was trained on.
        aliased: whether an alias points to it.
        created: seconds since 1970.
    """

    problem: str
    number: int
    run: str
    model: str
    data: str
    aliased: bool
    created: float


@dataclass(frozen=True)
class Run:
    """The fields of an MLflow run that retention needs.

    Attributes:
        problem: registered model.
        id: of the run.
        parent: id of the build's run; empty for none.
        models: ids of the models that it logged.
        data: the data version of the run.
        ended: seconds since 1970; None while it runs.
    """

    problem: str
    id: str
    parent: str
    models: tuple[str, ...]
    data: str
    ended: float | None


@dataclass(frozen=True)
class Choice:
    """What can be removed.

    Attributes:
        versions: that can be removed.
        runs: that can be removed.
        data: the data versions of all that stays.
    """

    versions: tuple[Version, ...]
    runs: tuple[Run, ...]
    data: frozenset[str]

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(model for run in self.runs for model in run.models)


def choose(all_versions: Sequence[Version], all_runs: Sequence[Run], moves: Iterable[Move], cutoff: float) -> Choice:
    """Choose the versions and runs that nothing needs.

    Args:
        cutoff: seconds since 1970; versions created and runs ended later stay.
    """
    once_live = {(move.problem, number) for move in moves for number in (move.before, move.after)}
    kept = [
        version
        for version in all_versions
        if version.aliased or version.created >= cutoff or (version.problem, version.number) in once_live
    ]
    needed = {version.run for version in kept} | {run.id for run in all_runs if run.ended is None or run.ended > cutoff}
    needed |= {run.id for run in all_runs if set(run.models) & {version.model for version in kept}}
    needed |= {run.parent for run in all_runs if run.id in needed}
    removable_runs = tuple(run for run in all_runs if run.id not in needed)
    removable_ids = {run.id for run in removable_runs}
    removable = tuple(version for version in all_versions if version not in kept and version.run in removable_ids)
    data = {version.data for version in all_versions if version not in removable}
    data |= {run.data for run in all_runs if run.id in needed}
    return Choice(removable, removable_runs, frozenset(data - {""}))


def bytes_of(path: Path) -> int:
    """The bytes that `remove` frees: all of a file or folder; of a log nine tenths."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    size = path.stat().st_size
    return size - size // 10 if path.suffix == ".log" else size


def is_old(path: Path, cutoff: float) -> bool:
    return path.stat().st_mtime <= cutoff


def remove(path: Path) -> None:
    """Remove a file or folder; the last tenth of a log stays."""
    if path.is_dir():
        shutil.rmtree(path)
    elif path.suffix == ".log":
        with open(path, "rb+") as file:
            file.seek(-(path.stat().st_size // 10), 2)
            end = file.read()
            file.seek(0)
            file.write(end)
            file.truncate()
    else:
        path.unlink(missing_ok=True)
