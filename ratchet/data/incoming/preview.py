"""What a table was understood to be, in a few lines that a person can check before anything is made of it."""

from __future__ import annotations

from collections import Counter

import polars as pl

from ratchet.data.prepare.row_facts import compared
from ratchet.data.tables.reading import Reading
from ratchet.project.settings import Data

CLASSES = 10
"""Classes that are named, the largest first."""
CUT = 70
"""Characters of a sample row."""
LOOKED_AT = 500
"""Rows that the languages are judged by, spread over the table; 0.2 ms each."""
TELLING = 20
"""Characters of a text from which a language can be told; an ideograph counts as 3."""
RARE = 0.02
"""Share of texts below which a language is more often a slip of the guess than a language."""
LANGUAGES = {
    "ar": "Arabic", "de": "German", "en": "English", "es": "Spanish", "fr": "French", "hi": "Hindi", "id": "Indonesian",
    "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese",
    "ru": "Russian", "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese", "zxx": "none (no words)",
}  # fmt: skip
"""Names of those that come most; any other goes by its code (ISO 639-1)."""


def synopsis(reading: Reading, columns: Data) -> list[str]:
    """The lines, most general first; `columns` are in the table."""
    frame = reading.frame
    first, more = printable(reading.files[0].name), len(reading.files) - 1
    files = f"{first} and {more:,} more files" if more > 1 else f"{first} and 1 more file" if more else first
    texts = frame[columns.text]
    return [
        f"Read {files}: {frame.height:,} rows, {frame.width} columns; {'; '.join(reading.forms)}.",
        taken(frame, columns),
        classes(frame[columns.label]),
        f"Texts: {copies(texts):.1%} are copies of an earlier one; language: {languages(texts)}.",
        *(f"  {line}" for line in sample(frame, columns)),
    ]


def taken(frame: pl.DataFrame, columns: Data) -> str:
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


def languages(texts: pl.Series) -> str:
    """The languages of a sample of the texts, by share; a guess, and none where the texts are too short to tell.

    Source: py3langid, after Lui and Baldwin 2012, langid.py: An Off-the-shelf Language Identification Tool.
    """
    from py3langid import classify

    lengths = texts.str.len_chars() + 2 * texts.str.count_matches(r"\p{Han}")
    told = texts.filter((lengths >= TELLING).fill_null(False) & texts.str.contains(r"\p{L}").fill_null(False))
    looked_at = told.gather_every(max(1, told.len() // LOOKED_AT)).head(LOOKED_AT)
    found = Counter(classify(text[:1000])[0] for text in looked_at)
    shares = [(LANGUAGES.get(code, code), rows / looked_at.len()) for code, rows in found.most_common()]
    shown = [f"{name} {share:.0%}" for name, share in shares if share >= RARE]
    rest = 1 - sum(share for _, share in shares if share >= RARE)
    return ", ".join([*shown, *([f"other {rest:.0%}"] if rest >= 0.005 and shown else [])]) or "too short to tell"


def sample(frame: pl.DataFrame, columns: Data) -> list[str]:
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
