"""Where a label comes from, who is believed where several have labelled one text, and whose rows may judge.

A label comes from the owner's table (`original`), from a random audit (`audit`), from somebody's own correction
(`user`), or for a text that was chosen because it teaches most (`chosen`). The last two are no fair sample of what is
asked: they may train, and never judge. A row's side of the split is the hash of its text, whoever labelled it, so
nothing that trains is ever a text that judges.
"""

from __future__ import annotations

import polars as pl

from ratchet.data.prepare import split
from ratchet.project.data_pin import SplitSpec

ORIGINAL = "original"
"""The label_source of a row that came with the table."""
AUDIT, CHOSEN, USER = "audit", "chosen", "user"
STRENGTH = {AUDIT: 3, CHOSEN: 2, USER: 1}
"""Who is believed where several have labelled one text: who was asked at random, who was asked, who came by himself."""
JUDGES = (ORIGINAL, AUDIT)
"""The sources whose rows may judge a model."""


def usable(rows: pl.DataFrame, spec: SplitSpec) -> pl.DataFrame:
    """The rows that play a part: those that may judge on any side, the others where they train.

    Args:
        rows: columns `text`, `label_source`; without a group, so that the text decides.
    """
    texts = rows.with_columns(pl.lit(None, pl.String).alias("group"))
    sides = split.assign(texts, spec)["split"]
    return rows.filter(pl.col("label_source").is_in(JUDGES) | (sides == "train"))
