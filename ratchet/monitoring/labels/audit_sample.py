"""Membership of live texts in the random audit, whose labels may judge: texts enter, a flag for each leaves.

The audit is the first part of the split's hash range, so it lies within the holdout and never trains. A hash does not
depend on the content of a text, its time or a model's answer, so the audit is a random sample of the distinct texts.
Live texts have no group; if rows are split by group, a live text is a group of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ratchet.data.prepare import split
from ratchet.problem.data_pin import SplitSpec

Flags = NDArray[np.bool_]


def is_audited(texts: Sequence[str], spec: SplitSpec, share: float) -> Flags:
    """Whether each text is in the audit.

    Args:
        share: Share of the distinct texts, at most the share of the holdout.
    """
    return places(texts, spec) < min(share, spec.holdout)


def may_train(texts: Sequence[str], spec: SplitSpec) -> Flags:
    """Whether each text belongs to the training side, so that its label may train."""
    return places(texts, spec) >= spec.holdout + spec.validation


def places(texts: Sequence[str], spec: SplitSpec) -> NDArray[np.float64]:
    """The hash in [0, 1) that determines the side of each text, as of a row without a group."""
    frame = pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)})
    return split.places(frame, replace(spec, by="text"))
