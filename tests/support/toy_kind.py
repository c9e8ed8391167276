"""The toy kind of problem (tests/tasks/predict_number) among the kinds of this process, and homes, its inputs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path

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
    """The toy stands beside the kinds of ratchet/tasks/ while the block runs.

    Args:
        abilities: what it can do meanwhile; None for its own. What is given a Task takes a changed one, too.
    """
    known = tasks.__path__
    forget()
    tasks.__path__ = [*known, str(KINDS)]
    try:
        if abilities is not None:
            vars(import_module(MODULE))["ABILITIES"] = tuple(abilities)
        yield tasks.get(NAME)
    finally:
        tasks.__path__ = known
        forget()


def forget() -> None:
    """Nothing of the toy is left among the kinds; one that can be found is read anew."""
    tasks.all_tasks.cache_clear()
    vars(tasks).pop(NAME, None)
    for name in [name for name in sys.modules if name == MODULE or name.startswith(f"{MODULE}.")]:
        del sys.modules[name]


def home(size: float, rooms: float = 3) -> str:
    """A home as an input."""
    return answers.read_record({"rooms": rooms, "size": size})


def homes_like(problem: Problem) -> Problem:
    """The price of homes is asked, with the places, the name, the pin and the loop of another problem."""
    data = {"numbers": ["rooms", "size"], "label": "price"}
    parts = {key: getattr(problem.settings, key) for key in ("problem", "build", "deploy", "optimise")}
    return replace(problem, settings=Settings.model_validate(parts | {"task": NAME, "data": data}))
