"""A bundle: the folder a model was saved to, and a manifest with its facts and the digest of every file.

    state/bundles/<digest>/manifest.json model.json arrays.npz ...

The folder's name is the SHA-256 of the manifest, and the manifest holds the SHA-256 of every file. A bundle is
therefore complete and of exactly that version, or it is refused before anything in it is parsed. It holds JSON and
arrays, no code.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import models
from models.contract import Model
from ratchet import tasks
from ratchet.project import durable
from ratchet.project.errors import Refusal
from ratchet.tasks import Task

MANIFEST = "manifest.json"
DIGEST = re.compile(r"[0-9a-f]{64}")
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
FIRST_TASK = "classify"
"""The kind of problem of a bundle whose manifest names none, as all did before there were several."""


@dataclass(frozen=True)
class Facts:
    """The version in a bundle, its origin, and the kind of problem that it answers."""

    problem: str
    version: int
    model: str
    run: str
    data_version: str
    git_commit: str
    task: str = FIRST_TASK

    def written(self) -> dict[str, Any]:
        """The facts as a manifest has them: a version packed before there were several kinds keeps its digest."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("task", FIRST_TASK)}


@dataclass(frozen=True)
class Bundle:
    """A model that was read, verified, and has answered the odd inputs."""

    digest: str
    facts: Facts
    model: Model

    @property
    def labels(self) -> tuple[str, ...]:
        return self.model.labels

    @property
    def task(self) -> Task:
        """The kind of problem."""
        return tasks.get(self.facts.task)


def pack(saved: Path, facts: Facts, bundles: Path) -> str:
    """Make the bundle of a saved model, unless it is there already.

    Returns:
        Its digest; the same files and facts always have the same one.

    Raises:
        Refusal: the model cannot be read, or does not answer the odd inputs.
    """
    bundles.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bundles, prefix=".packing-") as scratch:
        folder = Path(scratch) / "bundle"
        shutil.copytree(saved, folder)
        check_answers(load_model(folder, facts), facts)
        files = {path.name: sha256(path) for path in sorted(folder.iterdir())}
        text = json.dumps({"facts": facts.written(), "files": files}, ensure_ascii=False, sort_keys=True, indent=1)
        (folder / MANIFEST).write_text(text, encoding="utf-8")
        digest = hashlib.sha256(text.encode()).hexdigest()
        if not is_whole(bundles / digest):
            shutil.rmtree(bundles / digest, ignore_errors=True)
            with suppress(OSError):  # another process has just packed the same bundle
                durable.replace(folder, bundles / digest)
    read_manifest(bundles / digest)
    return digest


def open_bundle(bundles: Path, digest: str) -> Bundle:
    """Read a bundle: verify the digests, load the model, have it answer the odd inputs.

    Raises:
        Refusal: one of these checks fails.
    """
    manifest = read_manifest(bundles / digest)
    try:
        facts = Facts(**manifest["facts"])
    except TypeError as error:
        raise tampered(bundles / digest, str(error)) from None
    model = load_model(bundles / digest, facts)
    check_answers(model, facts)
    return Bundle(digest, facts, model)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of an unchanged bundle. No other file is parsed, and the manifest after its digest.

    Raises:
        Refusal: a file is missing, added or changed.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
        if not DIGEST.fullmatch(folder.name) or hashlib.sha256(text).hexdigest() != folder.name:
            raise tampered(folder, f"{MANIFEST} does not have the digest in its folder's name")
        manifest: dict[str, Any] = json.loads(text)
        names = {path.name for path in folder.iterdir()} - {MANIFEST}
        if names != set(manifest["files"]):
            raise tampered(folder, f"the files {sorted(names)} instead of {sorted(manifest['files'])}")
        for name, digest in manifest["files"].items():
            if not FILE_NAME.fullmatch(name) or (folder / name).is_symlink() or sha256(folder / name) != digest:
                raise tampered(folder, f"{name} is not the file that was packed")
    except (OSError, KeyError, ValueError) as error:
        raise tampered(folder, str(error)) from None
    return manifest


def tampered(folder: Path, received: str) -> Refusal:
    return Refusal(
        "A bundle is served as it was packed, or not at all.", received, f"Remove {folder}, then: make deploy"
    )


def is_whole(folder: Path) -> bool:
    """Whether the folder is an unchanged bundle."""
    try:
        read_manifest(folder)
    except Refusal:
        return False
    return True


def load_model(folder: Path, facts: Facts) -> Model:
    """Load the model in a folder.

    Raises:
        Refusal: the files are not those of a model.
    """
    with _must_load(facts.version):
        tasks.get(facts.task)
        return models.load(folder)


def task_of(folder: Path, version: int) -> str:
    """The kind of problem that the model in a folder answers.

    Raises:
        Refusal: the files are not those of a model.
    """
    with _must_load(version):
        return models.task_of(folder)


@contextmanager
def _must_load(version: int) -> Iterator[None]:
    """Turn errors of reading a model into a refusal."""
    try:
        yield
    except (OSError, KeyError, TypeError, ValueError, LookupError) as error:
        raise Refusal(
            f"Version {version} must load.", " ".join(str(error).split())[:300], "Build anew: make build"
        ) from error


def check_answers(model: Model, facts: Facts) -> None:
    """Have the model answer the odd inputs of its kind.

    Raises:
        Refusal: the outputs are none that may go live.
    """
    face = tasks.get(facts.task).answers
    fault = face.fault(model.predict(face.ODD), model.labels)
    if fault:
        raise Refusal(
            f"Version {facts.version} must answer {len(face.ODD)} {face.SOUND}.",
            fault,
            "It does not go live. Mend the model file, and build anew.",
        )


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def facts_from_tags(tags: Mapping[str, str], problem: str, version: int, run: str, task: str) -> Facts:
    """Make the facts from a version's tags in the registry."""
    model, data_version, git_commit = (tags.get(name, "") for name in ("model", "data_version", "git_commit"))
    return Facts(problem, version, model, run, data_version, git_commit, task)
