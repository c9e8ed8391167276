"""Mail addresses, phone numbers and payment cards: what they look like, and a text without them.

Each pattern is a heuristic: it knows written forms, not meaning.
"""

from __future__ import annotations

import re

MAIL = r"[A-Za-z0-9._%+-]@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"

PHONE = (
    r"\+[0-9]{1,3}(?:[ .-]?\(?[0-9]{2,4}\)?){3,5}"  # international, with its plus: +44 20 7946 0958
    r"|(?:^|[^0-9])\(?[2-9][0-9]{2}\)?[ .-]{1,2}[2-9][0-9]{2}[ .-][0-9]{4}(?:[^0-9]|$)"  # North American plan
    r"|(?:^|[^0-9])1[3-9][0-9]{9}(?:[^0-9]|$)"  # Chinese mobile
)

CARD = r"[2-6](?:[ -]?[0-9]){12,18}"
"""13 to 19 digits from an issuer of payment cards, grouped or not (ISO/IEC 7812-1)."""


def redacted(text: str) -> str:
    """The text with what looks private replaced by what it is: [mail], [phone], [card]."""
    text = re.sub(f"[A-Za-z0-9._%+-]*{MAIL}", "[mail]", text)
    text = re.sub(CARD, lambda found: "[card]" if is_card_number(re.sub("[^0-9]", "", found[0])) else found[0], text)
    return re.sub(PHONE, _without_phone, text)


def _without_phone(found: re.Match[str]) -> str:
    """The characters beside a number, which its pattern takes with it, stay."""
    first, last = found[0][0], found[0][-1]
    before = "" if first.isdigit() or first in "+(" else first
    return f"{before}[phone]{'' if last.isdigit() else last}"


def is_card_number(digits: str) -> bool:
    """The Luhn check, which nine of ten random numbers fail (ISO/IEC 7812-1, annex B)."""
    values = [int(digit) for digit in reversed(digits)]
    doubled = [sum(divmod(2 * value, 10)) for value in values[1::2]]
    return 13 <= len(values) <= 19 and (sum(values[::2]) + sum(doubled)) % 10 == 0
