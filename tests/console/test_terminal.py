"""Terminal output."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ratchet.console import terminal


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "no time"),
        (0, "no time"),
        (1, "1 second"),
        (119, "1 minute"),
        (7200, "2 hours"),
        (86_400 * 3 + 5, "3 days"),
    ],
)
def test_a_span_has_the_largest_unit_that_fits(seconds: int, text: str) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    assert terminal.span(begin.isoformat(), (begin + timedelta(seconds=seconds)).isoformat()) == text
