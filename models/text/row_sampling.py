"""Draw rows from a table that does not fit in memory: a sample, or all rows in shuffled parts.

Texts and labels enter as sequences that are best read in order (ratchet/data/tables/row_store.py); lists leave. The
same seed draws the same rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

RUNS = 16
"""Places of the table from which a part is taken, so that it is mixed even if the table is sorted by label or date."""

EACH = 20
"""Least rows of every label in a sample, where there are so many."""

Drawn = tuple[list[str], list[str]]
"""Texts, and their labels."""


def count_characters(texts: Sequence[str]) -> int:
    """Number of characters of all texts, with one for the end of each."""
    return sum(map(len, texts)) + len(texts)


def sample(texts: Sequence[str], labels: Sequence[str], share: float, seed: int) -> Drawn:
    """Draw about that share of the rows, in their order, and in any case the first EACH rows of every label."""
    chosen = np.random.default_rng(seed).random(len(texts)) < share
    counts: Counter[str] = Counter()
    drawn: Drawn = ([], [])
    for text, label, is_chosen in zip(texts, labels, chosen.tolist(), strict=True):
        counts[label] += 1
        if is_chosen or counts[label] <= EACH:
            drawn[0].append(text)
            drawn[1].append(label)
    return drawn


def shuffled_parts(texts: Sequence[str], labels: Sequence[str], parts: int, seed: int) -> Iterator[Drawn]:
    """Divide all rows into shuffled parts; each part has a piece of every sixteenth of the table."""
    rng = np.random.default_rng(seed)
    bounds = np.linspace(0, len(texts), RUNS * parts + 1).astype(int).tolist()
    for part in range(parts):
        drawn: Drawn = ([], [])
        for at in range(part, RUNS * parts, parts):
            piece = slice(bounds[at], bounds[at + 1])
            drawn[0].extend(texts[piece])
            drawn[1].extend(labels[piece])
        order = rng.permutation(len(drawn[0])).tolist()
        yield [drawn[0][at] for at in order], [drawn[1][at] for at in order]
