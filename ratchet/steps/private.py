"""What looks private in a text: mail addresses, phone numbers, payment cards. A column of texts enters, three of yes or
no leave.

It is what the log of predictions would take out (ratchet/steps/redact.py): a warning to a person, not a filter to rely
on.
"""

from __future__ import annotations

import polars as pl

from ratchet.steps.redact import redacted

KINDS = ("mail", "phone", "card")
LIKELY = r"@|[0-9](?:[ ()./-]{0,4}[0-9]){7}"
"""What each of them has at least: an at sign, or eight digits with little between them. Few texts have either."""


def looks_private(text: pl.Series) -> list[pl.Series]:
    """Three yes-or-no columns for a column of texts: mail, phone, card."""
    likely = text.str.contains(LIKELY).fill_null(False).arg_true()
    texts = text.gather(likely).to_list()
    clean = [redacted(each) for each in texts]
    found = []
    for kind in KINDS:
        mark = f"[{kind}]"
        hits = [
            place for place, before, after in zip(likely, texts, clean, strict=True)
            if after.count(mark) > before.count(mark)
        ]  # fmt: skip
        found.append(pl.Series(kind, [False], dtype=pl.Boolean).new_from_index(0, len(text)).scatter(hits, True))
    return found
