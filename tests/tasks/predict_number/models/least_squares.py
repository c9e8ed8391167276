"""A straight line through the training rows, by least squares."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.contract import Progress, Rows

TASK = "predict_number"
SUMMARY = "Least squares over the numbers of a row."
NEEDS: tuple[str, ...] = ()
SPACE: dict[str, tuple[Any, ...]] = {}


@dataclass(frozen=True)
class Params:
    """shrinkage: Added to the diagonal of the normal equations."""

    shrinkage: float = 1e-6


@dataclass(frozen=True)
class Line:
    labels: tuple[str, ...]
    names: tuple[str, ...]
    weights: tuple[float, ...]

    def predict(self, inputs: Sequence[str]) -> Any:
        return design(inputs, self.names) @ np.array(self.weights)[:, None]

    def save(self, folder: Path) -> None:
        about = {"model": "least_squares", "labels": self.labels, "names": self.names, "weights": self.weights}
        (folder / "model.json").write_text(json.dumps(about))


def load(folder: Path) -> Line:
    about = json.loads((folder / "model.json").read_text())
    return Line(tuple(about["labels"]), tuple(about["names"]), tuple(about["weights"]))


def design(inputs: Sequence[str], names: Sequence[str]) -> Any:
    """The numbers of each row and a one; 0 for a number that a row lacks."""
    rows = [json.loads(row) for row in inputs]
    return np.array([[*(row.get(name, 0.0) for name in names), 1.0] for row in rows], np.float64).reshape(
        len(rows), len(names) + 1
    )


def fit(
    train: Rows, validation: Rows, labels: tuple[str, ...], params: Params, *, seed: int, progress: Progress
) -> Line:
    names = tuple(sorted({name for row in train.texts for name in json.loads(row)}))
    matrix = design(train.texts, names)
    targets = np.array([float(target) for target in train.labels])
    normal = matrix.T @ matrix + params.shrinkage * np.eye(matrix.shape[1])
    model = Line(labels, names, tuple(np.linalg.solve(normal, matrix.T @ targets).tolist()))
    errors = model.predict(validation.texts)[:, 0] - np.array([float(target) for target in validation.labels])
    progress(1, 1, {"validation_squared_error": float((errors**2).mean())})
    return model
