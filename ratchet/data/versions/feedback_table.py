"""data/feedback.csv: the labels of people that a data version holds, one row a text, in the predictions' order."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl

from ratchet.data.prepare.row_facts import compared
from ratchet.data.tables import canonical_csv
from ratchet.project.data_pin import FEEDBACK

COLUMNS = ("text", "label", "label_source", "chance", "prediction")
"""Of the rows that are kept, all of type String. chance: with which a text was chosen; missing for other sources."""
NOTHING = pl.DataFrame(schema=dict.fromkeys(COLUMNS, pl.String))


def kept(folder: Path) -> pl.DataFrame:
    """The feedback that a data version holds; none where it has no such file."""
    path = folder / FEEDBACK
    return canonical_csv.read(path) if path.exists() else NOTHING


def by_source(kept: pl.DataFrame) -> dict[str, int]:
    """How many rows of feedback each source has given."""
    return dict(Counter(kept["label_source"]))


def carried(before: pl.DataFrame, texts: pl.Series, gone: pl.Series) -> pl.DataFrame:
    """Of the last version's feedback, what stays beside a next table: texts of neither the table nor the withdrawn."""
    keys = compared(before["text"])
    return before.filter(~keys.is_in(compared(texts.drop_nulls()).implode()) & ~keys.is_in(gone.implode()))
