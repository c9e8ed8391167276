"""What a model says of texts, as the columns that a table gets: predicted, score, p_<label>."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from ratchet.serving.answering.bundle import Bundle

AT_ONCE = 5_120
"""Texts answered at a time, whole batches of a neural model: bounds how long nothing is said."""


def answer(live: Bundle, texts: Sequence[str], tell: Callable[[int], None] = lambda _: None) -> pl.DataFrame:
    """A row a text, in order. tell: called with the number of texts that were answered, as they are."""
    found = [np.zeros((0, len(live.labels)))]
    for at in range(0, len(texts), AT_ONCE):
        some = texts[at : at + AT_ONCE]
        found.append(live.classifier.predict_proba(some))
        tell(len(some))
    probabilities = np.concatenate(found)
    best = probabilities.argmax(axis=1).tolist()
    columns = {f"p_{label}": probabilities[:, number] for number, label in enumerate(live.labels)}
    predicted = pl.Series("predicted", [live.labels[number] for number in best], dtype=pl.String)
    return pl.DataFrame([predicted, pl.Series("score", probabilities.max(axis=1, initial=0))]).with_columns(
        **{name: pl.Series(values) for name, values in columns.items()}
    )
