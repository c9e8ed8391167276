"""What of a registry nothing needs any more: versions, runs and moves of the champion enter, a Choice leaves. Pure, but
for the removal of files."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ratchet.state.ledger import Move


@dataclass(frozen=True)
class Version:
    """A version of a registered model, as far as pruning asks. data: the data version it was trained on."""

    problem: str
    number: int
    run: str
    model: str
    data: str
    aliased: bool
    created: float


@dataclass(frozen=True)
class Run:
    """A run in MLflow. parent: the build it belongs to, or empty. models: what it logged. ended: seconds, or None."""

    problem: str
    id: str
    parent: str
    models: tuple[str, ...]
    data: str
    ended: float | None


@dataclass(frozen=True)
class Choice:
    """What goes, and the data versions that what stays was trained on."""

    versions: tuple[Version, ...]
    runs: tuple[Run, ...]
    data: frozenset[str]

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(model for run in self.runs for model in run.models)


def choose(all_versions: Sequence[Version], all_runs: Sequence[Run], moves: Iterable[Move], cutoff: float) -> Choice:
    """What of a registry nothing needs: pure.

    Args:
        cutoff: seconds since 1970; what ended or was made later stays.
    """
    once_live = {(move.problem, number) for move in moves for number in (move.before, move.after)}
    kept = [v for v in all_versions if v.aliased or v.created >= cutoff or (v.problem, v.number) in once_live]
    needed = {version.run for version in kept} | {run.id for run in all_runs if run.ended is None or run.ended > cutoff}
    needed |= {run.id for run in all_runs if set(run.models) & {version.model for version in kept}}
    needed |= {run.parent for run in all_runs if run.id in needed}
    gone_runs = tuple(run for run in all_runs if run.id not in needed)
    lost = {run.id for run in gone_runs}
    gone = tuple(version for version in all_versions if version not in kept and version.run in lost)
    data = {version.data for version in all_versions if version not in gone}
    data |= {run.data for run in all_runs if run.id in needed}
    return Choice(gone, gone_runs, frozenset(data - {""}))


def bytes_of(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    size = path.stat().st_size
    return size - size // 10 if path.suffix == ".log" else size


def is_old(path: Path, cutoff: float) -> bool:
    return path.stat().st_mtime <= cutoff


def remove(path: Path) -> None:
    """Remove a file or folder; of a log the end stays."""
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
