"""Check that params.yaml fits the pinned data, before anything is validated, prepared or trained."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence

from ratchet.data.versions import known_inputs
from ratchet.problem import data_pin
from ratchet.problem.model_params import model_params
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal

SHOWN = 10
"""Most columns that a refusal lists; the others are counted."""


def refuse_unknown_columns(problem: Problem) -> None:
    """Raise unless every column that params.yaml names is in data/table.csv, and the label is no part of the input.

    Nothing is checked while there is no data/; `build` checks again once it has fetched the data.

    Raises:
        Refusal: a column is missing, or a model's hyperparameters or the problem's name do not fit.
    """
    data, here = problem.settings.data, problem.here
    if not (here.data / data_pin.TABLE).exists():
        return
    with open(here.data / data_pin.TABLE, encoding="utf-8", newline="") as table:
        columns = next(csv.reader(table), [])
    named = {f"data.{key}": name for key, name in data.named().items()}
    named |= {f"data.slices[{at}]": name for at, name in enumerate(data.slices)}
    for key, name in named.items():
        if name not in columns:
            raise unfit(f"`{key}` must be a column of the pinned table", name, columns)
    if data.label in data.inputs:
        key = next(key for key, name in named.items() if name == data.label)
        raise unfit(f"`{key}` and `data.label` must be two columns", f"{data.label} twice", columns)
    for name in problem.settings.build.candidates:
        model_params(problem.settings, name)
    refuse_another_name(problem)
    refuse_another_kind(problem)


def refuse_another_kind(problem: Problem) -> None:
    """Raise where the kind was changed in params.yaml alone: its champion answers other inputs.

    Raises:
        Refusal: the ledger has columns of the problem that only another kind knows.
    """
    kinds = known_inputs.kinds(problem.here, problem.name)
    if kinds and problem.task.name not in kinds:
        raise Refusal(
            "`task` must stay as it was when the problem's data was brought.",
            f"task: {problem.task.name}, and the data is of task {kinds[0]}",
            f"Put `task: {kinds[0]}` back, or bring the table as a problem of its own: "
            f"make data SOURCE=... TASK={problem.task.name} NAME=another",
        )


def refuse_another_name(problem: Problem) -> None:
    """Raise where the problem was renamed in params.yaml alone: its champion and history would stay behind.

    Raises:
        Refusal: the pinned data was imported under another name.
    """
    imported_as = problem.split.salt
    if imported_as != problem.name:
        raise Refusal(
            "`problem` must keep the name that its data was brought under: champion and history are kept by it.",
            f"problem: {problem.name}, and data/ was brought as {imported_as}",
            f"Put `problem: {imported_as}` back, or bring the table as a problem of its own: "
            f"make data SOURCE=... NAME={problem.name}",
        )


def refuse_misfit(problem: Problem, labels: Iterable[str | None]) -> None:
    """Raise unless columns and metric of params.yaml fit the labels of the data, as the kind of problem sees it.

    Raises:
        Refusal: they do not; for classes, `data.positive` is none, or the metric is F1 without two and a positive one.
    """
    misfit = problem.task.rows.misfit(problem.settings.data, problem.settings.evaluate.metric, labels)
    if misfit is not None:
        raise Refusal(*misfit)


def unfit(rule: str, received: str, columns: Sequence[str]) -> Refusal:
    """A refusal that lists the columns of the data."""
    more = f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
    return Refusal(
        f"{rule}.", f"{received}; the data has the columns {', '.join(columns[:SHOWN])}{more}", "Mend params.yaml."
    )
