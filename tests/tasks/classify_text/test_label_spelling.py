"""Labels as people type them: white space goes, and spellings are refused or merged."""

from __future__ import annotations

import polars as pl
import pytest

from ratchet.project.errors import Refusal
from ratchet.tasks.classify_text import label_spelling


def test_labels_lose_the_white_space_around_them() -> None:
    labels, padded = label_spelling.strip_labels(pl.Series("label", ["good ", "good", "\u00a0bad", "  ", None]))
    assert labels.to_list() == ["good", "good", "bad", None, None]
    assert padded == 3
    label_spelling.refuse_spellings(labels, "make data")


def test_labels_that_differ_only_in_case_are_refused_with_their_rows() -> None:
    with pytest.raises(Refusal, match=r"'good' \(2 rows\) / 'GOOD' \(1 rows\) / 'Good' \(1 rows\)"):
        label_spelling.refuse_spellings(
            pl.Series("label", ["good", "GOOD", "good", "Good", "bad"]), "make data MERGE=yes"
        )


def test_labels_are_merged_into_the_commonest_spelling_when_asked() -> None:
    typed = pl.Series("label", ["Good", "GOOD", "good", "good", "bad", None])
    merged, lines = label_spelling.merge_spellings(typed)
    assert merged.to_list() == ["good", "good", "good", "good", "bad", None]
    assert lines == ["Merged into 'good': 'GOOD', 'Good'."]
    assert label_spelling.spellings(merged) == []
