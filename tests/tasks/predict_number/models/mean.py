"""The baseline of numbers: the mean of the training rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.contract import Progress, Rows

TASK = "predict_number"
SUMMARY = "Always the mean: the bar that every other model must clear."
NEEDS: tuple[str, ...] = ()
SPACE: dict[str, tuple[Any, ...]] = {}


@dataclass(frozen=True)
class Params:
    """No hyperparameters."""


@dataclass(frozen=True)
class Mean:
    labels: tuple[str, ...]
    mean: float

    def predict(self, inputs: Sequence[str]) -> Any:
        return np.full((len(inputs), 1), self.mean)

    def save(self, folder: Path) -> None:
        (folder / "model.json").write_text(json.dumps({"model": "mean", "labels": self.labels, "mean": self.mean}))


def load(folder: Path) -> Mean:
    about = json.loads((folder / "model.json").read_text())
    return Mean(tuple(about["labels"]), about["mean"])


def fit(
    train: Rows, validation: Rows, labels: tuple[str, ...], params: Params, *, seed: int, progress: Progress
) -> Mean:
    model = Mean(labels, float(np.mean([float(target) for target in train.labels])))
    progress(1, 1, {})
    return model
