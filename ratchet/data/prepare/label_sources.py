"""The sources of labels: which source wins where a text has labels of several, and which rows may score a model.

A label comes from the owner's table (`original`), from a random audit (`audit`), from a user's own correction (`user`),
or from active learning, for a text that teaches most (`chosen`). The last two are not a representative sample of the
requests: their rows may train, and never score. A row's side of the split is the hash of its text, whatever its source,
so no text both trains and scores.
"""

from __future__ import annotations

import polars as pl

from ratchet.data.prepare import split
from ratchet.problem.data_pin import SplitSpec

ORIGINAL = "original"
"""The label_source of a row that came with the table."""
AUDIT, CHOSEN, USER = "audit", "chosen", "user"
STRENGTH = {AUDIT: 3, CHOSEN: 2, USER: 1}
"""Precedence of the sources where a text has several labels; the highest wins."""
JUDGES = (ORIGINAL, AUDIT)
"""The sources whose rows may score a model."""


def usable_rows(rows: pl.DataFrame, spec: SplitSpec) -> pl.DataFrame:
    """The rows that are used: those of JUDGES on every side of the split, the others on the training side only.

    Args:
        rows: columns `text` and `label_source`. A group is ignored: the text decides the side.
    """
    texts = rows.with_columns(pl.lit(None, pl.String).alias("group"))
    sides = split.assign_sides(texts, spec)["split"]
    return rows.filter(pl.col("label_source").is_in(JUDGES) | (sides == "train"))
