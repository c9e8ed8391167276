"""placeholder"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Choice:
    index: int
    chance: float


def choose(texts: Sequence[str], doubts: Sequence[float], most: int, seed: int) -> list[Choice]:
    order = np.argsort(-np.asarray(doubts))[:most]
    return [Choice(int(i), 0.5) for i in order]
