"""The toy kind of problem (tests/tasks/predict_number) with its models in this process, and homes, its inputs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import models
from ratchet import tasks
from ratchet.problem.problem import Problem
from ratchet.problem.settings import Settings
from ratchet.tasks import Task
from ratchet.tasks.contract import Ability
from tests.tasks.predict_number import NAME, answers

KINDS = Path(__file__).parents[1] / "tasks"
MODULE = f"{tasks.__name__}.{NAME}"


@contextmanager
def predict_number(abilities: Iterable[Ability] | None = None) -> Iterator[Task]:
    """The toy stands beside the kinds of ratchet/tasks/, and its models in models/, while the block runs.

    Args:
        abilities: what it can do meanwhile; None for its own. What is given a Task takes a changed one, too.
    """
    known, known_models = tasks.__path__, models.__path__
    forget()
    tasks.__path__ = [*known, str(KINDS)]
    models.__path__ = [*known_models, str(KINDS / NAME / "models")]
    try:
        if abilities is not None:
            vars(import_module(MODULE))["ABILITIES"] = tuple(abilities)
        yield tasks.get(NAME)
    finally:
        tasks.__path__, models.__path__ = known, known_models
        forget()


def forget() -> None:
    """Nothing of the toy is left among the kinds; one that can be found is read anew."""
    tasks.all_tasks.cache_clear()
    vars(tasks).pop(NAME, None)
    own = {path.stem for path in (KINDS / NAME / "models").glob("*.py")}
    for name in own:
        vars(models).pop(name, None)
    modules = {MODULE, *(f"{models.__name__}.{name}" for name in own)}
    for name in [name for name in sys.modules if name in modules or name.startswith(f"{MODULE}.")]:
        del sys.modules[name]


def home(size: float, rooms: float = 3) -> str:
    """A home as an input."""
    return answers.read_record({"rooms": rooms, "size": size})


def homes_like(problem: Problem) -> Problem:
    """The price of homes is asked, with the places, the name, the pin and the loop of another problem."""
    data = {"numbers": ["rooms", "size"], "label": "price"}
    parts = {key: getattr(problem.settings, key) for key in ("problem", "build", "deploy", "optimise")}
    return replace(problem, settings=Settings.model_validate(parts | {"task": NAME, "data": data}))
