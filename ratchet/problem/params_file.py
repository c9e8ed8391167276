"""Writes params.yaml: a problem, its columns and its rows enter, the text of the file leaves."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import yaml

from ratchet.problem import settings
from ratchet.project.errors import Refusal
from ratchet.tasks.classify_text.columns import Columns

TEMPLATE = """\
# The problem in one screen. An unknown key is refused by name.
problem: {problem}
# The MLflow experiment and the registered model are named so.
task: classify

data:
  text: {text}   # the column to read
  label: {label}   # the column to predict
{optional}
build:
  candidates: [majority, linear, lstm]
  seed: 0
  minutes: 4   # a candidate stops training after this long

evaluate:
  metric: {metric}   # accuracy, f1, macro_f1 or log_loss
  margin: 0.0   # a challenger must be better by more than this
  # floor: 0.65   # nothing below this goes live

deploy: {{}}

optimise:
  labels: 50   # new labels with which a turn begins by itself, while make up runs
  audit: 0.02   # share of live texts drawn at random to be labelled; only they judge
  window: 1000   # distinct live texts looked at when watching for drift
"""

GROUPED = "rows of one group never straddle train and holdout"

LINE_ENDS = frozenset("\n\r\x85\u2028\u2029")
IMBALANCED = 0.7
"""Share of the largest class above which accuracy says little, and macro F1 decides instead."""


def describe(problem: str, columns: Columns, valid: pl.DataFrame) -> str:
    """The text of a new params.yaml: the columns of the table, and a metric that suits its classes."""
    shares = valid["label"].value_counts(normalize=True)["proportion"]
    metric = (
        "macro_f1" if shares.len() > 2 or (shares.len() and float(shares.to_numpy().max()) > IMBALANCED) else "accuracy"
    )
    lines = []
    if columns.group:
        lines.append(f"  group: {quoted(columns.group)}   # {GROUPED}")
    if columns.slices:
        lines.append(f"  slices: [{', '.join(map(quoted, columns.slices))}]   # scored apart in every scorecard")
    if columns.positive:
        lines.append(f"  positive: {quoted(columns.positive)}   # the class that precision, recall and F1 speak of")
    return TEMPLATE.format(
        problem=quoted(problem),
        text=quoted(columns.text),
        label=quoted(columns.label),
        optional="".join(line + "\n" for line in lines),
        metric=metric,
    )


def quoted(value: str) -> str:
    """A string in YAML on one line; in quotes only where YAML needs them, or would break the line."""
    style = '"' if LINE_ENDS.intersection(value) else None
    text = yaml.safe_dump(value, allow_unicode=True, width=10_000, default_flow_style=True, default_style=style)
    return text.removesuffix("\n").removesuffix("\n...")


def next_text(path: Path, problem: str, columns: Columns, valid: pl.DataFrame) -> str | None:
    """The text of params.yaml for the next data version; None if the file can stay as it is.

    If the file describes the same problem, renamed columns are changed in place, and every choice of a person (slices,
    the positive class, candidates, gates, comments) stays. Otherwise the file is written anew.
    """
    try:
        current = settings.load(path)
    except Refusal:
        return describe(problem, columns, valid)
    if current.problem != problem:
        return describe(problem, columns, valid)
    columns_now = {"text": columns.text, "label": columns.label, "group": columns.group}
    changed = {name: value for name, value in columns_now.items() if getattr(current.data, name) != value}
    return renamed(path.read_text(encoding="utf-8"), changed) if changed else None


def renamed(text: str, changed: dict[str, str | None]) -> str:
    """A params.yaml with other values below `data`; comments and everything else stay."""
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    yaml_with_comments = YAML()
    yaml_with_comments.width = 10_000
    yaml_with_comments.preserve_quotes = True
    content = yaml_with_comments.load(text)
    for name, value in changed.items():
        if value is not None and LINE_ENDS.intersection(value):
            value = DoubleQuotedScalarString(value)
        if value is None:
            content["data"].pop(name, None)
        elif name in content["data"]:
            content["data"][name] = value
        else:
            content["data"].insert(1, name, value, comment=GROUPED)
    out = io.StringIO()
    yaml_with_comments.dump(content, out)
    return out.getvalue()
