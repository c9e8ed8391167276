"""One hash of all that a model answered, to tell whether another training gave the very same model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from ratchet.judging.metrics import Floats


def digest(labels: Sequence[str], probabilities: Floats) -> str:
    """SHA-256, in hexadecimal, of the labels and of every probability exactly as it is: float64, row by row."""
    exact = np.ascontiguousarray(probabilities, dtype="<f8")
    return hashlib.sha256(json.dumps([list(labels), exact.shape]).encode() + exact.tobytes()).hexdigest()
