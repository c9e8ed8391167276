"""Backup and restore: the state enters an archive while the loop turns and the UIs are open, and leaves it again.

    make backup [TO=file.tar.zst]       make restore FROM=file.tar.zst

A restore reads the whole archive before it changes anything, and moves the present state into state/backups/. The moves
follow a write-ahead plan: the next command finishes a restore that a kill or a power cut interrupted.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.runs import recovery
from ratchet.data.incoming import incoming_table
from ratchet.data.versions import dvc_cache, dvc_repo, git
from ratchet.maintenance import archive, migrations
from ratchet.problem import data_pin, settings
from ratchet.project import durable
from ratchet.project.errors import Refusal
from ratchet.project.paths import LOG_VARIABLE, PLAN, Places, prefect_database, project_version, settle
from ratchet.project.progress import Progress, Say
from ratchet.servers import servers

REBUILT = frozenset({
    "cache", "bundles", "work", "keras", "matplotlib", "pytest", "ruff", "mypy", "hypothesis", "pictures", "logs",
    "backups", "servers", "services", "open-runs", "restoring", "reports", "loop.lock", "pace.lock",
    "setup.lock", "upgrade.lock",
})  # fmt: skip
"""Entries of state/ that no backup holds: they are made anew, belong to this machine, or are backups themselves."""
EXCLUDED = ("dvc/tmp", "dvc/site", "dvc/global", "dvc/system", "prefect/ui", "last-turn.json")
DATABASE_SUFFIXES = ("-wal", "-shm", "-journal")


# Backup


def make(here: Places, name: str, say: Say) -> Path:
    """Write the archive; its path.

    Args:
        name: the path; empty for state/backups/NAME-DATE.tar.zst.

    Raises:
        Refusal: the file exists, or its name does not end as an archive's.
    """
    target = target_of(here, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".ratchet-backup-") as scratch:
        ensure_data_in_cache(here, say)
        files = gather(here, Path(scratch))
        total = sum(path.stat().st_size for _, path in files if path.exists())
        fresh = Path(scratch) / target.name
        count = archive.write(
            fresh, describe(here, total), files, Progress(say, f"Writing {target.name}", total, "bytes")
        )
        refuse_overwriting(target)
        durable.replace(fresh, target)
    say(f"{count:,} files, {megabytes(total)}, in {target} ({megabytes(target.stat().st_size)}).")
    if target.is_relative_to(here.state):
        say("A backup on the same disk goes when the disk goes. Better: make backup TO=/another/disk/name.tar.zst")
    for store in external_stores():
        say(f"{store} is not in it: back it up where it is.")
    say(f"To restore it: make restore FROM={shlex.quote(str(target))}")
    return target


def external_stores() -> list[str]:
    """The external parts of the state, which no archive holds, with the variables that name them."""
    stores = []
    if not os.environ.get("MLFLOW_TRACKING_URI", "").startswith("sqlite:///"):
        stores.append("The registry that MLFLOW_TRACKING_URI names")
    if os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT"):
        stores.append("The store of models and files that MLFLOW_DEFAULT_ARTIFACT_ROOT names")
    if os.environ.get(LOG_VARIABLE):
        stores.append(f"The log of predictions that {LOG_VARIABLE} names")
    variable = "PREFECT_API_URL" if os.environ.get("PREFECT_API_URL") else prefect_database()[0]
    if variable:
        stores.append(f"The record of runs that {variable} names")
    return stores


def target_of(here: Places, name: str) -> Path:
    """The path of the archive: the given one, or state/backups/NAME-DATE.tar.zst."""
    if name:
        target = Path(name).expanduser().absolute()
        if not target.name.endswith(archive.ENDINGS):
            raise Refusal(
                f"A backup's name ends in {' or '.join(archive.ENDINGS)}.",
                name,
                f"make backup TO={name}{archive.ENDINGS[0]}",
            )
    else:
        moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        target = here.backups / f"{problem_name(here)}-{moment}{archive.ENDINGS[0]}"
    refuse_overwriting(target)
    return target


def refuse_overwriting(target: Path) -> None:
    if target.exists():
        raise Refusal("A backup overwrites nothing.", f"{target}: there is one already", "Name another file: TO=...")


def problem_name(here: Places) -> str:
    try:
        return settings.load(here.params).problem
    except Refusal:
        return "ratchet"


def ensure_data_in_cache(here: Places, say: Say) -> None:
    """Put the pinned data into DVC's cache if only data/ has it: an archive holds data as DVC objects."""
    try:
        pin = data_pin.pinned(here)
    except Refusal as refusal:
        say(f"The pinned data is not in this backup: {refusal.received}.")
        return
    if not dvc_cache.is_complete(here, pin.version) and not dvc_repo.keep_pinned(here, pin):
        say(f"Data {pin.short} is not in this backup: neither data/ nor DVC's cache holds it as it is pinned.")


