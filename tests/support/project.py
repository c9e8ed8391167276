"""A project of one's own for a test: the tracked files in a folder that nobody else uses, with own state and ports."""

from __future__ import annotations

import atexit
import json
import os
import py_compile
import random
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path

from ratchet.maintenance import backup
from ratchet.servers.prefork import CODE
from tests.support import forking
from tests.support.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
SMALL = """\
problem: reviews
data: {text: text, label: label}
build: {candidates: [majority, linear], minutes: 2}
evaluate: {metric: accuracy}
"""


@dataclass(frozen=True)
class Done:
    """How a command ended: its status, and what it printed on either stream."""

    status: int
    text: str


class Project:
    """A copy of the tracked files and of those that git would track, with the environment shared.

    A folder that is there already is taken as it is.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.home = folder.parent / "home"
        if not folder.exists():
            self.home.mkdir()
            copy_files(folder)
        ports = free_ports(3)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RATCHET_", "PREFECT_", "MLFLOW_", "DVC_", "GX_", "KERAS_", "MAKE"))
        } | {
            "HOME": str(self.home),
            "PREFECT_PORT": str(ports[0]),
            "MLFLOW_PORT": str(ports[1]),
            "SERVE_PORT": str(ports[2]),
            "NO_COLOR": "1",
            "COLUMNS": "80",
        }

    def make(self, *words: str, **environment: str) -> Done:
        """What `make words` does here, in the given environment: in a copy of a warm process, where that is the same.

        Make itself and a fresh interpreter are what `make_really` has; tests/house/test_verbs.py holds that each verb
        gets it somewhere.
        """
        copied = forking.verb(self.root, self.environment | environment, words)
        return Done(*copied) if copied else self.make_really(*words, **environment)

    def make_really(self, *words: str, **environment: str) -> Done:
        """Run `make words` here, in the given environment."""
        done = subprocess.run(
            ["make", *words],
            cwd=self.root,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        return Done(done.returncode, done.stdout)

    def start(self, *words: str) -> forking.Begun | subprocess.Popen[str]:
        """`make words` at work here, in a session of its own; in a copy of a warm process, as `make` is."""
        return forking.begun(self.root, self.environment, words) or self.start_really(*words)

    def start_really(self, *words: str) -> subprocess.Popen[str]:
        """`make words` at work here, in a session of its own."""
        return subprocess.Popen(
            ["make", *words],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def python(self, code: str, folder: Path | None = None, **environment: str) -> Done:
        """Run a program with the project's interpreter, from any folder; what asks MLflow, in a copy of a warm one."""
        env = self.environment | {"PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"} | environment
        copied = forking.program(code, self.root, folder or self.root, env)
        if copied:
            return Done(*copied)
        done = subprocess.run(
            [str(self.root / ".venv" / "bin" / "python"), "-c", code],
            cwd=folder or self.root,
            env=env,
            capture_output=True,
            text=True,
            timeout=600,
        )
        return Done(done.returncode, done.stdout + done.stderr)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.write_text(text, encoding="utf-8")
        return path

    def bytes_of(self, *names: str) -> dict[str, bytes]:
        """What is at these names now, folders with all that is in them; for `as it was, byte for byte`."""
        found: dict[str, bytes] = {}
        for name in names:
            path = self.root / name
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            found |= {str(file.relative_to(self.root)): file.read_bytes() for file in files if file.is_file()}
        return found

    @property
    def ledger(self) -> list[dict[str, object]]:
        """The ledger's lines about moves of the champion."""
        path = self.root / "state" / "ledger.jsonl"
        lines = [json.loads(line) for line in path.read_text().split("\n") if line] if path.exists() else []
        return [line for line in lines if line.get("kind") != "data"]

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.root / 'state' / 'mlflow.db'}"


def overhearing(project: Project) -> dict[str, str]:
    """What has all Python processes of a command note whom they call (tests/support/overhear/sitecustomize.py)."""
    return {
        "PYTHONPATH": str(ROOT / "tests" / "support" / "overhear"),
        "OVERHEARD": str(project.root.parent / "overheard.txt"),
    }


def overheard(project: Project) -> str:
    """What they noted."""
    return (project.root.parent / "overheard.txt").read_text()


def copy_files(folder: Path) -> None:
    """The tracked files and what Python makes of them: by `cp`, in a tenth of the time that Python takes."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    copy_tree(template(), folder)


def copy_tree(source: Path, target: Path) -> None:
    """The files of a folder, times and all, into another that need not be there yet."""
    subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)


@cache
def template() -> Path:
    """A project as it is before anything is done in it; made once, removed with this process."""
    folder = Path(tempfile.mkdtemp(prefix="template"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).exists() or (ROOT / name).is_symlink():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    for name, content in bytecode().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@cache
def bytecode() -> dict[str, bytes]:
    """What Python makes of the code, by name: each process of a project would compile it anew, as it may write none.

    It holds for a file of the same time and size, so code that a test changes is compiled from what it is now.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "made.pyc"

        def compiled(path: Path) -> bytes:
            py_compile.compile(str(path), str(made), doraise=True)
            return made.read_bytes()

        paths = [path for name in CODE for path in (ROOT / name).rglob("*.py")]
        return {cache_from_source(str(path.relative_to(ROOT))): compiled(path) for path in paths}


def refused(done: Done, *said: str) -> None:
    """It ended as a refusal ends: one sentence with these words, no traceback, not zero."""
    assert done.status != 0, done.text
    assert "Traceback" not in done.text
    assert "does not know" not in done.text, done.text
    sentences = [line for line in done.text.splitlines() if " Received: " in line]
    assert len(sentences) == 1, done.text
    for words in said:
        assert words in sentences[0], done.text


def copied(origin: Project, folder: Path) -> Project:
    """A copy of a project, with what it has in data/ and state/: cheaper than commands of its own."""
    project = Project(folder)
    for name in ("data.dvc", "params.yaml", "reviews.csv"):
        shutil.copy2(origin.root / name, folder / name)
    copy_tree(origin.root / "data", folder / "data")
    copy_tree(origin.root / "state", folder / "state")
    shutil.rmtree(folder / "state" / "servers", ignore_errors=True)
    (folder / "state" / "loop.lock").unlink(missing_ok=True)
    if (folder / "state" / "mlflow.db").exists():
        backup.relocate(folder / "state" / "mlflow.db", {str(origin.root): folder})
    return project


def small_table(rows: int = 600, seed: int = 1) -> str:
    """A CSV of made-up reviews that a model can learn, with one word in eight against its label."""
    chance = random.Random(seed)
    words = {
        "good": ["splendid", "warm", "witty", "moving", "bright"],
        "bad": ["dull", "grim", "clumsy", "tedious", "flat"],
    }
    lines = ["text,label"]
    for number in range(rows):
        label = chance.choice(["good", "bad"])
        side = [label if chance.random() > 0.25 else chance.choice(["good", "bad"]) for _ in range(3)]
        said = " ".join(chance.choice(words[word]) for word in side)
        lines.append(f"Film {number} of {chance.randint(1, 10**6)} is {said},{label}")
    return "\n".join(lines) + "\n"


def bring_small(project: Project, rows: int = 600, **environment: str) -> Project:
    """A small table comes into the project, and what makes its turns quick."""
    project.write("reviews.csv", small_table(rows))
    done = project.make("data", "SOURCE=reviews.csv", "TEXT=text", "LABEL=label", **environment)
    assert done.status == 0, done.text
    project.write("params.yaml", SMALL)
    return project
