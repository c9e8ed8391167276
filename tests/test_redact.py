"""What looks private leaves a text, whatever is written around it, in a time that grows with its length alone."""

from __future__ import annotations

import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.steps.private import looks_private
from ratchet.steps.redact import redacted

PRIVATE = [
    ("4111 1111 1111 1111 12/27", "[card] 12/27"),
    ("order 23 4111111111111111", "order 23 [card]"),
    ("pay 4111-1111-1111-1111 now", "pay [card] now"),
    ("378282246310005", "[card]"),
    ("5555 5555 5555 4444 and 4111 1111 1111 1111", "[card] and [card]"),
    ("max@müller.de", "[mail]"),
    ("jürgen@example.de", "[mail]"),
    ("почта иван@пример.рф.", "почта [mail]."),
    ("write to jo.b+x@mail.example.org, or do not", "write to [mail], or do not"),
    ("联系邮箱max@qq.com谢谢", "联系邮箱[mail]谢谢"),
    ("call 0171 1234567", "call [phone]"),
    ("0171/1234567", "[phone]"),
    ("01711234567", "[phone]"),
    ("(030) 1234 5678", "[phone]"),
    ("01 23 45 67 89", "[phone]"),
    ("+44 20 7946 0958", "[phone]"),
    ("+44 (0)20 7946 0958", "[phone]"),
    ("(212) 555-0187 or 212.555.0188", "[phone] or [phone]"),
    ("13912345678号", "[phone]号"),
]
"""Every form that README names."""
HARMLESS = [
    "2001: A Space Odyssey (1968), 300, 12 Angry Men, 21 Grams",
    "from 1999-2004, on 01-02-2003, 28.11.2026 03:14 and 2026-11-28 03:14:53.123456",
    "it made 10,000,000 of 1 000 000 at 12.50 to 9.99",
    "ISBN 978-3-16-148410-0, version 0.10.2, EAN 96385074",
    "4111 1111 1111 1112 fails the Luhn check",
    "@home, a@b, 3 @ 4.50, meet me @ the cinema",
    "agent 007 1234567 and agent 0012",
]
LONG = 100_000
"""Characters: what a text of the service may have."""
NASTY = (
    "a",
    "a.",
    "1 ",
    "+1",
    "4 ",
    "44 ",
    "a@",
    "a@a.",
    "+11",
    "+1 ",
    "0123 ",
    "(0",
    "4111 1111 1111 1111 ",
    "é",
    "@",
)


@pytest.mark.parametrize(("text", "left"), PRIVATE)
def test_each_form_leaves_the_text_and_the_rest_stays(text: str, left: str) -> None:
    assert redacted(text) == left


@pytest.mark.parametrize("text", HARMLESS)
def test_numbers_that_are_nobodys_stay(text: str) -> None:
    assert redacted(text) == text


@given(st.text(st.characters(exclude_characters="@", exclude_categories=["Nd", "Cs"])))
def test_a_text_without_digits_and_at_sign_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


@given(
    st.sampled_from([text for text, left in PRIVATE if left in ("[card]", "[phone]", "[mail]")]),
    st.text(st.characters(categories=["Ll", "Lu"], max_codepoint=126), max_size=20),
    st.text(st.characters(categories=["Ll", "Lu"], max_codepoint=126), max_size=20),
)
def test_words_around_it_neither_hide_it_nor_go_with_it(private: str, before: str, behind: str) -> None:
    found = redacted(f"{before} {private} {behind}")
    assert found.startswith(f"{before} [")
    assert found.endswith(f"] {behind}")


@pytest.mark.parametrize("unit", NASTY)
def test_a_text_of_the_greatest_length_takes_a_fraction_of_a_second(unit: str) -> None:
    """16,000 letters took 4 s once, so 100,000 would have taken 150: the log's one writer stood still."""
    text = (unit * LONG)[:LONG]
    began = time.process_time()
    redacted(text)
    assert time.process_time() - began < 1.0


def test_the_checks_of_a_table_see_what_would_be_redacted() -> None:
    texts = [text for text, _ in PRIVATE] + HARMLESS
    mail, phone, card = looks_private(pl.Series("text", [*texts, None, ""], dtype=pl.String))
    for row, (_, left) in enumerate(PRIVATE):
        assert (mail[row], phone[row], card[row]) == tuple(f"[{kind}]" in left for kind in ("mail", "phone", "card"))
    for column in (mail, phone, card):
        assert not column[len(PRIVATE) :].any()


def test_a_mark_that_a_person_typed_is_not_private() -> None:
    (mail, _, _) = looks_private(pl.Series("text", ["[mail] @ home", "[mail] ann@example.org"]))
    assert mail.to_list() == [False, True]
