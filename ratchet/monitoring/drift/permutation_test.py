"""How often does chance do as well? Counts of two sides by cell enter, and what is measured on them; a p-value leaves.

To deal the rows of both sides out anew is to draw counts (multivariate hypergeometric), so a permutation costs as much
as there are cells, however many rows there are. What it says is exact, however few rows a cell has.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Measure = Callable[[Ints, Ints], Floats]
"""Of the counts of both sides, each of shape (cases, cells), one number a case: the larger, the further apart."""

DEALS = (256, 4_096, 32_768, 131_072)
"""Permutations that are made, more only while the outcome is in doubt (Besag and Clifford 1991)."""
ENOUGH = 10
"""Permutations at least as far out as the truth after which nobody needs more of them."""
AT_ONCE = 4_000_000
"""Counts that are held at a time: 32 MB."""
SAME = 1e-9
"""By how much of itself a number may fall short of another that it equals but for rounding."""


def dealt(held: Ints, met: Ints, measure: Measure) -> float:
    """The share of permutations that measure at least as much as the truth: a p-value, never 0."""
    pool, rows = held + met, int(met.sum())
    if rows == 0 or not held.sum():
        return 1.0
    truth, chance = measure(held[None], met[None])[0], np.random.default_rng(0)
    made = beaten = 0
    for upto in DEALS:
        while made < upto:
            size = min(upto - made, max(1, AT_ONCE // len(pool)))
            deals = chance.multivariate_hypergeometric(pool, rows, size, method="marginals")
            beaten += int((measure(pool - deals, deals) >= truth * (1 - SAME)).sum())
            made += size
        if beaten >= ENOUGH:
            break
    return (1 + beaten) / (1 + made)
