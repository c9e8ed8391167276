"""Labels as people type them -> one spelling for each class: white space goes, a difference in case is asked about."""

from __future__ import annotations

import polars as pl

from ratchet.refusal import Refusal
from ratchet.steps.facts import compared

NAMED = 5
"""Groups of spellings that a refusal lists."""


def stripped(labels: pl.Series) -> tuple[pl.Series, int]:
    """The labels without white space around them (nothing else is no label), and how many had some."""
    bare = labels.str.strip_chars()
    return bare.replace({"": None}), int((bare != labels).sum())


def told(padded: int) -> list[str]:
    """What was done to labels, in a line; none where nothing was."""
    return [f"White space around {padded:,} label{'s' if padded != 1 else ''} was taken off."] if padded else []


def refuse_spellings(labels: pl.Series) -> None:
    """Labels that differ in nothing but case or inner spacing are one class to a person and two to a model.

    Raises:
        Refusal: there are some; each spelling with its rows.
    """
    counted = labels.drop_nulls().rename("label").to_frame().group_by("label").len().sort("label")
    keyed = counted.with_columns(compared(counted["label"]).alias("key"))
    torn = keyed.filter(pl.col("key").is_duplicated()).sort("key", "len", descending=[False, True])
    if not torn.height:
        return
    groups = [
        " / ".join(f"{label!r} ({rows:,} rows)" for label, rows, _ in group.iter_rows())
        for _, group in torn.group_by("key", maintain_order=True)
    ]
    more = f"; and {len(groups) - NAMED:,} more" if len(groups) > NAMED else ""
    raise Refusal(
        "A label must have one spelling.",
        "labels that differ only in case or spacing: " + "; ".join(groups[:NAMED]) + more,
        "Make them one spelling in the file.",
    )
