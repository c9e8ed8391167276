"""Which rows train, which validate, which judge: a frame enters, the same frame with a column `split` leaves.

A row's split is a hash of its group (of its text where there is none) and of the salt, so it depends on no
other row: as data grows no row moves, and neither near-copies nor one group can be on two sides. The hash
is BLAKE2b (RFC 7693), which every version of Python computes alike; hashes of a data-frame library may
change with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ratchet.data.prepare.row_facts import compared
from ratchet.project.data_pin import SplitSpec

Floats = NDArray[np.float64]


def assign(frame: pl.DataFrame, spec: SplitSpec) -> pl.DataFrame:
    """The frame with a column `split`; a row without a group goes by its text.

    Raises:
        ValueError: the rows are to be split by group, and there is no such column.
    """
    ends = (spec.holdout, spec.holdout + spec.validation)
    sides = np.array(["holdout", "validation", "train"])[np.searchsorted(ends, places(frame, spec), side="right")]
    return frame.with_columns(pl.Series("split", sides.tolist(), dtype=pl.String))


def places(frame: pl.DataFrame, spec: SplitSpec) -> Floats:
    """The number in [0, 1) on which each row's split hangs, the same for all rows of a group or of a text.

    Raises:
        ValueError: the rows are to be split by group, and there is no such column.
    """
    keys = _keys(frame, spec).alias("key")
    names = keys.unique()
    known = pl.DataFrame({"key": names, "place": _places(names.to_list(), spec.salt)})
    return keys.to_frame().join(known, on="key", how="left", maintain_order="left")["place"].to_numpy()


def first(batches: Iterable[pl.DataFrame], spec: SplitSpec, most: int) -> tuple[pl.DataFrame, int]:
    """Of rows that come in batches, the `most` with the lowest places, in the order in which they came; and how many
    came.

    Which rows these are hangs on no other row's being there, but for the last place that has room; so as data grows
    most of them stay the same ones. Groups stay together, but for the last.
    """
    kept, where, came = pl.DataFrame(), np.zeros(0), 0
    for frame in batches:
        came += frame.height
        kept = pl.concat([kept, frame]) if kept.width else frame
        if came > most:
            where = np.concatenate([where, places(kept[len(where) :], spec)])
            lowest = np.sort(np.argsort(where, kind="stable")[:most])
            kept, where = kept[lowest], where[lowest]
    return kept, came


def _keys(frame: pl.DataFrame, spec: SplitSpec) -> pl.Series:
    """What each row's split hangs on, marked by its kind so that a group named like a text is not that
    text."""
    texts = "text:" + compared(frame["text"])
    if spec.by == "text":
        return texts
    if "group" not in frame.columns:
        raise ValueError(
            f"A split by group needs a column `group`. Received: {frame.columns}. "
            "Name the group column, or split by text."
        )
    return frame.select(pl.coalesce("group:" + pl.col("group"), texts)).to_series()


def _places(keys: Sequence[str], salt: str) -> Floats:
    """Numbers in [0, 1) that only the key and the salt decide."""
    secret = blake2b(salt.encode(), digest_size=32).digest()
    hashed = b"".join([blake2b(key.encode(), digest_size=8, key=secret).digest() for key in keys])
    return np.frombuffer(hashed, ">u8").astype(np.float64) / 2**64
