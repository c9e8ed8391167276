"""Rows drawn from more of them than fit in memory: a sample, and all of them in a mixed order.

Texts and labels enter as sequences that are best read in order (ratchet/data/tables/row_store.py); lists of them leave.
A seed makes a drawing repeatable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

RUNS = 16
"""Places from which a mixed part is taken: a table sorted by label or by date is still met in a mix."""

EACH = 20
"""Rows of every label that a sample has at least, where there are so many."""

Drawn = tuple[list[str], list[str]]
"""Texts, and their labels."""


def characters(texts: Sequence[str]) -> int:
    """Of all texts together, with one for the end of each."""
    return sum(map(len, texts)) + len(texts)


def sample(texts: Sequence[str], labels: Sequence[str], share: float, seed: int) -> Drawn:
    """About that share of the rows, in their order, and the first few of every label in any case."""
    chosen = np.random.default_rng(seed).random(len(texts)) < share
    came: Counter[str] = Counter()
    drawn: Drawn = ([], [])
    for text, label, here in zip(texts, labels, chosen.tolist(), strict=True):
        came[label] += 1
        if here or came[label] <= EACH:
            drawn[0].append(text)
            drawn[1].append(label)
    return drawn


def mixed(texts: Sequence[str], labels: Sequence[str], parts: int, seed: int) -> Iterator[Drawn]:
    """Every row once, in so many parts: each takes a piece from every sixteenth of the table, and shuffles them."""
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
