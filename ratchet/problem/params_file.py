"""Writes params.yaml: a problem, its kind, columns and labels enter, the text of the file leaves."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml

import models
from ratchet.problem import settings
from ratchet.project.errors import Refusal
from ratchet.tasks import Task
from ratchet.tasks.values import Data

TEMPLATE = """\
# The problem in one screen. An unknown key is refused by name.
problem: {problem}
# The MLflow experiment and the registered model are named so.
task: {task}

data:
{data}
build:
  candidates: [{candidates}]
  seed: 0
  minutes: 4   # a candidate stops training after this long

evaluate:
  metric: {metric}   # {metrics}
  margin: 0.0   # a challenger must be better by more than this
  # floor: 0.65   # nothing below this goes live

deploy: {{}}

optimise:
  labels: 50   # new labels with which a turn begins by itself, while make up runs
  audit: 0.02   # share of live {unit}s drawn at random to be labelled; only they judge
  window: 1000   # distinct live {unit}s looked at when watching for drift
"""

LINE_ENDS = frozenset("\n\r\x85\u2028\u2029")


def describe(problem: str, task: Task, columns: Data, labels: pl.Series) -> str:
    """The text of a new params.yaml: the columns of the table, and a metric that suits the labels of its valid rows.

    Raises:
        Refusal: no model learns this kind of problem.
    """
    metrics = list(task.judging.METRICS)
    candidates = models.names_for(task.name)
    if not candidates:
        raise Refusal(
            f"A problem of task {task.name} needs a model that learns it.",
            f"none in models/ has TASK = {task.name!r}",
            "Add one (CONTRIBUTING.md, Add a model); nothing was changed.",
        )
    return TEMPLATE.format(
        problem=quoted(problem),
        task=task.name,
        unit=columns.UNIT,
        data="".join(f"  {line}\n" for line in data_lines(columns)),
        candidates=", ".join(candidates),
        metric=task.rows.usual_metric(labels),
        metrics=" or ".join([", ".join(metrics[:-1]), metrics[-1]] if metrics[1:] else metrics),
    )


def data_lines(columns: Data) -> list[str]:
    """The keys below `data` with their comments: inputs, label, group and slices, then choices of the kind's own."""
    fields = type(columns).model_fields
    own = [key for key in fields if key not in Data.model_fields]
    inputs, choices = ([key for key in own if (key in columns.CHOICES) == chosen] for chosen in (False, True))
    values = {key: getattr(columns, key) for key in (*inputs, *Data.model_fields, *choices)}
    comments = {key: f"   # {fields[key].description}" if fields[key].description else "" for key in values}
    return [f"{key}: {quoted(value)}{comments[key]}" for key, value in values.items() if value]


def quoted(value: Any) -> str:
    """A value in YAML on one line; a string is in quotes only where YAML needs them, or would break the line."""
    plain = list(value) if isinstance(value, tuple) else value
    parts = plain if isinstance(plain, list) else [plain]
    style = '"' if any(isinstance(part, str) and LINE_ENDS.intersection(part) for part in parts) else None
    text = yaml.safe_dump(plain, allow_unicode=True, width=10_000, default_flow_style=True, default_style=style)
    return text.removesuffix("\n").removesuffix("\n...")


def next_text(path: Path, problem: str, task: Task, columns: Data, labels: pl.Series) -> str | None:
    """The text of params.yaml for the next data version; None if the file can stay as it is.

    If the file describes the same problem, renamed columns are changed in place, and every choice of a person (slices,
    the positive class, candidates, gates, comments) stays. Otherwise the file is written anew.
    """
    try:
        current = settings.load(path)
    except Refusal:
        return describe(problem, task, columns, labels)
    if (current.problem, current.task) != (problem, task.name):
        return describe(problem, task, columns, labels)
    names = [key for key in type(columns).model_fields if key not in columns.CHOICES]
    changed = {key: getattr(columns, key) for key in names if getattr(columns, key) != getattr(current.data, key)}
    return renamed(path.read_text(encoding="utf-8"), changed) if changed else None


def renamed(text: str, changed: Mapping[str, Any]) -> str:
    """A params.yaml with other values below `data`; comments and everything else stay."""
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    yaml_with_comments = YAML()
    yaml_with_comments.width = 10_000
    yaml_with_comments.preserve_quotes = True
    content = yaml_with_comments.load(text)
    for name, value in changed.items():
        if isinstance(value, tuple):
            value = CommentedSeq(value)
            value.fa.set_flow_style()
        elif value is not None and LINE_ENDS.intersection(value):
            value = DoubleQuotedScalarString(value)
        if value is None:
            content["data"].pop(name, None)
        elif name in content["data"]:
            content["data"][name] = value
        else:
            field = Data.model_fields.get(name)
            content["data"].insert(1, name, value, comment=field.description if field else None)
    out = io.StringIO()
    yaml_with_comments.dump(content, out)
    return out.getvalue()
