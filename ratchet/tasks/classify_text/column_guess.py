"""Guess which column of a table is the text and which is the label, where the person did not name them.

A table and the named columns enter; the columns leave, or a refusal with a command to type. A text column has long
values with spaces or Chinese characters, which hardly repeat. A label column has 2 to 1,000 values, few compared with
the rows. With several candidates for either, the person chooses.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable

import polars as pl

from ratchet.project.errors import Refusal
from ratchet.tasks.classify_text.columns import Columns

LONG = 12
"""Least mean length of a text, in characters; an ideograph counts as 3, about a word."""
APART = 0.5
"""Least share of distinct values in a text column."""
CLASSES = range(2, 1001)
"""Number of distinct values of a label column."""
ROWS_A_CLASS = 5
"""Least mean number of rows for each value of a label column."""
LABEL_LONGEST = 60
"""Characters of the longest label."""
FILLED = 0.5
"""Least share of rows with a value, for either column."""
DATE = r"^\d{4}-\d\d?-\d\d?\b|^\d\d?[./]\d\d?[./]\d{2,4}\b"
"""Dates repeat as labels do, but are not labels."""
SHOWN = 30
"""Most columns that a refusal lists."""


def guess_columns(table: pl.DataFrame, source: str, text: str, label: str, group: str | None = None) -> Columns:
    """The named columns, and a guess for those that were not named.

    Args:
        table: all columns of type String.
        source: what the person typed as SOURCE, for the command in a refusal.
        text: name of the text column; empty to guess.
        label: name of the label column; empty to guess.
        group: name of the group column; None for none.

    Raises:
        Refusal: the table lacks a named column, one column is named twice, or there is not exactly one candidate.
    """
    refuse_unknown(table, source, text, label, group)
    free = [name for name in table.columns if name not in (text, label, group)]
    texts = [text] if text else candidates(table, free, is_text)
    labels = [label] if label else candidates(table, [name for name in free if name not in texts], is_label)
    if len(texts) == len(labels) == 1:
        return Columns(text=texts[0], label=labels[0], group=group)
    raise question(table, source, texts, labels, group)


def refuse_unknown(table: pl.DataFrame, source: str, text: str, label: str, group: str | None) -> None:
    """Raise unless the named columns are in the table, each named once.

    Raises:
        Refusal: one is missing, or two names are one column.
    """
    named = [name for name in (text, label, group) if name]
    unknown = [name for name in named if name not in table.columns]
    if unknown:
        received = f"no {' and no '.join(map(repr, unknown))} among {shortened(table.columns)}"
        raise Refusal("TEXT, LABEL and GROUP name columns of the table.", received, f"Type: {make_command(source)}")
    if len(set(named)) < len(named):
        received = ", ".join(map(repr, named))
        raise Refusal("TEXT, LABEL and GROUP are columns of their own.", received, f"Type: {make_command(source)}")


def candidates(table: pl.DataFrame, names: list[str], fits: Callable[[pl.Series], bool]) -> list[str]:
    """The columns that fit; a column whose name is also one of its values is left out: its header was a row."""
    return [name for name in names if fits(present_values(table[name])) and not (table[name] == name).any()]


def present_values(column: pl.Series) -> pl.Series:
    """The values that are not null; an empty series where they are too few (FILLED)."""
    values = column.drop_nulls()
    return values if values.len() >= FILLED * column.len() else values.clear()


def is_text(values: pl.Series) -> bool:
    """Whether the values look like texts."""
    if not values.len() or values.n_unique() < APART * values.len():
        return False
    with_words = values.str.contains(r"\p{L}\s+\S|\p{Han}{2}")
    return mean_length(values) >= LONG and int(with_words.sum()) > 0.5 * values.len()


def mean_length(values: pl.Series) -> float:
    """Mean length of the values in characters; an ideograph counts as 3."""
    lengths = (values.str.len_chars() + 2 * values.str.count_matches(r"\p{Han}")).drop_nulls()
    return int(lengths.sum()) / max(1, lengths.len())


def is_label(values: pl.Series) -> bool:
    """Whether the values look like names of classes."""
    distinct = values.n_unique()
    if distinct not in CLASSES or distinct * ROWS_A_CLASS > values.len():
        return False
    return not (values.str.len_chars() > LABEL_LONGEST).any() and not values.str.contains(DATE).all()


def question(table: pl.DataFrame, source: str, texts: list[str], labels: list[str], group: str | None) -> Refusal:
    """The refusal that lists the candidates, with a command that is ready to type."""
    choices = [
        f"{len(names) or 'no'} column{'s' if len(names) != 1 else ''} that could be the {role}"
        + (f" ({shortened(names)})" if names else "")
        for role, names in (("text", texts), ("label", labels))
        if len(names) != 1
    ]
    received = f"{' and '.join(choices)}; columns {shortened([with_distinct(table, name) for name in table.columns])}"
    text = max(texts, key=lambda name: mean_length(table[name]), default="column")
    label = min(labels, key=lambda name: table[name].n_unique(), default="column")
    example = make_command(source, text, label, group)
    return Refusal("TEXT and LABEL name the table's columns.", received, f"Choose, for example: {example}")


def with_distinct(table: pl.DataFrame, name: str) -> str:
    """A column's name with its number of distinct values."""
    return f"{name} ({table[name].drop_nulls().n_unique():,} different)"


def shortened(names: list[str]) -> str:
    """The first SHOWN names on one line, each cut to 60 characters."""
    cut = ["".join(c if c.isprintable() else " " for c in name[:60]) for name in names[:SHOWN]]
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(cut) + more


def make_command(source: str, text: str = "column", label: str = "column", group: str | None = None) -> str:
    """The command to type, quoted for a shell."""
    words = {"SOURCE": source, "TEXT": text, "LABEL": label} | ({"GROUP": group} if group else {})
    return " ".join(["make data", *(shlex.quote(f"{name}={value}") for name, value in words.items())])
