"""A project that is killed, put back as it was, and killed again: always at the same path, for MLflow stores paths."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psutil

from flows.registry.snapshot import unpacked
from tests.support.forking import Begun
from tests.support.project import Project

TURN = {
    "state/move.json": 2, "state/turn.json": 2, "state/ledger.jsonl": 1, "state/last-turn.json": 1,
    "state/mlflow.db": 60, "state/mlflow.db-journal": 100, "state/prefect/prefect.db-wal": 60,
}  # fmt: skip
ROLLBACK = {
    "state/move.json": 2, "state/ledger.jsonl": 1, "state/mlflow.db": 5, "state/mlflow.db-journal": 10,
    "state/loop.lock": 2,
}  # fmt: skip
DATA = {"data.dvc": 1, "params.yaml": 1, "data": 3, "data/table.csv": 2, "state/work": 4, "state/loop.lock": 2}
"""What a command writes in the moments that matter, from the project's root, and how often at most."""

PINNED = ("data.dvc", "params.yaml", "data")
OF_THE_RUN = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|\d+\.\d+ s\b"
)
"""In a text: times, ids of runs, and seconds that something took."""


@dataclass(frozen=True)
class Point:
    """When to kill, and whom.

    after: seconds since the start. line: count of lines printed. said: what stands in a line. write: a file or folder,
    and which of its changes. One of the four is given.
    whom: `all` (the whole process group of make), `python` (the command alone), `child` (a process that trains),
    `watcher` (of Prefect's server, with the command).
    """

    whom: str = "all"
    after: float | None = None
    line: int | None = None
    said: str | None = None
    write: tuple[str, int] | None = None

    def __str__(self) -> str:
        if self.after is not None:
            return f"{self.whom} after {self.after:.2f} s"
        if self.write is not None:
            return f"{self.whom} at change {self.write[1]} of {self.write[0]}"
        return f"{self.whom} at line {self.line or self.said}"


class Arena:
    """A project, the pictures taken of it, and the state that it reached undisturbed."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project = project
        self.folder = folder
        self.struck = False
        """Whether the last kill met the command at work."""
        folder.mkdir()

    def save(self, name: str) -> None:
        """Keep the project as it is now under a name."""
        shutil.copytree(self.project.root, self.folder / name, symlinks=True)

    def restore(self, name: str) -> None:
        """The project as it was saved."""
        shutil.rmtree(self.project.root)
        shutil.copytree(self.folder / name, self.project.root, symlinks=True)

    def kill(self, point: Point, *words: str) -> str:
        """Run `make words`, kill it at the point, and give back what it had printed; it may have ended before."""
        process = self.project.start(*words)
        lines: list[str] = []
        reader = threading.Thread(target=self._read, args=(process, lines))
        reader.start()
        came = self._reached(point, lines)
        while process.poll() is None and not came():
            time.sleep(0.0003)
        self.struck = process.poll() is None
        if self.struck:
            self._strike(point.whom, process)
        reader.join()
        process.wait()
        return "".join(lines)

    def _read(self, process: Begun | subprocess.Popen[str], lines: list[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            lines.extend(process.stdout)

    def _reached(self, point: Point, lines: list[str]) -> Callable[[], bool]:
        """Has the moment come? Asked again and again."""
        if point.after is not None:
            end = time.monotonic() + point.after
            return lambda: time.monotonic() >= end
        if point.line is not None:
            count = point.line
            return lambda: len(lines) >= count
        if point.said is not None:
            words = point.said
            return lambda: any(words in line for line in lines)
        assert point.write is not None
        name, wanted = point.write
        path = self.project.root / name
        seen, count = stamp(path), 0

        def changed() -> bool:
            nonlocal seen, count
            now = stamp(path)
            if now != seen:
                seen, count = now, count + 1
            return count >= wanted

        return changed

    def _strike(self, whom: str, process: Begun | subprocess.Popen[str]) -> None:
        """SIGKILL. Where no such process is there, the command is killed."""
        if whom == "watcher":
            for victim in self.processes("ratchet.servers.servers"):
                victim.kill()
        victims = {"python": "ratchet", "child": "ratchet.training.job"}
        struck = self.processes(victims[whom])[:1] if whom in victims else []
        for victim in struck:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        if not struck:
            os.killpg(process.pid, signal.SIGKILL)

    def processes(self, module: str | None = None) -> list[psutil.Process]:
        """What runs in this project's folder: everything, or what was started as `python -m module`."""
        return [p for p in psutil.process_iter() if of_folder(p, self.project.root) and (not module or runs(p, module))]

    def left(self) -> list[str]:
        """The command lines of processes that outlive their command, after a moment to end."""
        deadline = time.monotonic() + 5
        while (found := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return [" ".join(p.cmdline()) for p in found if p.is_running()]


def stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_ino)


