"""Which column of a table is the text and which the label, where nobody has said: the only sensible one, or a question.

A text column is long, has spaces or Chinese in it, and hardly repeats. A label column has 2 to 1,000 values, few beside
the rows. With two candidates for either, a person chooses.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable

import polars as pl

from ratchet.project.errors import Refusal
from ratchet.project.settings import Data

LONG = 12
"""Characters of a text on average, at least; an ideograph counts as 3, about a word."""
APART = 0.5
"""Share of different values in a text column, at least."""
CLASSES = range(2, 1001)
"""Different values of a label column."""
ROWS_A_CLASS = 5
"""Rows for each value of a label column, at least, on average."""
LABEL_LONGEST = 60
"""Characters of the longest label."""
FILLED = 0.5
"""Share of rows in which either column has a value, at least."""
DATE = r"^\d{4}-\d\d?-\d\d?\b|^\d\d?[./]\d\d?[./]\d{2,4}\b"
"""Dates repeat as labels do, and are none."""
SHOWN = 30
"""Columns that a question lists."""


def columns(table: pl.DataFrame, source: str, text: str, label: str, group: str | None) -> Data:
    """The columns as they were named, and what was not named as the table has it.

    Raises:
        Refusal: the table lacks a named column, two names are one column, or the choice is not plain.
    """
    refuse_unknown(table, source, text, label, group)
    free = [name for name in table.columns if name not in (text, label, group)]
    texts = [text] if text else candidates(table, free, is_text)
    labels = [label] if label else candidates(table, [name for name in free if name not in texts], is_label)
    if len(texts) == len(labels) == 1:
        return Data(text=texts[0], label=labels[0], group=group)
    raise question(table, source, texts, labels, group)


def refuse_unknown(table: pl.DataFrame, source: str, text: str, label: str, group: str | None) -> None:
    named = [name for name in (text, label, group) if name]
    unknown = [name for name in named if name not in table.columns]
    if unknown:
        received = f"no {' and no '.join(map(repr, unknown))} among {listed(table.columns)}"
        raise Refusal("TEXT, LABEL and GROUP name columns of the table.", received, f"Type: {command(source)}")
    if len(set(named)) < len(named):
        received = ", ".join(map(repr, named))
        raise Refusal("TEXT, LABEL and GROUP are columns of their own.", received, f"Type: {command(source)}")


def candidates(table: pl.DataFrame, names: list[str], fits: Callable[[pl.Series], bool]) -> list[str]:
    """The columns that fit, but for those whose name is one of their values: their first row was no header."""
    return [name for name in names if fits(known(table[name])) and not (table[name] == name).any()]


def known(column: pl.Series) -> pl.Series:
    """The values that are there; none at all where they are too few."""
    values = column.drop_nulls()
    return values if values.len() >= FILLED * column.len() else values.clear()


def is_text(values: pl.Series) -> bool:
    """Whether the values read like texts."""
    if not values.len() or values.n_unique() < APART * values.len():
        return False
    worded = values.str.contains(r"\p{L}\s+\S|\p{Han}{2}")
    return mean_length(values) >= LONG and int(worded.sum()) > 0.5 * values.len()


def mean_length(values: pl.Series) -> float:
    """Characters of a value on average."""
    lengths = (values.str.len_chars() + 2 * values.str.count_matches(r"\p{Han}")).drop_nulls()
    return int(lengths.sum()) / max(1, lengths.len())


def is_label(values: pl.Series) -> bool:
    """Whether the values read like names of classes."""
    different = values.n_unique()
    if different not in CLASSES or different * ROWS_A_CLASS > values.len():
        return False
    return not (values.str.len_chars() > LABEL_LONGEST).any() and not values.str.contains(DATE).all()


def question(table: pl.DataFrame, source: str, texts: list[str], labels: list[str], group: str | None) -> Refusal:
    """What a person has to choose between, with a command that is ready to type."""
    found = [
        f"{len(names) or 'no'} column{'s' if len(names) != 1 else ''} that could be the {role}"
        + (f" ({listed(names)})" if names else "")
        for role, names in (("text", texts), ("label", labels))
        if len(names) != 1
    ]
    received = f"{' and '.join(found)}; columns {listed([described(table, name) for name in table.columns])}"
    text = max(texts, key=lambda name: mean_length(table[name]), default="column")
    label = min(labels, key=lambda name: table[name].n_unique(), default="column")
    example = command(source, text, label, group)
    return Refusal("TEXT and LABEL name the table's columns.", received, f"Choose, for example: {example}")


def described(table: pl.DataFrame, name: str) -> str:
    return f"{name} ({table[name].drop_nulls().n_unique():,} different)"


def listed(names: list[str]) -> str:
    """Names on one line, each cut, the first few."""
    cut = ["".join(c if c.isprintable() else " " for c in name[:60]) for name in names[:SHOWN]]
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(cut) + more


def command(source: str, text: str = "column", label: str = "column", group: str | None = None) -> str:
    """The line to type; quoted where a shell needs it."""
    words = {"SOURCE": source, "TEXT": text, "LABEL": label} | ({"GROUP": group} if group else {})
    return " ".join(["make data", *(shlex.quote(f"{name}={value}") for name, value in words.items())])
