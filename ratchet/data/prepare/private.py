"""What looks private in a text: mail addresses, phone numbers, payment cards. A text enters, yes or no
leaves.

Each pattern is a heuristic for a warning to a person, not a filter to rely on: it knows written forms, not
meaning.
"""

from __future__ import annotations

import polars as pl

from ratchet.data.prepare.redact import INTERNATIONAL, ISSUER, LEAST, MAIL, NATIONAL, cards

PHONE = f"{INTERNATIONAL}|(?:^|[^0-9])(?:{'|'.join(NATIONAL)})(?:[^0-9]|$)"
CARD = rf"{ISSUER}(?:[ -]?[0-9]){{{LEAST - 2}}}"
"""What may be the beginning of a card's number."""


def looks_private(text: pl.Series) -> list[pl.Series]:
    """Three yes-or-no columns for a column of texts: mail, phone, card."""
    mail = text.str.contains(MAIL).fill_null(False).alias("mail")
    phone = text.str.contains(PHONE).fill_null(False).alias("phone")
    return [mail, phone, _cards(text)]


def _cards(text: pl.Series) -> pl.Series:
    """True where a run of digits passes the Luhn check, which only the few candidates are put to."""
    likely = text.str.contains(CARD).fill_null(False).arg_true()
    hits = [int(place) for place, found in zip(likely, text.gather(likely), strict=True) if any(cards(found))]
    return pl.Series("card", [False], dtype=pl.Boolean).new_from_index(0, len(text)).scatter(hits, True)
