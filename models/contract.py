"""The contract of a model file: all that the rest of the project knows of a model.

A file `models/<name>.py` is a model when it has these seven names:

    TASK             the kind of problem that it learns (ratchet/tasks)
    SUMMARY          one sentence, shown in help and in the run forms
    NEEDS            packages needed to answer besides numpy and scipy; often none
    Params           a frozen dataclass of hyperparameters, each with a default
    SPACE            the search space of `make tune`: parameter name -> tuple of choices
    fit(train, validation, labels, params, *, seed, progress) -> Model
    load(folder) -> Model

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
    """Inputs with their targets, in the same order, each in its stored form (ratchet/tasks/contract.py).

    Attributes:
        texts: the inputs, one string each: a text itself, or a row of several columns as JSON. A model applies its own
            preprocessing, in fit and in predict alike. More inputs than fit in memory lie on disk
            (ratchet/data/tables/row_store.py), and are read in order or by slices.
        labels: the target of each input, one string: the name of a class, or a number.
    """

    texts: Sequence[str]
    labels: Sequence[str]

    def __len__(self) -> int:
        return len(self.texts)


class Model(Protocol):
    """A fitted model: inputs in, outputs out, and a folder of data (never code) in between.

    A linear model of texts may also have `evidence(text)`, by which its answers are explained exactly
    (models/text/explanation.py); other models of texts are explained by occlusion.
    """

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the columns of predict, in their order; for classes, the names of the classes."""
        ...

    def predict(self, inputs: Sequence[str], /) -> np.ndarray:
        """Outputs, shape (len(inputs), len(labels)), float64; of classes, probabilities: each row sums to 1.

        An input gets the same outputs in any batch, except for the rounding of float32.
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
    ) -> Model: ...

    def load(self, folder: Path) -> Model: ...
