"""A preview of a table of texts: its classes, languages and two rows, before anything is pinned."""

from __future__ import annotations

from collections import Counter

import polars as pl

from models.text.normalise import compared_form
from ratchet.project.printable import cut
from ratchet.tasks.classify_text.columns import Columns

CLASSES = 10
"""Most classes that the preview names."""
CUT = 70
"""Characters of a sample row."""
LOOKED_AT = 500
"""Rows whose language is guessed, spread over the table; 0.2 ms each."""
TELLING = 20
"""Least characters of a text whose language is guessed; an ideograph counts as 3."""
RARE = 0.02
"""Least share of texts of a language that is shown; a smaller one is more often a wrong guess."""
LANGUAGES = {
    "ar": "Arabic", "de": "German", "en": "English", "es": "Spanish", "fr": "French", "hi": "Hindi", "id": "Indonesian",
    "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese",
    "ru": "Russian", "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese", "zxx": "none (no words)",
}  # fmt: skip
"""Names of the most frequent languages; any other is shown as its code (ISO 639-1)."""


def synopsis(frame: pl.DataFrame, columns: Columns) -> list[str]:
    """The lines of the preview, most general first; `columns` are in the table."""
    texts = frame[columns.text]
    return [
        classes(frame[columns.label]),
        f"Texts: {copies(texts):.1%} are copies of an earlier one; language: {languages(texts)}.",
        *(f"  {line}" for line in sample(frame, columns)),
    ]


def classes(labels: pl.Series) -> str:
    """The classes with their numbers of rows, the largest first."""
    counted = counts(labels)
    shown = ", ".join(f"{cut(label, 40)} {rows:,}" for label, rows in counted[:CLASSES])
    more = f", and {len(counted) - CLASSES:,} more" if len(counted) > CLASSES else ""
    missing = f"; {labels.null_count():,} rows have none" if labels.null_count() else ""
    return f"Classes: {len(counted):,} ({shown}{more}){missing}."


def counts(labels: pl.Series) -> list[tuple[str, int]]:
    """Each label with its number of rows, the most frequent first, then by name."""
    counted = labels.drop_nulls().rename("label").to_frame().group_by("label").len()
    return sorted(counted.iter_rows(), key=lambda pair: (-pair[1], pair[0]))


def copies(texts: pl.Series) -> float:
    """Share of rows whose text is a copy of an earlier row's, in the form that validation compares."""
    keys = compared_form(texts.drop_nulls().rename("text"))
    return 1 - keys.n_unique() / keys.len() if keys.len() else 0.0


def languages(texts: pl.Series) -> str:
    """A guess at the languages of a sample of the texts, with their shares; "too short to tell" without such texts.

    Source: py3langid, after Lui and Baldwin 2012, langid.py: An Off-the-shelf Language Identification Tool.
    """
    from py3langid import classify

    lengths = texts.str.len_chars() + 2 * texts.str.count_matches(r"\p{Han}")
    legible = texts.filter((lengths >= TELLING).fill_null(False) & texts.str.contains(r"\p{L}").fill_null(False))
    sampled = legible.gather_every(max(1, legible.len() // LOOKED_AT)).head(LOOKED_AT)
    codes = Counter(classify(text[:1000])[0] for text in sampled)
    shares = [(LANGUAGES.get(code, code), rows / sampled.len()) for code, rows in codes.most_common()]
    shown = [f"{name} {share:.0%}" for name, share in shares if share >= RARE]
    rest = 1 - sum(share for _, share in shares if share >= RARE)
    return ", ".join([*shown, *([f"other {rest:.0%}"] if rest >= 0.005 and shown else [])]) or "too short to tell"


def sample(frame: pl.DataFrame, columns: Columns) -> list[str]:
    """Two rows with a text: the first, and the first of another class."""
    rows = (
        frame.select(label=columns.label, text=columns.text)
        .drop_nulls()
        .unique("label", keep="first", maintain_order=True)
    )
    return [cut(f"{label}: {text}", CUT) for label, text in rows.head(2).iter_rows()]
