"""params.yaml as it is written for a new problem: every choice with its reason beside it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import yaml

from ratchet import settings
from ratchet.examples.contract import Columns
from ratchet.refusal import Refusal
from ratchet.settings import Settings

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
  window: 1000   # live predictions looked at when watching for drift
"""

LOPSIDED = 0.7
"""Share of the largest class above which accuracy says little, and macro F1 decides instead."""


def describe(problem: str, columns: Columns, valid: pl.DataFrame) -> str:
    """The text of a params.yaml for a table: its columns, and a metric that suits its classes."""
    shares = valid["label"].value_counts(normalize=True)["proportion"]
    metric = (
        "macro_f1" if shares.len() > 2 or (shares.len() and float(shares.to_numpy().max()) > LOPSIDED) else "accuracy"
    )
    lines = []
    if columns.group:
        lines.append(f"  group: {quoted(columns.group)}   # rows of one group never straddle train and holdout")
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
    """A string as YAML writes it on one line; quoted only where it must be."""
    return (
        yaml.safe_dump(value, allow_unicode=True, width=10_000, default_flow_style=True).removesuffix("\n...\n").strip()
    )


def differs(path: Path, wanted: Settings) -> bool:
    """Whether a params.yaml is missing, damaged, or speaks of another problem or of other columns.

    What a person chose beyond that (slices, the positive class, candidates, gates) stays as it is.
    """
    try:
        today = settings.load(path)
    except Refusal:
        return True
    return spoken_of(today) != spoken_of(wanted)


def spoken_of(found: Settings) -> tuple[str | None, ...]:
    return found.problem, found.data.text, found.data.label, found.data.group
