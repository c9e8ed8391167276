"""Do params.yaml and the pinned data fit together? Asked before anything is validated, prepared or trained."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence

from ratchet.project import data_pin, settings
from ratchet.project.errors import Refusal
from ratchet.project.problem import Problem

SHOWN = 10
"""Columns or classes that a sentence lists; more are counted."""


def refuse_unknown_columns(problem: Problem) -> None:
    """Raise unless every column that params.yaml names is one of data/table.csv, and each role has its own.

    Where data/ is not there yet there is nothing to hold them against; `build` asks again once it is.

    Raises:
        Refusal: one is not; a model's hyperparameters or the problem's name do not fit either.
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
        settings.model_params(problem.settings, name)
    refuse_another_name(problem)


def refuse_another_name(problem: Problem) -> None:
    """Raise where the problem was renamed in params.yaml alone: its champion and history would stay behind.

    Raises:
        Refusal: the pinned data was brought under another name.
    """
    brought = problem.split.salt
    if brought != problem.name:
        raise Refusal(
            "`problem` must keep the name that its data was brought under: champion and history are kept by it.",
            f"problem: {problem.name}, and data/ was brought as {brought}",
            f"Put `problem: {brought}` back, or bring the table as a problem of its own: "
            f"make data SOURCE=... NAME={problem.name}",
        )


def refuse_unknown_classes(problem: Problem, classes: Iterable[str | None]) -> None:
    """Raise unless what params.yaml says of the classes fits those in the data.

    Raises:
        Refusal: `data.positive` is none of them, or F1 should decide without two classes and a positive one.
    """
    data, metric = problem.settings.data, problem.settings.evaluate.metric
    known = sorted({name for name in classes if name is not None})
    if data.positive is not None and data.positive not in known:
        raise misfit("`data.positive` must be one of the classes", data.positive, known, "classes")
    if metric == "f1" and (len(known) > 2 or data.positive is None):
        received = f"metric: f1, positive: {data.positive or 'not named'}"
        rule = "`evaluate.metric: f1` speaks of one class of two, which `data.positive` names"
        raise misfit(rule, received, known, "classes", "Name it, or take macro_f1.")


def misfit(rule: str, received: str, there: Sequence[str], what: str, next_step: str = "Mend params.yaml.") -> Refusal:
    """What params.yaml says, and what the data has instead."""
    more = f" and {len(there) - SHOWN} more" if len(there) > SHOWN else ""
    return Refusal(f"{rule}.", f"{received}; the data has the {what} {', '.join(there[:SHOWN])}{more}", next_step)