def of_folder(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.cwd() == str(folder)
    except psutil.Error:
        return False


def runs(process: psutil.Process, module: str) -> bool:
    try:
        words, name = process.cmdline(), process.name()
    except psutil.Error:
        return False
    return name == module[:15] or (module in words and words[words.index(module) - 1] == "-m")


def reached(project: Project) -> dict[str, Any]:
    """All that the registry and the ledger say, but for times, ids of runs, and what depends on them."""
    with closing(sqlite3.connect(project.root / "state" / "mlflow.db")) as database:
        rows = database.execute
        aliases = dict(rows("select alias, version from registered_model_aliases").fetchall())
        versions = {}
        for number, run, description in rows("select version, run_id, description from model_versions").fetchall():
            kept = dict(rows("select key, value from model_version_tags where version = ?", (number,)).fetchall())
            tags = unpacked(kept)
            metrics = dict(rows("select key, value from latest_metrics where run_uuid = ?", (run,)).fetchall())
            versions[number] = {
                "tags": without(tags, "prefect_flow_run_id", "turn", "build", "bundle"),
                "metrics": without(metrics, "train_seconds", "holdout_seconds"),
                "status": rows("select status from runs where run_uuid = ?", (run,)).fetchone()[0],
                "description": OF_THE_RUN.sub("its own", unquote(description or "")),
            }
        pages = rows("select description from registered_models").fetchall()
        page = [OF_THE_RUN.sub("its own", unquote(text)) for (text,) in pages]
    moves = [
        without(move, "at") | {"evidence": without(move["evidence"], "prefect_flow_run_id")}
        for move in moves_of(project)
    ]
    return {"aliases": aliases, "versions": versions, "page": page, "moves": moves}


def moves_of(project: Project) -> list[dict[str, Any]]:
    return [dict(line) for line in project.ledger]


def without(known: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in known.items() if name not in names}


def at_work(project: Project) -> list[str]:
    """What says that it runs, in MLflow and in Prefect."""
    asked = [
        ("mlflow.db", "select 'mlflow ' || name from runs where status = 'RUNNING'"),
        ("prefect/prefect.db", "select 'flow ' || name || ' ' || state_type from flow_run where state_type in {open}"),
        ("prefect/prefect.db", "select 'task ' || name || ' ' || state_type from task_run where state_type in {open}"),
    ]
    found: list[str] = []
    for name, question in asked:
        path = project.root / "state" / name
        if path.exists():
            with closing(sqlite3.connect(path)) as database:
                rows = database.execute(question.format(open="('RUNNING', 'PENDING', 'CANCELLING')"))
                found += [row[0] for row in rows.fetchall()]
    return found


def stray(project: Project) -> list[str]:
    """Files that only a command at work has."""
    state = project.root / "state"
    names = ("move.json", "turn.json", "*.new", "servers/*.json", "work/build-*", "mlflow.db.*", "prefect/*.making")
    return [str(path.relative_to(state)) for name in names for path in state.glob(name)]


def move_in(project: Project, old: Path) -> None:
    """Make a copied project's MLflow speak of its new place."""
    places = {
        "experiments": "artifact_location", "runs": "artifact_uri", "model_versions": "storage_location",
        "logged_models": "artifact_location",
    }  # fmt: skip
    with closing(sqlite3.connect(project.root / "state" / "mlflow.db")) as database, database:
        for table, column in places.items():
            database.execute(f"update {table} set {column} = replace({column}, ?, ?)", (str(old), str(project.root)))


def point(
    seed: int, seconds: float, lines: int, writes: dict[str, int], whom: tuple[str, ...] = ("all", "python")
) -> Point:
    """A kill point from a seed: anywhere in time, behind any line, or, half of them, at the writes that matter."""
    chance = random.Random(seed)
    kinds = ("after", "line", "write", "write") if lines > 1 else ("after", "write", "write")
    victim, kind = chance.choice(whom), chance.choice(kinds)
    if kind == "after":
        return Point(victim, after=chance.uniform(0.05, 1.02) * seconds)
    if kind == "line":
        return Point(victim, line=chance.randint(1, lines))
    name = chance.choice(sorted(writes))
    return Point(victim, write=(name, chance.randint(1, writes[name])))
