"""A model as the service reads it: the folder that the model was saved to, and a manifest that says what it is.

    state/bundles/<digest>/manifest.json model.json arrays.npz ...

The digest in the name is the SHA-256 of the manifest, and the manifest holds that of every file. So a bundle is whole
and of that very version, or it is refused before anything in it is parsed. There is no code in it: JSON and arrays.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import models
from models.contract import Classifier
from ratchet.project import durable
from ratchet.project.errors import Refusal

MANIFEST = "manifest.json"
NAME = re.compile(r"[0-9a-f]{64}")
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ODD = ("A perfectly ordinary sentence.", "", "今天天气很好。", "x" * 5000)
"""Texts that every model answers before it goes live."""


@dataclass(frozen=True)
class Facts:
    """Which version a bundle holds, and what it came from."""

    problem: str
    version: int
    model: str
    run: str
    data_version: str
    git_commit: str


@dataclass(frozen=True)
class Bundle:
    """A model that was read, checked, and has answered."""

    digest: str
    facts: Facts
    classifier: Classifier

    @property
    def labels(self) -> tuple[str, ...]:
        return self.classifier.labels


def pack(saved: Path, facts: Facts, bundles: Path) -> str:
    """Make a saved model's bundle where it is not there yet; its digest, which the same files and facts always have.

    Raises:
        Refusal: it cannot be read, or does not answer odd texts.
    """
    bundles.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bundles, prefix=".packing-") as scratch:
        folder = Path(scratch) / "bundle"
        shutil.copytree(saved, folder)
        expect_answers(load(folder, facts), facts)
        files = {path.name: sha256(path) for path in sorted(folder.iterdir())}
        text = json.dumps({"facts": asdict(facts), "files": files}, ensure_ascii=False, sort_keys=True, indent=1)
        (folder / MANIFEST).write_text(text, encoding="utf-8")
        digest = hashlib.sha256(text.encode()).hexdigest()
        if not is_whole(bundles / digest):
            shutil.rmtree(bundles / digest, ignore_errors=True)
            with suppress(OSError):  # the same bundle, which somebody else has just packed
                durable.replace(folder, bundles / digest)
    verified(bundles / digest)
    return digest


def open_bundle(bundles: Path, digest: str) -> Bundle:
    """Read a bundle: its digest first, then the model, then an answer to each of the odd texts.

    Raises:
        Refusal: one of them is not what it should be.
    """
    manifest = verified(bundles / digest)
    try:
        facts = Facts(**manifest["facts"])
    except TypeError as error:
        raise tampered(bundles / digest, str(error)) from None
    classifier = load(bundles / digest, facts)
    expect_answers(classifier, facts)
    return Bundle(digest, facts, classifier)


def verified(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle whose every byte is as it was packed; nothing but it is parsed, and it last.

    Raises:
        Refusal: a file is missing, added or changed.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
        if not NAME.fullmatch(folder.name) or hashlib.sha256(text).hexdigest() != folder.name:
            raise tampered(folder, f"{MANIFEST} does not have the digest in its folder's name")
        manifest: dict[str, Any] = json.loads(text)
        there = {path.name for path in folder.iterdir()} - {MANIFEST}
        if there != set(manifest["files"]):
            raise tampered(folder, f"the files {sorted(there)} instead of {sorted(manifest['files'])}")
        for name, digest in manifest["files"].items():
            if not FILE.fullmatch(name) or (folder / name).is_symlink() or sha256(folder / name) != digest:
                raise tampered(folder, f"{name} is not the file that was packed")
    except (OSError, KeyError, ValueError) as error:
        raise tampered(folder, str(error)) from None
    return manifest


def tampered(folder: Path, found: str) -> Refusal:
    return Refusal("A bundle is served as it was packed, or not at all.", found, f"Remove {folder}, then: make deploy")


def is_whole(folder: Path) -> bool:
    try:
        verified(folder)
    except Refusal:
        return False
    return True


def load(folder: Path, facts: Facts) -> Classifier:
    """The model in a folder.

    Raises:
        Refusal: it is none.
    """
    try:
        return models.load(folder)
    except (OSError, KeyError, TypeError, ValueError, LookupError) as error:
        raise Refusal(
            f"Version {facts.version} must load.", " ".join(str(error).split())[:300], "Build anew: make build"
        ) from error


def expect_answers(classifier: Classifier, facts: Facts) -> None:
    """Return where the model gives odd texts probabilities that sum to 1.

    Raises:
        Refusal: it does not.
    """
    found = classifier.predict_proba(ODD)
    if found.shape != (len(ODD), len(classifier.labels)) or not np.allclose(found.sum(axis=1), 1, atol=1e-6):
        raise Refusal(
            f"Version {facts.version} must answer {len(ODD)} odd texts with probabilities that sum to 1.",
            f"sums {np.round(found.sum(axis=1), 6).tolist()}",
            "It does not go live. Mend the model file, and build anew.",
        )


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def facts_of(tags: Mapping[str, str], problem: str, version: int, run: str) -> Facts:
    """The facts, from the tags that a version carries in the registry."""
    return Facts(problem, version, tags.get("model", ""), run, tags.get("data_version", ""), tags.get("git_commit", ""))