def gather(here: Places, scratch: Path) -> list[tuple[str, Path]]:
    """The name in the archive and the path of each file; databases first, as consistent copies."""
    copies: list[tuple[str, Path]] = []
    files: list[tuple[str, Path]] = []
    for entry in sorted(here.state.iterdir()):
        for path in archive.iterate(entry) if entry.is_dir() else (entry,):
            name = path.relative_to(here.state).as_posix()
            if entry.name in REBUILT or name in EXCLUDED or name.startswith(tuple(f"{folder}/" for folder in EXCLUDED)):
                continue
            if path.name.endswith(DATABASE_SUFFIXES) and is_database(path.with_name(path.name.rpartition("-")[0])):
                continue
            if is_database(path):
                copy = scratch / f"{len(copies)}.db"
                migrations.snapshot(path, copy)
                copies.append((f"state/{name}", copy))
            else:
                files.append((f"state/{name}", path))
    project = [(name, here.root / name.removeprefix("project/")) for name in archive.PROJECT]
    return copies + files + [(name, path) for name, path in project if path.exists()]


def is_database(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False


def describe(here: Places, total: int) -> dict[str, Any]:
    """The description that stands first in the archive."""
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": project_version(),
        "git_commit": git.code_version(here),
        "problem": problem_name(here),
        "root": str(here.root),
        "state": str(here.state),
        "bytes": total,
    }


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


# Restore


def restore(here: Places, source: str, say: Say) -> None:
    """Replace the project's state by that of an archive; the present state is kept in state/backups/.

    Raises:
        Refusal: there is no such archive, it is damaged, a loop turns or the UIs are open. Nothing has changed then.
    """
    path = Path(source).expanduser().absolute()
    if not source or not path.is_file():
        archives = ", ".join(str(file) for file in sorted(here.backups.glob("*.tar.*"))) or "none"
        raise Refusal(
            "FROM names a backup.", f"{source or 'no FROM'}: no such file", f"Those in state/backups/: {archives}"
        )
    with recovery.alone(here, "make restore", say):
        refuse_open_uis(here)
        staging = (here.state / PLAN).parent
        shutil.rmtree(staging, ignore_errors=True)
        try:
            progress = Progress(say, f"Reading {path.name}", path.stat().st_size, "bytes")
            about = archive.unpack(path, staging, progress, check_room(here))
            relocate(staging / "state" / "mlflow.db", {about["state"]: here.state, about["root"]: here.root})
            write_plan(here, staging)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        before = finish(here)
        say(f"Restored what `make backup` wrote at {about['made'][:16]} UTC (version {about['version']}).")
        say(f"What was there before is in {before}; delete it once you are sure.")
        fetch_data(here, say)
        say("See it: make status")


def refuse_open_uis(here: Places) -> None:
    running = [name for name in ("prefect", "mlflow", "flows", "service") if servers.running_record(here, name)]
    if running:
        raise Refusal(
            "A restore needs the databases for itself.",
            f"running: {', '.join(running)}",
            "End `make up`, `make ui` or `make serve` first.",
        )


def check_room(here: Places) -> Callable[[dict[str, Any]], None]:
    """A check that the disk can hold the unpacked archive."""

    def check(about: dict[str, Any]) -> None:
        free = shutil.disk_usage(here.state).free
        if free < about["bytes"] * 1.05:
            received = f"{megabytes(free)} free, {megabytes(about['bytes'])} needed, for {here.state}"
            raise Refusal("The disk must have room for what is restored.", received, "Free some: make prune")

    return check


