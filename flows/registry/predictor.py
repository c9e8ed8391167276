"""A model read from the artifact store: inputs enter, outputs and answers leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ratchet.project.progress import Progress

if TYPE_CHECKING:
    from models import pyfunc
    from ratchet.judging.metrics import Floats

BATCH = 5_120
"""Inputs predicted at a time. Progress is reported after each batch; no prediction depends on it."""


@dataclass(frozen=True)
class Predictor:
    """A stored model behind MLflow's pyfunc interface."""

    model: Any

    def table(self, inputs: Sequence[str]) -> Any:
        """Return what any MLflow client gets: a pandas frame with the kind's columns of answers."""
        import pandas as pd

        return self.model.predict(pd.DataFrame({0: pd.Series(list(inputs), dtype="str")}))

    def answers(self, inputs: Sequence[str]) -> list[str]:
        """Return the answer to each input."""
        loaded = self._loaded()
        outputs = loaded.face.outputs(self.table(inputs), loaded.model.labels)
        return loaded.face.answers(outputs, loaded.model.labels)[0]

    def outputs(self, inputs: Sequence[str], labels: Sequence[str], progress: Progress | None = None) -> Floats:
        """Return the model's outputs for inputs.

        Args:
            inputs: The inputs, in their stored form.
            labels: The names of the outputs, in the order of the columns; a class that the model never saw gets 0.
            progress: Called with the number of inputs after each batch.

        Returns:
            Shape (len(inputs), len(labels)).
        """
        face = self._loaded().face
        parts = [np.zeros((0, len(labels)))]
        for start in range(0, len(inputs), BATCH):
            table = self.table(inputs[start : start + BATCH])
            parts.append(face.outputs(table, tuple(labels)))
            if progress is not None:
                progress(len(table))
        return np.concatenate(parts)

    def _loaded(self) -> pyfunc.Predictor:
        """Return what MLflow loaded."""
        loaded: pyfunc.Predictor = self.model.get_raw_model()
        return loaded
