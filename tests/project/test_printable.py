"""Words for a sentence: one line, nothing that a terminal would act on, and the right article."""

from __future__ import annotations

from ratchet.project.printable import cut, printable, with_article


def test_what_a_terminal_would_act_on_is_a_space() -> None:
    assert printable("a\x1b[31mb\u2028c好") == "a [31mb c好"


def test_a_text_that_is_too_long_ends_in_an_ellipsis() -> None:
    assert cut("two\n lines", 20) == "two lines"
    assert cut("x" * 30, 10) == "x" * 9 + "…"
    assert len(cut(" " * 100 + "x", 10)) <= 10


def test_an_article_fits_its_noun() -> None:
    assert (with_article("text"), with_article("input")) == ("a text", "an input")
