"""Alpha spending over repeated drift checks: hours since the last check enter, the alpha of this check leaves.

Checks run each hour for months; at an alpha of 1 in 100 a check there would be seven false alarms a month. So a month
has ALPHA in all, and each check may spend the share that has accrued since the last one. The chance of any false alarm
in a month is at most the sum over its checks, ALPHA, however often a check runs (Bonferroni 1936; spending by the
clock: Lan and DeMets 1983). The sum also holds for dependent checks, as these are: they share the reference and most of
their rows.
"""

from __future__ import annotations

ALPHA = 0.05
MONTH = 30 * 24
"""Hours."""
FIRST = 1.0
"""Hours that the first check counts for."""
MOST = 7 * 24.0
"""Most hours that accrue: a check after a quiet year must not get a year's alpha."""


def allowed(hours: float | None) -> float:
    """The chance of a false alarm that a check may spend.

    Args:
        hours: Hours since the last check; None for the first check. Negative hours (a clock that was set back) count as
            0.
    """
    accrued = FIRST if hours is None else min(max(hours, 0.0), MOST)
    return ALPHA * accrued / (MONTH + FIRST)


def holm(p_values: list[float], alpha: float) -> list[bool]:
    """Whether each test of a check is significant at a family-wise error of alpha (Holm 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    significant = [False] * len(p_values)
    for rank, index in enumerate(order):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        significant[index] = True
    return significant
