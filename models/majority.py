"""The baseline: for every text the class shares of the training rows.

Labels enter, the same probabilities for every text leave. A model that does not beat it has learnt nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.contract import Progress, Rows

TASK = "classify"
SUMMARY = "Always the commonest class: the bar that every other model must clear."
NEEDS: tuple[str, ...] = ()


@dataclass(frozen=True)
class Params:
    """No hyperparameters."""


SPACE: dict[str, tuple[Any, ...]] = {}


@dataclass(frozen=True)
class Majority:
    """The fitted baseline.

    Attributes:
        labels: the class names.
        shares: the share of each label among the training rows, in the order of `labels`.
    """

    labels: tuple[str, ...]
    shares: tuple[float, ...]

    def predict(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return np.tile(np.array(self.shares, np.float64), (len(texts), 1))

    def save(self, folder: Path) -> None:
        """Write model.json."""
        about = {"model": "majority", "labels": self.labels, "params": {}, "shares": self.shares}
        (folder / "model.json").write_text(json.dumps(about, ensure_ascii=False, indent=1), encoding="utf-8")


def load(folder: Path) -> Majority:
    """The model that `save` wrote there."""
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    return Majority(tuple(about["labels"]), tuple(about["shares"]))


def fit(
    train: Rows, validation: Rows, labels: tuple[str, ...], params: Params, *, seed: int, progress: Progress
) -> Majority:
    """Count the labels of the training rows; everything else is ignored.

    Raises:
        ValueError: there are no training rows.
    """
    if not len(train):
        raise ValueError("A model needs training rows. Received: none. Check how the rows were split.")
    counts = Counter(train.labels)
    model = Majority(labels, tuple(counts[label] / len(train) for label in labels))
    progress(1, 1, {})
    return model
