"""The models: one file each. A file in this folder is a model; it is imported when it is first used."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from models.contract import Model, ModelFile

_NOT_MODELS = {"__init__", "contract", "pyfunc"}


def names() -> tuple[str, ...]:
    """The names of all models, sorted: the files beside this one."""
    files = [module.name for module in iter_modules(__path__) if not module.ispkg]
    return tuple(sorted(name for name in files if name not in _NOT_MODELS))


def names_for(task: str) -> tuple[str, ...]:
    """The names of the models of one kind of problem (ratchet/tasks), sorted. Imports every model file."""
    return tuple(name for name in names() if task == get(name).TASK)


def get(name: str) -> ModelFile:
    """Import the model file of that name.

    Raises:
        LookupError: there is no such file.
    """
    if name not in names():
        raise LookupError(f"A model must be one of {', '.join(names())}. Received: {name!r}.")
    return cast("ModelFile", import_module(f"models.{name}"))


def load(folder: Path) -> Model:
    """Load a saved model; its `model.json` names the file that saved it."""
    return get(_model_name(folder)).load(Path(folder))


def task_of(folder: Path) -> str:
    """The kind of problem (ratchet/tasks) that a saved model answers."""
    return get(_model_name(folder)).TASK


def requirements(folder: Path) -> list[str]:
    """The packages that a saved model needs to answer through `models.pyfunc`, at the installed versions."""
    packages = ("numpy", "scipy", "pandas", *get(_model_name(folder)).NEEDS)
    return [f"{package}=={version(package)}" for package in packages]


def _model_name(folder: Path) -> str:
    """The name of the file that saved a model."""
    return str(json.loads((Path(folder) / "model.json").read_text(encoding="utf-8"))["model"])
