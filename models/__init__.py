"""The models: one file each, found by being here and loaded only when asked for."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from models.contract import Classifier, ModelFile

_NOT_MODELS = {"__init__", "contract", "pyfunc"}


def names() -> tuple[str, ...]:
    """The names of all models, sorted: the files beside this one."""
    return tuple(sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in _NOT_MODELS))


def get(name: str) -> ModelFile:
    """The model file of that name, imported now.

    Raises:
        LookupError: there is no such file.
    """
    if name not in names():
        raise LookupError(f"A model must be one of {', '.join(names())}. Received: {name!r}.")
    return cast("ModelFile", import_module(f"models.{name}"))


def load(folder: Path) -> Classifier:
    """A fitted model read back from the folder it was saved in; `model.json` there says which file made it."""
    return get(_maker(folder)).load(Path(folder))


def requirements(folder: Path) -> list[str]:
    """What the model saved in a folder needs to answer behind `models.pyfunc`, at the versions that run here."""
    names = ("numpy", "scipy", "pandas", *get(_maker(folder)).NEEDS)
    return [f"{name}=={version(name)}" for name in names]


def _maker(folder: Path) -> str:
    """The name of the file that made a saved model."""
    return str(json.loads((Path(folder) / "model.json").read_text(encoding="utf-8"))["model"])
