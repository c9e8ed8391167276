"""What people do around a project, without a service: texts are answered and labelled straight in its log; and the
project's stages as one process calls them, with a Prefect server that is started once."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from ratchet.data.prepare import split
from ratchet.data.tables import canonical_csv
from ratchet.data.versions import quarantine
from ratchet.monitoring.log import database, predictions
from ratchet.problem.data_pin import SplitSpec
from tests.support import forking
from tests.support.forking import Begun
from tests.support.project import Project

DRIVER = """
import json, os, sys
from ratchet.project.paths import places, settle
from ratchet.console import cli
from ratchet.servers import prefork
here = places()
settle(here)
with prefork.fork_server("flows.published.flow_process"), cli.prefect_server(here, "reviews"):
    from flows.optimise import optimise
    from flows.deploy import deploy
    from flows.lifecycle import lifecycle
    from flows.runs.stage import problem_and_registry
    from flows.runs import champion
    from flows import optimise as optimising
    from ratchet.data.incoming import table_import
    from ratchet.data.prepare import rows
    from ratchet.monitoring import feedback, retrain_state
    from ratchet.state import turn
    from ratchet.project.errors import Refusal
    print("READY", flush=True)
    for line in sys.stdin:
        try:
            answer = {"came": eval(json.loads(line))}
        except Refusal as refusal:
            answer = {"refused": str(refusal)}
        except Exception as error:
            answer = {"error": repr(error)}
        print("ANSWER " + json.dumps(answer, default=str), flush=True)
"""
CHANGING = (".git", "data", "data.dvc", "data.new", "data.dvc.new", "data.old", "params.yaml")
CHANGING_STATE = (
    "predictions.db", "predictions.db-wal", "predictions.db-shm", "quarantine", "pace.json", "ledger.jsonl",
    "change.json",
)  # fmt: skip
"""What tests change and put back; not the databases of MLflow and Prefect, which the process holds open."""


class Loop:
    """A project whose stages one process calls, one after the other; what each returns comes back as JSON."""

    def __init__(self, project: Project, process: Begun | subprocess.Popen[str]) -> None:
        self.project = project
        self.root = project.root
        self._process = process
        self._saved = project.root.parent / "saved"
        self._read("READY")
        self.save()

    def call(self, expression: str) -> Any:
        """The value of an expression; a refusal is its sentence."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(expression) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._read("ANSWER "))
        assert "error" not in answer, answer
        return answer.get("refused", answer.get("came"))

    def optimise(self) -> dict[str, Any]:
        """`make optimise`; what it says."""
        said = self.call("vars(optimise(trigger='make optimise'))")
        assert isinstance(said, dict), said
        return said

    def _read(self, wanted: str) -> str:
        assert self._process.stdout is not None
        seen = ""
        for line in self._process.stdout:
            if line.startswith(wanted):
                return line.removeprefix(wanted)
            seen += line
        raise AssertionError(f"{wanted} never came:\n{seen}")

    def save(self) -> None:
        """Keep what the tests change, to go back to."""
        shutil.rmtree(self._saved, ignore_errors=True)
        copy_all(self.root, self._saved)

    def restore(self) -> None:
        copy_all(self._saved, self.root)

    @property
    def log(self) -> Path:
        return self.root / "state" / "predictions.db"

    @property
    def pin(self) -> str:
        return (self.root / "data.dvc").read_text()

    @property
    def kept(self) -> list[dict[str, Any]]:
        """The rows of data/feedback.csv."""
        path = self.root / "data" / "feedback.csv"
        return canonical_csv.read(path).to_dicts() if path.exists() else []

    @property
    def aside(self) -> list[dict[str, Any]]:
        """The rows of feedback that were set aside."""
        path = self.root / "state" / "quarantine" / "feedback" / "reviews.csv"
        return quarantine.read(path).to_dicts()

    @property
    def pace(self) -> dict[str, Any]:
        path = self.root / "state" / "pace.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    @property
    def waiting(self) -> int:
        """Labels of the log that were neither taken in nor set aside."""
        return predictions.count_waiting_labels(self.log, "reviews")

    @property
    def changes(self) -> list[dict[str, Any]]:
        """The ledger's lines about data."""
        lines = (self.root / "state" / "ledger.jsonl").read_text().rstrip("\n").split("\n")
        return [line for line in map(json.loads, lines) if line.get("kind") == "data"]

    def asked(
        self, texts: Sequence[str], label: str = "good", score: float = 0.7, version: int = 1, role: str = "champion"
    ) -> list[str]:
        """The texts are answered with that label; the ids."""
        return ask_of(self.log, texts, label, score, version, role)

    def said(self, ids: Sequence[str], label: str, source: str = "user", chance: float | None = None) -> None:
        """Somebody says of each that this label is right."""
        say(self.log, ids, label, source, chance)


def ask_of(
    log: Path,
    texts: Sequence[str],
    label: str = "good",
    score: float = 0.7,
    version: int = 1,
    role: str = "champion",
    problem: str = "reviews",
    days_ago: float = 0.0,
) -> list[str]:
    """The texts are answered with that label; the ids."""
    now = time.time() - 86_400 * days_ago
    ids = predictions.identities(len(texts), now)
    rows = [
        (name, now, problem, version, role, "/predict", label, score, len(text), predictions.digest(text), text, 0.01)
        for name, text in zip(ids, texts, strict=True)
    ]
    with database.connected(log) as connection:
        connection.executemany(predictions.INSERT, rows)
    return ids


def say(log: Path, ids: Sequence[str], label: str, source: str = "user", chance: float | None = None) -> None:
    """Somebody says of each answer that this label is right."""
    with database.connected(log) as connection:
        connection.executemany(predictions.FEEDBACK, [(name, label, source, time.time(), chance) for name in ids])


def say_of(log: Path, texts: Sequence[str], label: str) -> None:
    """The texts are answered, and somebody says of each that this label is right."""
    say(log, ask_of(log, texts), label)


@contextmanager
def driven(project: Project) -> Iterator[Loop]:
    """The project's process runs while the block does."""
    env = project.environment | {"PYTHONPATH": str(project.root), "PYTHONDONTWRITEBYTECODE": "1"}
    process = forking.spoken_to(project.root, env, DRIVER) or subprocess.Popen(
        [str(project.root / ".venv" / "bin" / "python"), "-c", DRIVER],
        cwd=project.root,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Loop(project, process)
    finally:
        process.communicate(timeout=60)


def copy_all(source: Path, target: Path) -> None:
    """What the tests change, and nothing of it that only the target has."""
    for name in [*CHANGING, *(f"state/{name}" for name in CHANGING_STATE)]:
        old, new = source / name, target / name
        if new.is_dir():
            shutil.rmtree(new)
        else:
            new.unlink(missing_ok=True)
        if old.is_dir():
            shutil.copytree(old, new)
        elif old.exists():
            new.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(old, new)


def texts_of(side: str, count: int, words: str = "a film to remember") -> list[str]:
    """Texts whose hash puts them on that side of the split."""
    made = [f"Opinion {number}: {words}" for number in range(40 * count)]
    rows = pl.DataFrame({"text": made, "group": pl.Series([None] * len(made), dtype=pl.String)})
    return split.assign_sides(rows, SplitSpec("text", "reviews")).filter(split=side)["text"].to_list()[:count]
