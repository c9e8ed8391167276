"""How sure must a look be before it calls a drift? Hours since the last look enter, a chance of error leaves.

Somebody looks each hour, for months: at 1 in 100 a look there would be seven false alarms a month. So a month has
ALPHA to spend in all, and a look may spend what has come in since the last one. However often one looks, and however
much the rows of two looks overlap, the chance of any false alarm in a month is at most ALPHA: it is the sum over the
looks (Bonferroni 1936; spending by the clock: Lan and DeMets 1983). A sum holds for looks that depend on each other,
as these do: they share the reference, and most of their rows.
"""

from __future__ import annotations

ALPHA = 0.05
MONTH = 30 * 24
"""Hours."""
FIRST = 1.0
"""Hours that the first look counts for."""
MOST = 7 * 24.0
"""Hours that may be saved up: a look after a quiet year is no reason to see ghosts."""


def allowed(hours: float | None) -> float:
    """The chance of a false alarm that a look may take. hours: since the last one; None where it is the first.

    A clock that was set back saves nothing and owes nothing.
    """
    waited = FIRST if hours is None else min(max(hours, 0.0), MOST)
    return ALPHA * waited / (MONTH + FIRST)


def holm(p_values: list[float], alpha: float) -> list[bool]:
    """Which of the tests of one look hold with a family-wise error of alpha (Holm 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    held = [False] * len(p_values)
    for rank, at in enumerate(order):
        if p_values[at] > alpha / (len(p_values) - rank):
            break
        held[at] = True
    return held
