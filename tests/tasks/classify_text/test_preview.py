"""What a preview says of texts."""

from __future__ import annotations

import polars as pl
import pytest

from ratchet.tasks.classify_text.preview import languages


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (
            ["The film was a warm and witty surprise to everybody.", "I would not watch it a second time."],
            "English 100%",
        ),
        (["这个电影很好看，我非常喜欢它", "质量太差了，再也不会买第二次"], "Chinese 100%"),
        (["Elle a trouvé le film vraiment réussi.", "The film was a warm and witty surprise."], "French 50%"),
        (["ok", "12 34", ""], "too short to tell"),
    ],
)
def test_languages_are_told_by_name(texts: list[str], said: str) -> None:
    assert said in languages(pl.Series("text", texts * 20))
