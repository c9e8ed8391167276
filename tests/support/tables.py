"""Tables of a few rows: good ones, ones that are bad in each way that a rule speaks of, and any that is spelt out."""

from __future__ import annotations

import polars as pl

from expectations import rules_of
from ratchet import tasks

ROWS = 200
CLASSIFY = tasks.get("classify")
RULES = rules_of(CLASSIFY, ("good", "bad"), grouped=True)
Row = dict[str, str | None]


def frame_of(
    texts: list[str | None], labels: list[str | None] | None = None, **columns: list[str | None]
) -> pl.DataFrame:
    """A table of these texts, all of one label where none is told."""
    rows = {"text": texts, "label": labels or ["a"] * len(texts), **columns}
    return pl.DataFrame(rows, schema=dict.fromkeys(rows, pl.String))


def queue_table(**columns: list[str]) -> pl.DataFrame:
    """A table of 60 rows: an id, a body and a queue, with others added or put in their place."""
    common = {
        "id": [str(1000 + n) for n in range(60)],
        "body": [f"A text of some length, number {n}" for n in range(60)],
        "queue": [f"q{n % 3}" for n in range(60)],
    }
    return pl.DataFrame(common | columns)


def raw_rows() -> list[Row]:
    """A good table: 200 different texts, two even classes, 20 groups."""
    return [
        {"text": f"text number {at}", "label": RULES.labels[at % 2], "group": f"group {at % 20}"} for at in range(ROWS)
    ]


def prepared_rows() -> list[Row]:
    """The same, with groups 0 to 15 for training and two each to validate and to judge."""
    sides = ["train"] * 16 + ["validation"] * 2 + ["holdout"] * 2
    return [dict(row, split=sides[at % 20]) for at, row in enumerate(raw_rows())]


def changed(rows: list[Row], count: int, **values: str | None) -> list[Row]:
    """The rows with those values in the first `count`; `{at}` in a value is the row's number."""
    return [
        row | {name: value and value.replace("{at}", str(at)) for name, value in values.items()} if at < count else row
        for at, row in enumerate(rows)
    ]


BAD_TABLES = {
    "no rows": ([], "The table has rows."),
    "too many bad rows": (changed(raw_rows(), 30, text=""), "At most 10% of the rows have to be set aside."),
    "read as Latin-1": (
        changed(raw_rows(), 30, text="cafÃ© {at}"),
        "At most 10% of the texts show encoding damage",
    ),
    "one class": (changed(raw_rows(), ROWS, label="good"), "There are 2 to 1,000 classes."),
    "a class that is all blank": (
        [row | {"text": ""} if row["label"] == "bad" else row for row in raw_rows()],
        "There are 2 to 1,000 classes.",
    ),
    "an unknown label": (changed(raw_rows(), 3, label="odd"), "Every label is a declared one."),
    "no group column": (
        [{"text": r["text"], "label": r["label"]} for r in raw_rows()],
        "The declared group column",
    ),
}
BAD_ROWS: dict[str, tuple[Row, str]] = {
    "missing text": ({"text": None}, "Every row has a text."),
    "missing label": ({"label": None}, "Every row has a label."),
    "blank text": ({"text": " \t\u00a0"}, "No text is blank."),
    "overlong text": ({"text": "word " * 20_001}, "No text is too long to be one text."),
    "control characters": ({"text": "a\x00b"}, "No text holds control characters such as NUL."),
}
BAD_PREPARED = {
    "a blank text": (changed(prepared_rows(), 1, text=""), "Every row has a sound text and a label."),
    "a copy": ([*prepared_rows(), prepared_rows()[0]], "No text is there twice."),
    "two labels": (changed(prepared_rows(), 2, text="same"), "No text has two labels."),
    "no holdout": (
        [row for row in prepared_rows() if row["split"] != "holdout"],
        "Each of train, validation and holdout has rows, and there is no other split.",
    ),
    "a strange split": (
        changed(prepared_rows(), 1, split="test"),
        "Each of train, validation and holdout has rows, and there is no other split.",
    ),
    "a text on two sides": (
        [*prepared_rows(), prepared_rows()[0] | {"split": "holdout", "group": "new"}],
        "No text is in two splits.",
    ),
    "a group on two sides": (changed(prepared_rows(), 1, split="holdout"), "No group is in two splits."),
    "a class that training lacks": (
        [row for row in prepared_rows() if (row["split"], row["label"]) != ("train", "bad")],
        "The train rows have every class.",
    ),
    "an undeclared class": (changed(prepared_rows(), 2, label="odd"), "The classes are the declared ones."),
    "no rows": ([], "Each of train, validation and holdout has rows, and there is no other split."),
}
ALL_TABLES = {f"raw, {name}": ("raw", rows) for name, (rows, _) in BAD_TABLES.items()}
ALL_TABLES |= {f"prepared, {name}": ("prepared", rows) for name, (rows, _) in BAD_PREPARED.items()}
ALL_TABLES["raw, good"] = ("raw", raw_rows())
