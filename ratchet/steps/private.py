"""What looks private in a text: mail addresses, phone numbers, payment cards. A text enters, yes or no
leaves.

Each pattern is a heuristic for a warning to a person, not a filter to rely on: it knows written forms, not
meaning.
"""

from __future__ import annotations

import re

import polars as pl

from ratchet.steps.redact import CARD, MAIL, PHONE, is_card_number


def looks_private(text: pl.Series) -> list[pl.Series]:
    """Three yes-or-no columns for a column of texts: mail, phone, card."""
    mail = text.str.contains(MAIL).fill_null(False).alias("mail")
    phone = text.str.contains(PHONE).fill_null(False).alias("phone")
    return [mail, phone, _cards(text)]


def _cards(text: pl.Series) -> pl.Series:
    """True where a run of digits passes the Luhn check, which only the few candidates are put to."""
    likely = text.str.contains(CARD).fill_null(False).arg_true()
    candidates = text.gather(likely).str.extract_all(rf"(?:^|[^0-9]){CARD}(?:[^0-9]|$)")
    hits = [
        int(place)
        for place, found in zip(likely, candidates, strict=True)
        if any(is_card_number(re.sub("[^0-9]", "", number)) for number in found)
    ]
    return pl.Series("card", [False], dtype=pl.Boolean).new_from_index(0, len(text)).scatter(hits, True)
