"""The MLflow flavour of a model: a saved folder enters, an object with `predict` leaves.

This module is the `loader_module` of every registered version. MLflow therefore loads this project's code and the
folder's data, never a pickle; MLflow itself is not imported here. Texts come as a frame with the column `text`, or as a
list, a series or an array of strings. A frame leaves: `label`, `score` (the probability of that label), and `p_<label>`
for each class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import models
from models.contract import Classifier

COLUMN = "text"


def _load_pyfunc(data_path: str) -> Predictor:
    """Load the model; MLflow prescribes this function's name for a loader module."""
    return Predictor(models.load(Path(data_path)))


class Predictor:
    """A fitted model with MLflow's `predict`."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Label, score and probabilities of each text; `params` is part of MLflow's interface and ignored."""
        texts = read(model_input)
        index = model_input.index if isinstance(model_input, pd.DataFrame | pd.Series) else None
        return table(self.classifier.predict_proba(texts), self.classifier.labels, index)


def read(model_input: Any) -> list[str]:
    """The texts of the input that MLflow hands over; a missing text becomes an empty one.

    Raises:
        ValueError: the input is a frame without the column `text`.
        TypeError: the input has another type, or a value is not a string.
    """
    if isinstance(model_input, pd.DataFrame):
        names: list[Any] = list(model_input.columns)
        if names == [0]:  # what MLflow makes of a list
            model_input = model_input.rename(columns={0: COLUMN})
        if COLUMN not in model_input.columns:
            received = ", ".join(map(repr, model_input.columns)) or "no columns"
            raise ValueError(
                f"The input must have a column {COLUMN!r}. Received: {received}. Rename the column of texts."
            )
        model_input = model_input[COLUMN]
    if isinstance(model_input, str) or not isinstance(model_input, Sequence | np.ndarray | pd.Series):
        raise TypeError(
            f"The input must be a frame with a column {COLUMN!r} or a list of texts. "
            f"Received: {type(model_input).__name__}. Put a single text into a list."
        )
    return [_text(value) for value in np.asarray(model_input, dtype=object).ravel()]


def _text(value: object) -> str:
    """The value itself, or an empty text for a missing one."""
    if isinstance(value, str):
        return str(value)
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    raise TypeError(f"Every text must be a string. Received: {value!r:.80}. Turn it into one first.")


def table(probabilities: np.ndarray, labels: Sequence[str], index: pd.Index | None = None) -> pd.DataFrame:
    """A row a text: the most probable label, its probability, and the probability of each class."""
    best = probabilities.argmax(axis=1)
    columns = {"label": np.array(labels, dtype=object)[best], "score": probabilities[np.arange(len(best)), best]}
    columns |= {f"p_{label}": probabilities[:, number] for number, label in enumerate(labels)}
    return pd.DataFrame(columns, index=index)
