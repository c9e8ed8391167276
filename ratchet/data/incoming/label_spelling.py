"""Labels as people type them -> one spelling for each class: white space goes, a difference in case is asked about."""

from __future__ import annotations

import polars as pl

from ratchet.data.prepare.row_facts import compared
from ratchet.project.errors import Refusal

NAMED = 5
"""Groups of spellings that a refusal lists."""


def stripped(labels: pl.Series) -> tuple[pl.Series, int]:
    """The labels without white space around them (nothing else is no label), and how many had some."""
    bare = labels.str.strip_chars()
    return bare.replace({"": None}), int((bare != labels).sum())


def told(padded: int) -> list[str]:
    """What was done to labels, in a line; none where nothing was."""
    return [f"White space around {padded:,} label{'s' if padded != 1 else ''} was taken off."] if padded else []


def spellings(labels: pl.Series) -> list[list[tuple[str, int]]]:
    """Labels that differ in nothing but case or inner spacing: each group's spellings with their rows, commonest first.

    They are one class to a person and two to a model.
    """
    counted = labels.drop_nulls().rename("label").to_frame().group_by("label").len().sort("label")
    keyed = counted.with_columns(compared(counted["label"]).alias("key"))
    torn = keyed.filter(pl.col("key").is_duplicated()).sort("key", "len", "label", descending=[False, True, False])
    groups = torn.group_by("key", maintain_order=True)
    return [[(label, rows) for label, rows, _ in group.iter_rows()] for _, group in groups]


def refuse_spellings(labels: pl.Series, command: str) -> None:
    """Raise where classes have more than one spelling.

    Args:
        command: what to type to have them merged.

    Raises:
        Refusal: there are some; each spelling with its rows, and the merge that is proposed.
    """
    groups = spellings(labels)
    if not groups:
        return
    shown = [" / ".join(f"{label!r} ({rows:,} rows)" for label, rows in group) for group in groups[:NAMED]]
    more = f"; and {len(groups) - NAMED:,} more" if len(groups) > NAMED else ""
    raise Refusal(
        "A label must have one spelling.",
        "labels that differ only in case or spacing: " + "; ".join(shown) + more,
        f"Make them one in the file, or take the commonest of each: {command}",
    )


def merged(labels: pl.Series) -> tuple[pl.Series, list[str]]:
    """Each group of spellings under its commonest one, and a line for each that says so."""
    groups = spellings(labels)
    to = {label: group[0][0] for group in groups for label, _ in group[1:]}
    lines = [f"Merged into {group[0][0]!r}: {', '.join(repr(label) for label, _ in group[1:])}." for group in groups]
    return labels.replace(to), lines
