"""Mail addresses, phone numbers and payment card numbers: find texts that contain them, and redact them.

Each pattern is a heuristic for written forms. The time is linear in a text's length for any content: a mail address can
begin only where a run of its characters begins, and the parts of a number have a bounded length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import polars as pl

LETTERS = r"A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u052f\u1e00-\u1eff"
"""Latin with its accents, composed or not, Greek and Cyrillic; no script that is written without spaces."""
DOMAIN = rf"@[{LETTERS}0-9-]+(?:\.[{LETTERS}0-9-]+)*\.[{LETTERS}]{{2,}}"
LOCAL = rf"[{LETTERS}0-9._%+-]"
MAIL = LOCAL + DOMAIN
"""From the last character before the @; enough to detect an address."""

INTERNATIONAL = r"\+[0-9]{1,3}(?:[ .-]?\(?[0-9]{2,4}\)?){3,5}"
"""A number with a plus: +44 20 7946 0958."""
NATIONAL = (
    r"\(?[2-9][0-9]{2}\)?[ .-]{1,2}[2-9][0-9]{2}[ .-][0-9]{4}",  # North American plan: (212) 555-0187
    r"1[3-9][0-9]{9}",  # Chinese mobile: 13812345678
    r"\(?0[1-9][0-9]{1,3}\)?[ /-](?:[0-9]{6,8}|[0-9]{3,4}[ -][0-9]{3,4})",  # with its zero: 0171 1234567
)
"""Numbers without a plus; no digit may stand directly before or after."""

ISSUER = "(?:2[2-7]|[3-6])"
"""First digits of payment card numbers (ISO/IEC 7812-1); no year begins so."""
LEAST, MOST = 13, 19
"""Least and most digits of a card number."""
PRINTED = 4
"""Least digits of a group where other numbers stand beside the card's; the last group may have fewer."""

_MAIL = re.compile(f"(?<!{LOCAL}){LOCAL}++{DOMAIN}")
_PHONE = re.compile("|".join([INTERNATIONAL, *(f"(?<![0-9]){form}(?![0-9])" for form in NATIONAL)]))
_ISSUER = re.compile(ISSUER)
_DIGITS = re.compile("[0-9]+")
_NUMBERS = re.compile("[0-9]++(?:[ -][0-9]++)*+")
_DOUBLED = dict(zip("0123456789", (0, 2, 4, 6, 8, 1, 3, 5, 7, 9), strict=True))


def redact(text: str) -> str:
    """The text with [mail], [phone] and [card] in place of what looks private."""
    text = _MAIL.sub("[mail]", text)
    parts: list[str] = []
    at = 0
    for start, end in cards(text):
        parts += [text[at:start], "[card]"]
        at = end
    return _PHONE.sub("[phone]", "".join([*parts, text[at:]]))


def cards(text: str) -> Iterator[tuple[int, int]]:
    """The spans of payment card numbers, in order: 13 to 19 digits, in groups or not."""
    for numbers in _NUMBERS.finditer(text):
        if numbers.end() - numbers.start() < LEAST:
            continue
        groups = [group.span() for group in _DIGITS.finditer(text, numbers.start(), numbers.end())]
        first = 0
        while first < len(groups):
            last = _card(text, groups, first)
            if last is not None:
                yield groups[first][0], groups[last][1]
                first = last
            first += 1


def _card(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """The last group of the longest card number that begins with the group `first`; None where there is none."""
    if not _ISSUER.match(text, groups[first][0]):
        return None
    digits = ""
    longest = None
    printed = True
    for last, (start, end) in enumerate(groups[first : first + MOST], first):
        if len(digits) + end - start > MOST or not (printed or first == 0):
            break
        digits += text[start:end]
        alone = first == 0 and last == len(groups) - 1
        if (printed or alone) and is_card_number(digits):
            longest = last
        printed = printed and end - start >= PRINTED
    return longest


def is_card_number(digits: str) -> bool:
    """The Luhn check, which nine of ten random numbers fail (ISO/IEC 7812-1, annex B)."""
    if not LEAST <= len(digits) <= MOST:
        return False
    return (sum(map(int, digits[::-2])) + sum(map(_DOUBLED.__getitem__, digits[-2::-2]))) % 10 == 0


PHONE = f"{INTERNATIONAL}|(?:^|[^0-9])(?:{'|'.join(NATIONAL)})(?:[^0-9]|$)"
CARD = rf"{ISSUER}(?:[ -]?[0-9]){{{LEAST - 2}}}"
"""The possible beginning of a card number."""


def looks_private(text: pl.Expr) -> list[pl.Expr]:
    """Three Boolean expressions for a column of texts: mail, phone, card."""
    mail = text.str.contains(MAIL).fill_null(False).alias("mail")
    phone = text.str.contains(PHONE).fill_null(False).alias("phone")
    return [mail, phone, text.map_batches(_cards, return_dtype=pl.Boolean).alias("card")]


def _cards(text: pl.Series) -> pl.Series:
    """Whether each text has a card number; only the few texts that match CARD are put to the Luhn check."""
    likely = text.str.contains(CARD).fill_null(False).arg_true()
    hits = [int(place) for place, value in zip(likely, text.gather(likely), strict=True) if any(cards(value))]
    return pl.Series("card", [False], dtype=pl.Boolean).new_from_index(0, len(text)).scatter(hits, True)
