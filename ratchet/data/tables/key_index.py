"""Find rows of a long table that have the same key, exactly, in memory that hardly grows with the table.

Keys enter batch by batch, each with one or more marks (a label, a split). Boolean arrays leave: whether a row's key
came in an earlier row, and whether the rows of its key differ in a mark. A key is identified by 128 bits of BLAKE2b
(RFC 7693), so among ten million keys two would be mixed up with a probability of 1.5e-25 (n**2 / 2**129). Hashes are
sorted part by part, each part those with the same first bits; the parts wait on disk once they are larger than those of
a small table. A byte or two a row stay in memory.
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
"""Number of parts; at ten million rows a part has some 300,000."""

IN_MEMORY = 1 << 20
"""Most bytes of a part that wait in memory and not on disk."""

KEY = ("high", "low")
"""The two halves of a key's hash."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class KeyMatches:
    """Which rows have the same key; a row without a key matches none.

    Attributes:
        duplicate: for each row whether its key came in an earlier row.
        conflict: mark -> for each row whether the rows of its key differ in that mark.
        conflicting_keys: mark -> how many keys have rows that differ in it.
    """

    duplicate: Flags
    conflict: dict[str, Flags]
    conflicting_keys: dict[str, int]


class KeyIndex:
    """Collects keys and marks batch by batch, and matches them at the end."""

    def __init__(self, marks: Sequence[str], folder: Path) -> None:
        self._marks = tuple(marks)
        self._record = np.dtype([(name, np.uint64) for name in (*KEY, "row", *self._marks)])
        self._parts: list[Any] = [SpooledTemporaryFile(IN_MEMORY, dir=str(folder)) for _ in range(PARTS)]  # noqa: SIM115
        self._rows = 0

    def add(self, keys: pl.Series, marks: pl.DataFrame) -> None:
        """Add the next rows; a null key matches nothing, a null mark is a mark of its own."""
        present = keys.is_not_null().arg_true().to_numpy()
        records = np.empty(len(present), self._record)
        records["high"], records["low"] = _digests(keys.drop_nulls()).T
        records["row"] = present + np.uint64(self._rows)
        for mark in self._marks:
            records[mark] = _mark_codes(marks[mark])[present]
        part = (records["high"] >> np.uint64(59)).astype(np.intp)
        order = np.argsort(part, kind="stable")
        ends = np.searchsorted(part[order], np.arange(PARTS + 1))
        for at, file in enumerate(self._parts):
            file.write(records[order[ends[at] : ends[at + 1]]].tobytes())
        self._rows += len(keys)

    def match(self) -> KeyMatches:
        """Match all rows; nothing can be added afterwards."""
        return self.match_among(np.ones(self._rows, np.bool_))[0]

    def match_among(self, *subsets: Flags) -> list[KeyMatches]:
        """Match the rows of each subset among themselves; one sort serves all, and nothing can be added afterwards."""
        found = [self._no_matches() for _ in subsets]
        for file in self._parts:
            with file:
                file.seek(0)
                records = np.frombuffer(file.read(), self._record)
            records = records[np.lexsort((records["low"], records["high"]))]  # stable: rows of a key stay in order
            for subset, matches in zip(subsets, found, strict=True):
                self._match_sorted(records[subset[records["row"]]], matches)
        return found

    def _no_matches(self) -> KeyMatches:
        conflict = {mark: np.zeros(self._rows, np.bool_) for mark in self._marks}
        return KeyMatches(np.zeros(self._rows, np.bool_), conflict, dict.fromkeys(self._marks, 0))

    def _match_sorted(self, records: NDArray[np.void], matches: KeyMatches) -> None:
        """Note the matches among the records of one part, which are sorted by key and row."""
        fresh = np.ones(len(records), np.bool_)
        fresh[1:] = (np.diff(records["high"]) != 0) | (np.diff(records["low"]) != 0)
        matches.duplicate[records["row"][~fresh]] = True
        key = np.cumsum(fresh) - 1
        first = np.flatnonzero(fresh)[key]
        for mark in self._marks:
            differs = np.bincount(key, records[mark] != records[mark][first]) > 0
            matches.conflict[mark][records["row"][differs[key]]] = True
            matches.conflicting_keys[mark] += int(differs.sum())


def digests(keys: pl.Series) -> pl.DataFrame:
    """The 128 bits of each key in two columns KEY; null for a null key."""
    present = keys.is_not_null()
    halves = np.zeros((len(keys), len(KEY)), np.uint64)
    halves[present.to_numpy()] = _digests(keys.drop_nulls())
    columns = {name: pl.Series(half) for name, half in zip(KEY, halves.T, strict=True)}
    return pl.DataFrame(columns).with_columns(pl.when(present).then(pl.col(KEY)))


def _digests(keys: pl.Series, size: int = 16) -> NDArray[np.uint64]:
    """The hash of each key as 64-bit numbers, shape (keys, size / 8)."""
    joined = b"".join([blake2b(key, digest_size=size).digest() for key in keys.cast(pl.Binary).to_list()])
    return np.frombuffer(joined, ">u8").astype(np.uint64).reshape(len(keys), size // 8)


def _mark_codes(marks: pl.Series) -> NDArray[np.uint64]:
    """A 64-bit code of each mark; many rows share few marks, so each mark is hashed once a batch."""
    distinct = marks.unique(maintain_order=True)
    named = pl.Series([f"{mark is None:d}{mark}" for mark in distinct], dtype=pl.String)
    codes = pl.Series(_digests(named, 8)[:, 0], dtype=pl.UInt64)
    table = pl.DataFrame({"mark": distinct, "code": codes})
    joined = marks.alias("mark").to_frame().join(table, on="mark", how="left", nulls_equal=True, maintain_order="left")
    return joined["code"].to_numpy()
