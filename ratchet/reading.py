"""A table in any of the usual forms -> a frame of texts: CSV, TSV, JSON lines, Parquet, or a glob of them."""

from __future__ import annotations

import glob
from collections.abc import Callable
from pathlib import Path

import polars as pl

from ratchet.refusal import Refusal

READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    ".csv": lambda path: pl.read_csv(path, infer_schema=False),
    ".tsv": lambda path: pl.read_csv(path, infer_schema=False, separator="\t"),
    ".jsonl": lambda path: pl.read_ndjson(path, infer_schema_length=None),
    ".ndjson": lambda path: pl.read_ndjson(path, infer_schema_length=None),
    ".parquet": lambda path: pl.read_parquet(path),
}


def read_any(source: str | Path) -> pl.DataFrame:
    """All rows of one table, or of all that a glob names, in the order of their names.

    Raises:
        Refusal: there is no such file, its kind is unknown, or it cannot be read as that kind.
    """
    named = Path(source)
    paths = [named] if named.exists() else [Path(name) for name in sorted(glob.glob(str(source)))]
    if not paths:
        raise Refusal(
            "A table must be a file, or a glob of files.", f"{source}: no such file", "Name one that is there."
        )
    return pl.concat([read_one(path) for path in paths], how="diagonal_relaxed")


def read_one(path: Path) -> pl.DataFrame:
    reader = READERS.get(path.suffix.lower())
    if path.is_dir() or reader is None:
        raise Refusal(
            f"A table must be one of {', '.join(READERS)}.",
            f"the folder {path}" if path.is_dir() else str(path),
            "Name a file of one of these kinds.",
        )
    try:
        return reader(path)
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise Refusal(
            f"{path} must be a {path.suffix[1:].upper()} table in UTF-8.",
            " ".join(str(error).split())[:300],
            "Mend the file.",
        ) from None
