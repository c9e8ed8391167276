"""Check that params.yaml fits the pinned data, before anything is validated, prepared or trained."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence

from ratchet.problem import data_pin
from ratchet.problem.model_params import model_params
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal

SHOWN = 10
"""Most columns or classes that a refusal lists; the others are counted."""


def refuse_unknown_columns(problem: Problem) -> None:
    """Raise unless every column that params.yaml names is in data/table.csv, and text and label are two columns.

    Nothing is checked while there is no data/; `build` checks again once it has fetched the data.

    Raises:
        Refusal: a column is missing, or a model's hyperparameters or the problem's name do not fit.
    """
    data, here = problem.settings.data, problem.here
    if not (here.data / data_pin.TABLE).exists():
        return
    with open(here.data / data_pin.TABLE, encoding="utf-8", newline="") as table:
        columns = next(csv.reader(table), [])
    named = {"data.text": data.text, "data.label": data.label, "data.group": data.group}
    named |= {f"data.slices[{at}]": name for at, name in enumerate(data.slices)}
    for key, name in named.items():
        if name is not None and name not in columns:
            raise misfit(f"`{key}` must be a column of the pinned table", name, columns, "columns")
    if data.text == data.label:
        raise misfit("`data.text` and `data.label` must be two columns", f"{data.text} twice", columns, "columns")
    for name in problem.settings.build.candidates:
        model_params(problem.settings, name)
    refuse_another_name(problem)


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


def refuse_unknown_classes(problem: Problem, classes: Iterable[str | None]) -> None:
    """Raise unless the classes that params.yaml names are classes of the data.

    Raises:
        Refusal: `data.positive` is not a class, or the metric is F1 without two classes and a positive one.
    """
    data = problem.settings.data
    metric = problem.settings.evaluate.metric
    labels = sorted({name for name in classes if name is not None})
    if data.positive is not None and data.positive not in labels:
        raise misfit("`data.positive` must be one of the classes", data.positive, labels, "classes")
    if metric == "f1" and (len(labels) > 2 or data.positive is None):
        received = f"metric: f1, positive: {data.positive or 'not named'}"
        rule = "`evaluate.metric: f1` speaks of one class of two, which `data.positive` names"
        raise misfit(rule, received, labels, "classes", "Name it, or take macro_f1.")


def misfit(rule: str, received: str, names: Sequence[str], kind: str, next_step: str = "Mend params.yaml.") -> Refusal:
    """A refusal that lists what the data has.

    Args:
        names: the data's columns or classes.
        kind: `columns` or `classes`.
    """
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return Refusal(f"{rule}.", f"{received}; the data has the {kind} {', '.join(names[:SHOWN])}{more}", next_step)
