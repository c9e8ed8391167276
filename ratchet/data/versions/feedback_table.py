"""data/feedback.csv: the people's labels that a data version holds, one row a text, in the order of the predictions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from models.text.normalise import compared_form
from ratchet.data.tables import canonical_csv
from ratchet.problem.data_pin import FEEDBACK

COLUMNS = ("text", "label", "label_source", "chance", "prediction")
"""Columns of the file, all of type String. `chance` is the probability with which a text was chosen; null for other
sources."""
NOTHING = pl.DataFrame(schema=dict.fromkeys(COLUMNS, pl.String))


def read_feedback(folder: Path) -> pl.DataFrame:
    """The feedback of a data version; an empty frame where it has no such file."""
    path = folder / FEEDBACK
    return canonical_csv.read(path) if path.exists() else NOTHING


def by_source(feedback: pl.DataFrame) -> dict[str, int]:
    """The number of rows of each label source."""
    return dict(Counter(feedback["label_source"]))


def carry_over(before: pl.DataFrame, texts: pl.Series, gone: pl.Series) -> pl.DataFrame:
    """The rows of the last version's feedback that stay beside a next table.

    Args:
        before: the last version's feedback.
        texts: the texts of the next table; feedback on one of them is dropped.
        gone: withdrawn texts in compared form; feedback on one of them is dropped.
    """
    keys = compared_form(before["text"])
    return before.filter(~keys.is_in(compared_form(texts.drop_nulls()).implode()) & ~keys.is_in(gone.implode()))
