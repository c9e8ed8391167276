"""The inputs of any table of a problem, under whichever columns a data version of it has had."""

from __future__ import annotations

from contextlib import suppress

import polars as pl

from ratchet import tasks
from ratchet.problem import settings
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.state import ledger
from ratchet.tasks import Task
from ratchet.tasks.values import Data

USUAL_TASK = "classify"
"""The kind of a new problem where none is typed."""
Reader = tuple[Task, Data]
"""A kind of problem, with the columns that it reads."""


def kinds(here: Places, problem: str) -> tuple[str, ...]:
    """The kinds that a problem may be of, by the columns of its last data version; the usual one first.

    None for a new problem, or where no kind knows the columns.
    """
    changes = ledger.data_changes(here.ledger, problem)
    found = [task.name for task in tasks.all_tasks() if changes and task.columns.of_roles(changes[-1].columns)]
    return tuple(sorted(found, key=lambda name: name != USUAL_TASK))


def readers(here: Places, problem: str) -> list[Reader]:
    """Every way in which a problem's tables are read: by the ledger, and by params.yaml where that is of the problem.

    The ledger does not name the kind, so each kind that knows the columns is given.
    """
    roles = [change.columns for change in ledger.data_changes(here.ledger, problem)]
    found = [(task, task.columns.of_roles(each)) for each in roles for task in tasks.all_tasks()]
    known = [(task, data) for task, data in found if data is not None]
    with suppress(Refusal):
        current = settings.load(here.params)
        known += [(current.kind, current.data)] if current.problem == problem else []
    return list({(task.name, data.inputs): (task, data) for task, data in known}.values())


def inputs(table: pl.DataFrame, readers: list[Reader]) -> list[pl.Series]:
    """The inputs of a table in their stored form, a series for each reader whose columns it has.

    One that is a column of the table is left out.
    """
    found = [task.rows.inputs(table, data) for task, data in readers if set(data.inputs) <= set(table.columns)]
    return [each for each in found if each.name not in table.columns or not each.equals(table[each.name])]
