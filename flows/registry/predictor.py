"""A model read back from the artifact store, as texts in and probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ratchet.project.progress import Progress

AT_ONCE = 5_120
"""Texts answered at a time; progress is told after each lot, and no answer depends on it."""


@dataclass(frozen=True)
class Predictor:
    """A model read back from the artifact store, ready to answer: MLflow's own pyfunc view of it."""

    model: Any

    def table(self, texts: Sequence[str]) -> Any:
        """What any MLflow client gets: a pandas frame with label, score and p_<label> for every class."""
        import pandas as pd

        return self.model.predict(pd.DataFrame({"text": pd.Series(list(texts), dtype="str")}))

    def probabilities(
        self, texts: Sequence[str], labels: Sequence[str], progress: Progress | None = None
    ) -> np.ndarray:
        """Shape (len(texts), len(labels)), in the order of `labels`; a class the model never saw gets 0.

        progress: told how many were answered, as they are.
        """
        parts = [np.zeros((0, len(labels)))]
        for at in range(0, len(texts), AT_ONCE):
            table = self.table(texts[at : at + AT_ONCE])
            columns = [table[f"p_{label}"] if f"p_{label}" in table else np.zeros(len(table)) for label in labels]
            parts.append(np.column_stack(columns).astype(np.float64))
            if progress is not None:
                progress(len(table))
        return np.concatenate(parts)