def relocate(database: Path, places: dict[str, Path]) -> None:
    """Let a registry that was made in one folder point to the same artifacts in another.

    MLflow stores the place of artifacts as an absolute path or URI in several tables. Every text that begins with an
    old folder is changed, and no other text.

    Args:
        places: old folder -> new folder.
    """
    moves = []
    for old, new in places.items():
        moves += [(Path(old).as_uri(), new.as_uri()), (f"file://{old}", f"file://{new}"), (old, str(new))]
    moves = [(before, after) for before, after in dict.fromkeys(moves) if before != after]
    if not database.exists() or not moves:
        return
    with closing(sqlite3.connect(database)) as connection, connection:
        tables = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (table,) in tables:
            for _, column, kind, *_ in connection.execute(f'pragma table_info("{table}")').fetchall():
                if not kind.upper().startswith(("VARCHAR", "TEXT")):
                    continue
                for before, after in moves:
                    connection.execute(
                        f'update "{table}" set "{column}" = ? || substr("{column}", ?) '
                        f'where substr("{column}", 1, ?) = ?',
                        (f"{after}/", len(before) + 2, len(before) + 1, f"{before}/"),
                    )


def write_plan(here: Places, staging: Path) -> None:
    """Write the plan of the moves; from here on the next command can finish the restore."""
    names = sorted(entry.name for entry in here.state.iterdir() if entry.name not in REBUILT)
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    staged_pin = staging / "project" / "data.dvc"
    present_pin = here.root / "data.dvc"
    both = staged_pin.exists() and present_pin.exists()
    same = both and staged_pin.read_bytes() == present_pin.read_bytes()
    plan = {"out": names, "before": str(here.backups / f"before-restore-{moment}"), "data": not same}
    durable.sync(staging)
    durable.write(here.state / PLAN, json.dumps(plan))


def finish(here: Places) -> Path:
    """Move the present state out and the staged state in, by the plan; moves that are done already are skipped.

    Returns:
        The folder of the state that was replaced.
    """
    staging = (here.state / PLAN).parent
    plan = json.loads((here.state / PLAN).read_text(encoding="utf-8"))
    before = Path(plan["before"])
    durable.make_folder(before / "project")
    for name in plan["out"]:
        move(here.state / name, before / name)
    if plan["data"]:
        move(here.data, before / "project" / "data")
    for name in archive.PROJECT:
        exchange(here.root / name.removeprefix("project/"), staging / name, before / name)
    for entry in sorted((staging / "state").iterdir()):
        move(here.state / entry.name, before / f"{entry.name}.since")  # of a command after the interrupted restore
        durable.move(entry, here.state / entry.name)
    durable.remove(here.state / PLAN)
    shutil.rmtree(staging)
    settle(here)
    return before


def move(path: Path, to: Path) -> None:
    """Move a file or folder, to another disk by copying it; nothing happens if it was moved before."""
    if to.exists() or not path.exists():
        return
    try:
        durable.move(path, to)
    except OSError:
        half = to.with_name(f"{to.name}.half")
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(path, half) if path.is_dir() else shutil.copy2(path, half)
        durable.replace(half, to)
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def exchange(path: Path, staged: Path, kept: Path) -> None:
    """Keep a copy of a file of the project, and put the staged file in its place."""
    if not staged.exists():
        return
    durable.make_folder(kept.parent)
    if path.exists() and not kept.exists():
        half = kept.with_name(f"{kept.name}.half")
        shutil.copy2(path, half)
        durable.replace(half, kept)
    durable.make_folder(path.parent)
    fresh = path.with_name(f"{path.name}.new")
    shutil.copyfile(staged, fresh)
    durable.replace(fresh, path)
    durable.remove(staged)


def fetch_data(here: Places, say: Say) -> None:
    """Fetch the pinned data version into data/; a failure is printed, and the restore stands."""
    try:
        pin = data_pin.pinned(here)
        source = incoming_table.fetch_pinned(here, pin)
        say(f"data/ holds version {pin.short}: {source}.")
    except Refusal as refusal:
        say(f"data/ could not be fetched: {refusal}")
