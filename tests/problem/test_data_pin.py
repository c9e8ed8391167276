"""data.dvc's `meta.source`: every text that was ever written there is understood as before, and written alike."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ratchet.problem.data_pin import Source, made_from

PARTS = ("feedback on ", "must.csv beside ", "example ", "table ", "film_reviews", "reviews.csv, more.csv", "example")
TEXTS = st.lists(st.sampled_from(PARTS) | st.text(max_size=3), max_size=5).map("".join)


def without_prefixes(text: str) -> str:
    for prefix in PARTS[:2]:
        if text.startswith(prefix):
            return without_prefixes(text.removeprefix(prefix))
    return text


@given(TEXTS)
def test_every_text_is_a_source(text: str) -> None:
    source = Source.parse(text)
    table = without_prefixes(text)
    assert Source.parse(str(source)) == source
    assert str(source).endswith(table)
    assert made_from(text, feedback=False, must=False) == table
    assert made_from(text, feedback=True, must=True) == f"feedback on must.csv beside {table}"
    assert source.example == (text.removeprefix("example ") if text.startswith("example ") else None)


def test_the_parts_of_a_source() -> None:
    assert Source.parse("example film_reviews") == Source("example", "film_reviews")
    assert Source.parse("feedback on must.csv beside table a.csv, b.csv") == Source("table", "a.csv, b.csv", True, True)
    assert Source.parse("must.csv beside feedback on x") == Source(None, "x", True, True)
    assert Source.parse("") == Source(None, "")
