"""What drift compares of numbers: each of the inputs, and the answer."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from ratchet.tasks.values import Answered, Signal

HAS_TEXTS = False


def of_answers(answered: Answered) -> Sequence[Signal]:
    return (Signal("number", answered.answers.astype(np.float64)),)


def of_inputs(inputs: Sequence[str]) -> Sequence[Signal]:
    rows = [json.loads(row) for row in inputs]
    return tuple(Signal(name, np.array([row[name] for row in rows], np.float64)) for name in sorted(rows[0]))
