"""The kinds of problems: one folder each. A folder here is a kind; its faces are imported when they are first used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import pairwise
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, cast

from ratchet.project.errors import Refusal

if TYPE_CHECKING:
    from ratchet.tasks.contract import Ability, AnswersFace, JudgingFace, RowsFace, SignalsFace, WireFace
    from ratchet.tasks.values import Data


@dataclass(frozen=True)
class Task:
    """A kind of problem. Every face is a module of its folder, held by a Protocol of ratchet/tasks/contract.py.

    Attributes:
        name: value of `task` in params.yaml.
        folder: name of its folder in ratchet/tasks.
        summary: what it is, in one sentence.
        abilities: which optional parts of the loop it has.
    """

    name: str
    folder: str
    summary: str
    abilities: frozenset[Ability]

    @property
    def columns(self) -> type[Data]:
        """The section `data` of params.yaml."""
        return cast("type[Data]", self._face("columns").Columns)

    @property
    def rows(self) -> RowsFace:
        """What a row of a table is. Imports polars."""
        return cast("RowsFace", self._face("rows"))

    @property
    def judging(self) -> JudgingFace:
        """How outputs are held against the truth."""
        return cast("JudgingFace", self._face("judging"))

    @property
    def answers(self) -> AnswersFace:
        """What a model takes and gives."""
        return cast("AnswersFace", self._face("answers"))

    @property
    def wire(self) -> WireFace:
        """The bodies of /predict and /feedback."""
        return cast("WireFace", self._face("wire"))

    @property
    def signals(self) -> SignalsFace:
        """What drift compares."""
        return cast("SignalsFace", self._face("signals"))

    @property
    def unit(self) -> str:
        """What an input is called in a sentence, e.g. `text`."""
        return self.columns.UNIT

    @property
    def units(self) -> str:
        """What several inputs are called."""
        return f"{self.unit}s"

    def can(self, ability: Ability) -> bool:
        """Whether the kind has an optional part of the loop."""
        return ability in self.abilities

    def _face(self, name: str) -> Any:
        return import_module(f"{__name__}.{self.folder}.{name}")


@cache
def all_tasks() -> tuple[Task, ...]:
    """Every kind, sorted by name.

    Raises:
        Refusal: a folder cannot be loaded, or two are kinds of one name, of which either might answer.
    """
    folders = [module.name for module in iter_modules(__path__) if module.ispkg]
    kinds = sorted((_task(folder) for folder in folders), key=lambda task: task.name)
    for one, other in pairwise(kinds):
        if one.name == other.name:
            raise Refusal(
                "Each kind of problem has a name of its own.",
                f"{one.name!r} of both {one.folder} and {other.folder} in ratchet/tasks",
                "Rename or remove one of the two folders.",
            )
    return tuple(kinds)


def names() -> tuple[str, ...]:
    """The names of all kinds, sorted: what `task` in params.yaml may be."""
    return tuple(task.name for task in all_tasks())


def get(name: str) -> Task:
    """The kind of that name.

    Raises:
        LookupError: there is no such kind.
    """
    for task in all_tasks():
        if task.name == name:
            return task
    raise LookupError(f"A task must be one of {', '.join(names())}. Received: {name!r}.")


def _task(folder: str) -> Task:
    try:
        kind = import_module(f"{__name__}.{folder}")
        return Task(kind.NAME, folder, kind.SUMMARY, frozenset(kind.ABILITIES))
    except Exception as error:  # whatever the folder's own code raises
        raise Refusal(
            "A folder of ratchet/tasks is a kind of problem (ratchet/tasks/contract.py).",
            f"{folder}, {type(error).__name__}: {error}",
            "Mend or remove that folder.",
        ) from error
