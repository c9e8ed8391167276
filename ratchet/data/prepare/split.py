"""Split rows into train, validation and holdout: a frame enters, the same frame with a column `split` leaves.

A row's side is decided by a hash of its group (of its text where there is none) and of the salt, so it depends on no
other row: no row changes its side as data grows, and neither near-copies nor one group can be on two sides. The hash is
BLAKE2b (RFC 7693), which is the same in every version of Python; hashes of a data-frame library may change with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.text.normalise import compared_form
from ratchet.problem.data_pin import SplitSpec

Floats = NDArray[np.float64]


def assign_sides(frame: pl.DataFrame, spec: SplitSpec) -> pl.DataFrame:
    """The frame with a column `split`; a row without a group is split by its text.

    Raises:
        ValueError: the rows are to be split by group, and there is no such column.
    """
    ends = (spec.holdout, spec.holdout + spec.validation)
    sides = np.array(["holdout", "validation", "train"])[np.searchsorted(ends, places(frame, spec), side="right")]
    return frame.with_columns(pl.Series("split", sides.tolist(), dtype=pl.String))


def places(frame: pl.DataFrame, spec: SplitSpec) -> Floats:
    """The number in [0, 1) that decides each row's side, the same for all rows of a group or of a text.

    Raises:
        ValueError: the rows are to be split by group, and there is no such column.
    """
    keys = _keys(frame, spec).alias("key")
    distinct = keys.unique()
    places = pl.DataFrame({"key": distinct, "place": _places(distinct.to_list(), spec.salt)})
    return keys.to_frame().join(places, on="key", how="left", maintain_order="left")["place"].to_numpy()


def first(batches: Iterable[pl.DataFrame], spec: SplitSpec, most: int) -> tuple[pl.DataFrame, int]:
    """The `most` rows with the lowest places, in their own order, and the number of all rows.

    As data grows, most of these rows stay the same. Groups stay together, except for the last.
    """
    kept = pl.DataFrame()
    kept_places = np.zeros(0)
    rows = 0
    for frame in batches:
        rows += frame.height
        kept = pl.concat([kept, frame]) if kept.width else frame
        if rows > most:
            kept_places = np.concatenate([kept_places, places(kept[len(kept_places) :], spec)])
            lowest = np.sort(np.argsort(kept_places, kind="stable")[:most])
            kept = kept[lowest]
            kept_places = kept_places[lowest]
    return kept, rows


def _keys(frame: pl.DataFrame, spec: SplitSpec) -> pl.Series:
    """The key of each row's side, with a prefix for its kind, so that a group named like a text is another key."""
    texts = "text:" + compared_form(frame["text"])
    if spec.by == "text":
        return texts
    if "group" not in frame.columns:
        raise ValueError(
            f"A split by group needs a column `group`. Received: {frame.columns}. "
            "Name the group column, or split by text."
        )
    return frame.select(pl.coalesce("group:" + pl.col("group"), texts)).to_series()


def _places(keys: Sequence[str], salt: str) -> Floats:
    """A number in [0, 1) for each key, from the key and the salt alone."""
    secret = blake2b(salt.encode(), digest_size=32).digest()
    hashed = b"".join([blake2b(key.encode(), digest_size=8, key=secret).digest() for key in keys])
    return np.frombuffer(hashed, ">u8").astype(np.float64) / 2**64
