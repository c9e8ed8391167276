"""Small tables of every flaw, and the batches that they are cut into: drawn by Hypothesis."""

from __future__ import annotations

import polars as pl
from hypothesis import strategies as st

from ratchet.problem import data_pin

TEXT = st.none() | st.sampled_from(
    ["One", " one", "ONE ", "two", "", " ", "\x00", "cafÃ©", "a@b.org", "漢 字", "x" * 100_001]
)
LABEL = st.none() | st.sampled_from(["a", " a", "b", "c", " "])
GROUP = st.none() | st.sampled_from(["g", "h", "i"])
SIDE = st.sampled_from(data_pin.SPLITS)
TABLES = st.lists(st.tuples(TEXT, LABEL, GROUP, SIDE), max_size=12)
SIZES = st.integers(1, 5)


def frame_of(table_rows: list[tuple[str | None, ...]]) -> pl.DataFrame:
    names = ("text", "label", "group", "split")
    frame = pl.DataFrame(table_rows, schema=dict.fromkeys(names, pl.String), orient="row")
    return frame.with_row_index("row", offset=1)


def cut(frame: pl.DataFrame, size: int) -> list[pl.DataFrame]:
    """The frame in batches of that many rows; an empty one is one empty batch."""
    return list(frame.iter_slices(size)) or [frame]
