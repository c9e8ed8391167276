"""Which rows of a long table have the same key, and do those agree? Exact, in memory that hardly grows with the table.

Keys enter batch by batch, with one mark or more for each (a label, a split). Two arrays of yes or no leave: whether a
row's key came before, and whether rows of its key differ in a mark. A key is known by 128 bits of BLAKE2b (RFC 7693),
so two different ones among ten million would be taken for one with a chance of 1.5e-25 (n**2 / 2**129). Hashes are
sorted part by part, each part those with the same first bits; what waits for that lies on disk, once it is more than
a small table would need. What stays in memory is a byte or two a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

PARTS = 32
"""At ten million rows a part has some 300,000."""

IN_MEMORY = 1 << 20
"""Bytes of a part that wait in memory and not on disk."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class KeyMatches:
    """repeated: the key came in an earlier row. torn: by mark, rows of this key differ in it. A row without a key: no.

    torn_keys: by mark, how many keys are torn.
    """

    repeated: Flags
    torn: dict[str, Flags]
    torn_keys: dict[str, int]


class KeyIndex:
    """Takes keys and marks, batch by batch, and finds the matches when all are there."""

    def __init__(self, marks: Sequence[str], folder: Path) -> None:
        self._marks = tuple(marks)
        self._record = np.dtype([(name, np.uint64) for name in ("high", "low", "row", *self._marks)])
        self._parts: list[Any] = [SpooledTemporaryFile(IN_MEMORY, dir=str(folder)) for _ in range(PARTS)]  # noqa: SIM115
        self._rows = 0

    def add(self, keys: pl.Series, marks: pl.DataFrame) -> None:
        """The next rows; a missing key matches nothing, a missing mark is a mark of its own."""
        there = keys.is_not_null().arg_true().to_numpy()
        records = np.empty(len(there), self._record)
        records["high"], records["low"] = _digests(keys.drop_nulls().to_list()).T
        records["row"] = there + np.uint64(self._rows)
        for mark in self._marks:
            records[mark] = _marked(marks[mark])[there]
        part = (records["high"] >> np.uint64(59)).astype(np.intp)
        order = np.argsort(part, kind="stable")
        ends = np.searchsorted(part[order], np.arange(PARTS + 1))
        for at, file in enumerate(self._parts):
            file.write(records[order[ends[at] : ends[at + 1]]].tobytes())
        self._rows += len(keys)

    def found(self) -> KeyMatches:
        """What the rows have in common; nothing can be added afterwards."""
        repeated = np.zeros(self._rows, np.bool_)
        torn = {mark: np.zeros(self._rows, np.bool_) for mark in self._marks}
        torn_keys = dict.fromkeys(self._marks, 0)
        for file in self._parts:
            with file:
                file.seek(0)
                records = np.frombuffer(file.read(), self._record)
            records = records[np.lexsort((records["low"], records["high"]))]  # stable: rows of a key stay in order
            fresh = np.ones(len(records), np.bool_)
            fresh[1:] = (np.diff(records["high"]) != 0) | (np.diff(records["low"]) != 0)
            repeated[records["row"][~fresh]] = True
            key = np.cumsum(fresh) - 1
            first = np.flatnonzero(fresh)[key]
            for mark in self._marks:
                differs = np.bincount(key, records[mark] != records[mark][first]) > 0
                torn[mark][records["row"][differs[key]]] = True
                torn_keys[mark] += int(differs.sum())
        return KeyMatches(repeated, torn, torn_keys)


def _digests(keys: Sequence[str], size: int = 16) -> NDArray[np.uint64]:
    """The hash of each key as numbers of 64 bits, shape (keys, size / 8)."""
    joined = b"".join([blake2b(key.encode("utf-8", "surrogatepass"), digest_size=size).digest() for key in keys])
    return np.frombuffer(joined, ">u8").astype(np.uint64).reshape(len(keys), size // 8)


def _marked(marks: pl.Series) -> NDArray[np.uint64]:
    """64 bits that stand for each mark; few marks are many rows', so each is hashed once a batch."""
    different = marks.unique(maintain_order=True)
    codes = pl.Series(_digests([f"{mark is None:d}{mark}" for mark in different], 8)[:, 0], dtype=pl.UInt64)
    place = pl.DataFrame({"mark": different, "code": codes})
    found = marks.alias("mark").to_frame().join(place, on="mark", how="left", nulls_equal=True, maintain_order="left")
    return found["code"].to_numpy()
