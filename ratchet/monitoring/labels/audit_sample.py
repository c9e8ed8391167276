"""Which live texts belong to the random audit, whose labels may judge: texts enter, a flag for each leaves.

The audit is the first part of the split's own hash range, so it lies inside the holdout's side and never trains. A hash
knows nothing of what a text says, of when it came, or of what a model made of it: its texts are a random sample of
the distinct ones. Live texts have no group; where rows are split by group, a text goes by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ratchet.data.prepare import split
from ratchet.project.data_pin import SplitSpec

Flags = NDArray[np.bool_]


def is_audited(texts: Sequence[str], spec: SplitSpec, share: float) -> Flags:
    """Whether each text is in the audit. share: of the distinct texts; of the holdout's share it takes all at most."""
    return places(texts, spec) < min(share, spec.holdout)


def may_train(texts: Sequence[str], spec: SplitSpec) -> Flags:
    """Whether each text is on the side that trains, so that its label can teach anything."""
    return places(texts, spec) >= spec.holdout + spec.validation


def places(texts: Sequence[str], spec: SplitSpec) -> NDArray[np.float64]:
    """The number in [0, 1) on which the side of each text hangs, the same as that of a row without a group."""
    frame = pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)})
    return split.places(frame, replace(spec, by="text"))
