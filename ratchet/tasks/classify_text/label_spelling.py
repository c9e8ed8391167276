"""Labels as people type them -> one spelling for each class.

White space around a label is removed. Labels that differ only in case or inner spacing are refused, or merged where the
person said so.
"""

from __future__ import annotations

import polars as pl

from models.text.normalise import compared_form
from ratchet.project.errors import Refusal

NAMED = 5
"""Groups of spellings that a refusal lists."""


def strip_labels(labels: pl.Series) -> tuple[pl.Series, int]:
    """Remove the white space around labels.

    Returns:
        The labels, null where nothing is left; and how many labels were changed.
    """
    trimmed = labels.str.strip_chars()
    return trimmed.replace({"": None}), int((trimmed != labels).sum())


def stripped_lines(padded: int) -> list[str]:
    """A line that says how many labels had white space around them; no line for none."""
    return [f"White space around {padded:,} label{'s' if padded != 1 else ''} was taken off."] if padded else []


def spellings(labels: pl.Series) -> list[list[tuple[str, int]]]:
    """Labels that differ only in case or inner spacing: one class to a person, and several to a model.

    Returns:
        For each such class its spellings with their rows, the commonest first.
    """
    counted = labels.drop_nulls().rename("label").to_frame().group_by("label").len().sort("label")
    keyed = counted.with_columns(compared_form(counted["label"]).alias("key"))
    ambiguous = keyed.filter(pl.col("key").is_duplicated()).sort("key", "len", "label", descending=[False, True, False])
    groups = ambiguous.group_by("key", maintain_order=True)
    return [[(label, rows) for label, rows, _ in group.iter_rows()] for _, group in groups]


def refuse_spellings(labels: pl.Series, command: str) -> None:
    """Raise where classes have more than one spelling.

    Args:
        command: the command that merges them.

    Raises:
        Refusal: a class has several; the message lists each spelling with its rows.
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


def merge_spellings(labels: pl.Series) -> tuple[pl.Series, list[str]]:
    """Replace every spelling by the commonest one of its class.

    Returns:
        The labels, and a line for each merged class.
    """
    groups = spellings(labels)
    commonest = {label: group[0][0] for group in groups for label, _ in group[1:]}
    lines = [f"Merged into {group[0][0]!r}: {', '.join(repr(label) for label, _ in group[1:])}." for group in groups]
    return labels.replace(commonest), lines
