"""What a table was understood to be, in a few lines that a person can check before anything is made of it."""

from __future__ import annotations

import polars as pl

from ratchet.examples.contract import Columns
from ratchet.reading import Reading
from ratchet.steps.facts import compared

CLASSES = 10
"""Classes that are named, the largest first."""
CUT = 70
"""Characters of a sample row."""
LOOKED_AT = 10_000
"""Rows that the mix of scripts is judged by, spread over the table."""
SCRIPTS = {"Latin": r"\p{Latin}", "Han": r"\p{Han}", "Cyrillic": r"\p{Cyrillic}", "Arabic": r"\p{Arabic}"}


def synopsis(reading: Reading, columns: Columns) -> list[str]:
    """The lines, most general first; `columns` are in the table."""
    frame = reading.frame
    first, more = printable(reading.files[0].name), len(reading.files) - 1
    files = f"{first} and {more:,} more files" if more > 1 else f"{first} and 1 more file" if more else first
    texts = frame[columns.text]
    return [
        f"Read {files}: {frame.height:,} rows, {frame.width} columns; {'; '.join(reading.forms)}.",
        taken(frame, columns),
        classes(frame[columns.label]),
        f"Texts: {copies(texts):.1%} are copies of an earlier one; letters are {scripts(texts)}.",
        *(f"  {line}" for line in sample(frame, columns)),
    ]


def taken(frame: pl.DataFrame, columns: Columns) -> str:
    """Which column is what, and what stays behind."""
    roles = {"text": columns.text, "label": columns.label, "group": columns.group}
    left = [printable(name) for name in frame.columns if name not in roles.values()]
    kept = ", ".join(f"{role} from {printable(name)!r}" for role, name in roles.items() if name)
    shown = ", ".join(left[:CLASSES]) + (f" and {len(left) - CLASSES:,} more" if len(left) > CLASSES else "")
    return f"Taken: {kept}." + (f" Left out: {shown}." if left else "")


def classes(labels: pl.Series) -> str:
    """The classes with their rows."""
    counted = counts(labels)
    named = ", ".join(f"{cut(label, 40)} {rows:,}" for label, rows in counted[:CLASSES])
    more = f", and {len(counted) - CLASSES:,} more" if len(counted) > CLASSES else ""
    missing = f"; {labels.null_count():,} rows have none" if labels.null_count() else ""
    return f"Classes: {len(counted):,} ({named}{more}){missing}."


def counts(labels: pl.Series) -> list[tuple[str, int]]:
    """Each label and its rows, the most frequent first, then by name."""
    counted = labels.drop_nulls().rename("label").to_frame().group_by("label").len()
    return sorted(counted.iter_rows(), key=lambda pair: (-pair[1], pair[0]))


def copies(texts: pl.Series) -> float:
    """Share of rows whose text is a copy of an earlier row's, as validation compares them."""
    keys = compared(texts.drop_nulls().rename("text"))
    return 1 - keys.n_unique() / keys.len() if keys.len() else 0.0


def scripts(texts: pl.Series) -> str:
    """The mix of scripts, as shares of letters."""
    looked_at = texts.drop_nulls().gather_every(max(1, texts.len() // LOOKED_AT))
    letters = int(looked_at.str.count_matches(r"\p{L}").sum() or 0)
    if not letters:
        return "none"
    shares = {name: int(looked_at.str.count_matches(of).sum() or 0) / letters for name, of in SCRIPTS.items()}
    shares["other"] = max(0.0, 1 - sum(shares.values()))
    mixed = sorted(((share, name) for name, share in shares.items() if share >= 0.005), reverse=True)
    return ", ".join(f"{share:.0%} {name}" for share, name in mixed)


def sample(frame: pl.DataFrame, columns: Columns) -> list[str]:
    """Two rows with a text: the first, and the first of another class."""
    known = (
        frame.select(label=columns.label, text=columns.text)
        .drop_nulls()
        .unique("label", keep="first", maintain_order=True)
    )
    return [cut(f"{label}: {text}", CUT) for label, text in known.head(2).iter_rows()]


def cut(text: str, length: int) -> str:
    """A text on one line that a terminal can show, its rest as an ellipsis."""
    line = printable(" ".join(text[: 4 * length].split()))
    return line if len(line) <= length and len(text) <= 4 * length else line[: length - 1] + "…"


def printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
