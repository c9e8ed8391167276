"""The contract of a model file: all that the rest of the project knows of a model.

A file `models/<name>.py` is a model when it has these seven names:

    TASK             the kind of problem that it learns (ratchet/tasks)
    SUMMARY          one sentence, shown in help and in the run forms
    NEEDS            packages needed to answer besides numpy and scipy; often none
    Params           a frozen dataclass of hyperparameters, each with a default
    SPACE            the search space of `make tune`: parameter name -> tuple of choices
    fit(train, validation, labels, params, *, seed, progress) -> Classifier
    load(folder) -> Classifier

A model file imports neither Prefect nor MLflow, reads no configuration, and never changes its input. Only `fit` may
import the library that trains: a process that loads a model and answers has neither TensorFlow nor Keras, scikit-learn,
pandas, polars, MLflow or Prefect. The model that `load` reads back gives the very same answers as the one that `fit`
returned. Adding a file is all that is needed: `tests/models/test_models.py` tests every file of this folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called as progress(done, total, metrics), e.g. (3, 12, {"loss": 0.41, "validation_accuracy": 0.77})."""


@dataclass(frozen=True)
class Rows:
    """Texts with their labels, in the same order.

    Attributes:
        texts: raw or prepared texts; a model applies its own preprocessing, in fit and in predict_proba alike. More
            texts than fit in memory lie on disk (ratchet/data/tables/row_store.py), and are read in order or by slices.
        labels: one class name a text.
    """

    texts: Sequence[str]
    labels: Sequence[str]

    def __len__(self) -> int:
        return len(self.texts)


class Classifier(Protocol):
    """A fitted model: texts in, probabilities out, and a folder of data (never code) in between.

    A linear model may also have `evidence(text)`, by which its answers are explained exactly
    (models/text/explanation.py); other models are explained by occlusion.
    """

    labels: tuple[str, ...]
    """The class names, in the order of the columns of predict_proba."""

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Probabilities, shape (len(texts), len(labels)), float64; each row sums to 1.

        A text gets the same answer in any batch, except for the rounding of float32.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write everything that load needs into an existing, empty folder: JSON and arrays, no pickle."""
        ...


class ModelFile(Protocol):
    """The interface of a module in models/, as `models.get(name)` returns it."""

    TASK: str
    SUMMARY: str
    NEEDS: tuple[str, ...]
    Params: ClassVar[type]
    SPACE: Mapping[str, tuple[Any, ...]]

    def fit(
        self,
        train: Rows,
        validation: Rows,
        labels: tuple[str, ...],
        params: Any,
        *,
        seed: int,
        progress: Progress,
    ) -> Classifier: ...

    def load(self, folder: Path) -> Classifier: ...
