"""Mail addresses, phone numbers and payment cards: a text enters, it leaves without them.

Each form is a heuristic: it knows how such things are written, not what they mean. The time grows with the length of a
text and no faster, whatever somebody sends: runs are taken whole and never given back (possessive quantifiers), and a
number begins only where no longer one does.
"""

from __future__ import annotations

import re
from itertools import accumulate

LETTERS = "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0300-\u03ff\u0400-\u04ff"
"""Of the Latin, Greek and Cyrillic scripts, with their accents. Others would take the words beside an address along."""
MAIL = re.compile(
    rf"(?<![{LETTERS}0-9._%+-])[{LETTERS}0-9._%+-]++"
    rf"@[{LETTERS}0-9-]++(?:\.[{LETTERS}0-9-]++)*\.[{LETTERS}]{{2,}}"
)
"""Internationalised addresses as well (RFC 6531)."""
PHONE = re.compile(
    r"\+[0-9](?:[ ().-]{0,3}[0-9]){7,14}"  # international, with its plus: +44 20 7946 0958 (E.164)
    r"|(?<![0-9])\(?[2-9][0-9]{2}\)?[ .-]{1,2}[2-9][0-9]{2}[ .-][0-9]{4}(?![0-9])"  # North American plan
    r"|(?<![0-9])1[3-9][0-9]{9}(?![0-9])"  # Chinese mobile
    r"|(?<![0-9])\(?0[1-9][0-9]{1,4}\)?[ /-]{1,3}[0-9]{3,8}(?:[ -][0-9]{2,4}){0,3}(?![0-9])"  # with its 0: 0171 1234567
    r"|(?<![0-9])0[1-9](?:[ .][0-9]{2}){4}(?![0-9])"  # French: 01 23 45 67 89
    r"|(?<![0-9])01[5-7][0-9]{8,9}(?![0-9])"  # German mobile in one: 01711234567
)
NUMBERS = re.compile(r"[0-9]++(?:[ -][0-9]++)*+")
"""Digits, in groups or not."""
CARD_DIGITS = range(13, 20)
"""Of a payment card's number (ISO/IEC 7812-1)."""
ISSUERS = range(2, 7)
"""The first digits of those who issue payment cards."""
DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
"""Twice each digit, its own two digits added."""


def redacted(text: str) -> str:
    """The text with what looks private replaced by what it is: [mail], [card], [phone]."""
    if "@" in text:
        text = MAIL.sub("[mail]", text)
    return PHONE.sub("[phone]", NUMBERS.sub(_without_cards, text))


def is_card_number(digits: str) -> bool:
    """The Luhn check, which nine of ten random numbers fail (ISO/IEC 7812-1, annex B)."""
    return len(digits) in CARD_DIGITS and _Checks(digits).pass_between(0, len(digits))


def _without_cards(found: re.Match[str]) -> str:
    """A run of numbers without the payment cards in it: whole groups of digits, whatever stands before and behind."""
    groups = [(group.start(), group.end()) for group in re.finditer("[0-9]+", found[0])]
    digits = re.sub("[^0-9]", "", found[0])
    if len(digits) < CARD_DIGITS.start:
        return found[0]
    checks, ends = _Checks(digits), [0, *accumulate(end - start for start, end in groups)]
    parts, at, group = list[str](), 0, 0
    while group < len(groups):
        last = _card(digits, checks, ends, group)
        if last:
            parts += [found[0][at : groups[group][0]], "[card]"]
            at, group = groups[last - 1][1], last
        else:
            group += 1
    return "".join(parts) + found[0][at:]


def _card(digits: str, checks: _Checks, ends: list[int], group: int) -> int:
    """The number of the group behind the longest card that begins with this one; 0 where none does."""
    first, longest = ends[group], 0
    if int(digits[first]) in ISSUERS:
        for last in range(group + 1, min(group + CARD_DIGITS.stop, len(ends))):
            if ends[last] - first in CARD_DIGITS and checks.pass_between(first, ends[last]):
                longest = last
    return longest


class _Checks:
    """The Luhn sums of any part of some digits, from two running sums: in one every even digit is doubled."""

    def __init__(self, digits: str) -> None:
        values = [int(digit) for digit in digits]
        self._sums = [
            [0, *accumulate(value if place % 2 == plain else DOUBLED[value] for place, value in enumerate(values))]
            for plain in (0, 1)
        ]

    def pass_between(self, first: int, last: int) -> bool:
        """Whether digits[first:last] pass: the last of them is not doubled, the one before it is, and so on."""
        sums = self._sums[(last - 1) % 2]
        return (sums[last] - sums[first]) % 10 == 0
