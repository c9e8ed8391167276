"""A model read from the artifact store: texts enter, probabilities leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ratchet.project.progress import Progress

BATCH = 5_120
"""Texts predicted at a time. Progress is reported after each batch; no prediction depends on it."""


@dataclass(frozen=True)
class Predictor:
    """A stored model behind MLflow's pyfunc interface."""

    model: Any

    def table(self, texts: Sequence[str]) -> Any:
        """Return what any MLflow client gets: a pandas frame with label, score and p_<label> for every class."""
        import pandas as pd

        return self.model.predict(pd.DataFrame({"text": pd.Series(list(texts), dtype="str")}))

    def probabilities(
        self, texts: Sequence[str], labels: Sequence[str], progress: Progress | None = None
    ) -> np.ndarray:
        """Return the class probabilities of texts.

        Args:
            texts: The texts to classify.
            labels: The classes, in the order of the columns; a class that the model never saw gets 0.
            progress: Called with the number of texts after each batch.

        Returns:
            Shape (len(texts), len(labels)).
        """
        parts = [np.zeros((0, len(labels)))]
        for start in range(0, len(texts), BATCH):
            table = self.table(texts[start : start + BATCH])
            columns = [table[f"p_{label}"] if f"p_{label}" in table else np.zeros(len(table)) for label in labels]
            parts.append(np.column_stack(columns).astype(np.float64))
            if progress is not None:
                progress(len(table))
        return np.concatenate(parts)
