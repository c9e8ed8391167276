"""Facts of each row of a table (lengths, damage, copies, private data), and which rows are set aside.

A frame with `text` and `label` enters, optionally with `group` and `split`. A frame of the same rows in the same order
leaves, with one column a fact and without the texts, so that nothing that validates or prints facts can leak a text.
`row` is the row's number in the source table, from 1, or that of the frame where it has one. `measure` takes a table in
memory; ratchet/data/prepare/table_facts.py computes the same for a table that comes in batches, from `row_only_facts`.
"""

from __future__ import annotations

import polars as pl

from models.text.normalise import normal_form
from models.text.redact import looks_private

MAX_CHARACTERS = 100_000
"""Most characters of a valid text, about forty printed pages: a longer one is more often a file in the wrong column."""

MOJIBAKE = r"Ã[\x{80}-\x{BF}ŒœŠšŸŽžƒ€‚„…†‡ˆ‰‹‘’“”•–—˜™›]|Â[\x{80}-\x{BF}]|â€|ï»¿|ï¿½|ðŸ"
"""UTF-8 that was read as Latin-1 or Windows-1252: é is Ã©, ’ is â€™, a byte order mark is ï»¿."""

CONTROL = r"[\x00-\x08\x0E-\x1F\x7F]"
"""Control characters other than white space: in a text they are damage."""

REASONS = {
    "missing_text": "missing text",
    "missing_label": "missing label",
    "blank": "blank text",
    "overlong": "overlong text",
    "control": "control characters",
}
"""The facts that set a row aside -> the reason; the first that holds is given."""

KEY = "_key"
"""The column of texts in compared form; `measure` drops it, so that no text is among the facts."""

_KEPT = ("row", "label", "group", "split", "label_source")


def measure(frame: pl.DataFrame, max_characters: int = MAX_CHARACTERS) -> pl.DataFrame:
    """The facts of each row.

    Raises:
        ValueError: the frame has no column `text` or no column `label`.
    """
    known = row_only_facts(frame, max_characters)
    facts = known.with_columns(*_classes(known), *_copies(known), *_crossings(known))
    return facts.drop(KEY)


def row_only_facts(frame: pl.DataFrame, max_characters: int = MAX_CHARACTERS) -> pl.DataFrame:
    """The facts that depend on no other row, and the text in compared form as `_key`.

    Raises:
        ValueError: the frame has no column `text` or no column `label`.
    """
    if not {"text", "label"} <= set(frame.columns):
        raise ValueError(f"Facts need the columns text and label. Received: {frame.columns}. Load the table first.")
    numbered = frame if "row" in frame.columns else frame.with_row_index("row", offset=1)
    known = numbered.select(column for column in ("text", *_KEPT) if column in numbered.columns)
    scanned = known.with_columns(*_shape(max_characters), *_damage(), *looks_private(known["text"]))
    scanned = scanned.with_columns(compared_form(known["text"]).alias(KEY), _missing_group(known))
    return scanned.with_columns(_words(), *_staying()).drop("text")


def flaws(frame: pl.DataFrame, max_characters: int = MAX_CHARACTERS) -> pl.DataFrame:
    """The facts that set a row aside, and no others: all that `set_aside` needs."""
    return frame.select(
        "row", *(fact for fact in (*_shape(max_characters), *_damage()) if fact.meta.output_name() in REASONS)
    )


def compared_form(text: pl.Series) -> pl.Series:
    """The compared form of texts: in normal form, then in lower case. Texts are the same where it is."""
    return normal_form(text).str.to_lowercase()


def _shape(max_characters: int) -> list[pl.Expr]:
    text, label = pl.col("text"), pl.col("label")
    return [
        text.str.len_chars().alias("characters"),
        text.is_null().alias("missing_text"),
        (~label.str.contains(r"\S")).fill_null(True).alias("missing_label"),
        (~text.str.contains(r"[^\s\p{Cc}\p{Cf}]")).fill_null(False).alias("blank"),
        (text.str.len_chars() > max_characters).fill_null(False).alias("overlong"),
        (label != label.str.strip_chars()).fill_null(False).alias("padded_label"),
    ]


def _missing_group(known: pl.DataFrame) -> pl.Expr:
    """Whether a row of the owner's table has no group; a row of feedback needs none."""
    missing = pl.col("group").is_null() if "group" in known.columns else pl.lit(True)
    own = pl.col("label_source") == "original" if "label_source" in known.columns else pl.lit(True)
    return (missing & own).alias("missing_group")


def _damage() -> list[pl.Expr]:
    text = pl.col("text")
    control = text.str.contains(CONTROL).fill_null(False)
    replaced = text.str.contains("\N{REPLACEMENT CHARACTER}", literal=True).fill_null(False)
    mojibake = text.str.contains(MOJIBAKE).fill_null(False)
    return [
        control.alias("control"),
        replaced.alias("replaced"),
        mojibake.alias("mojibake"),
        (replaced | mojibake).alias("damaged"),
    ]


def _words() -> pl.Expr:
    """The number of words, separated by white space, which the compared form reduces to one space."""
    key = pl.col(KEY)
    return pl.when(key == "").then(0).otherwise(key.str.count_matches(" ", literal=True) + 1).alias("words")


def _copies(known: pl.DataFrame) -> list[pl.Series]:
    """`duplicate`: a copy of an earlier row's text. `conflict`: a text whose copies have different labels."""
    duplicate = known.select((~pl.col(KEY).is_first_distinct() & pl.col(KEY).is_not_null()).alias("duplicate"))
    copied = known.filter(duplicate["duplicate"])[KEY].unique()
    labels = known.filter(pl.col(KEY).is_in(copied.implode())).group_by(KEY).agg(pl.col("label").n_unique())
    conflicting = labels.filter(pl.col("label") > 1)[KEY]
    conflict = known.select(pl.col(KEY).is_in(conflicting.implode()).fill_null(False).alias("conflict"))
    return [duplicate["duplicate"], conflict["conflict"]]


def _staying() -> list[pl.Expr]:
    """`set_aside`: whether a row will be set aside. `class`: the label of a row that will not."""
    aside = pl.any_horizontal(*REASONS)
    return [pl.when(~aside).then(pl.col("label")).alias("class"), aside.alias("set_aside")]


def _classes(known: pl.DataFrame) -> list[pl.Series]:
    """Rows of each row's class, as a number and as a share of the valid rows; null for a row that is set aside."""
    rows, present = pl.col("class").count().over("class"), pl.col("class").is_not_null()
    facts = known.select(
        pl.when(present).then(rows).alias("class_rows"),
        pl.when(present).then(rows / pl.col("class").count()).alias("class_share"),
    )
    return facts.get_columns()


def _crossings(known: pl.DataFrame) -> list[pl.Expr]:
    """Whether a row's text, or its group, is in more than one split."""
    if "split" not in known.columns:
        return []
    group = _crosses("group") if "group" in known.columns else pl.lit(False)
    return [_crosses(KEY).alias("text_crosses"), group.alias("group_crosses")]


def _crosses(key: str) -> pl.Expr:
    return (pl.col("split").n_unique().over(key) > 1) & pl.col(key).is_not_null()


def set_aside(frame: pl.DataFrame, facts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Divide a frame by its facts.

    Returns:
        The valid rows; and the others, with columns `reason` and `row`.

    Raises:
        ValueError: the facts are not those of this frame.
    """
    if facts.height != frame.height:
        raise ValueError(
            f"A frame and its facts must have the same rows. Received: {frame.height:,} rows, "
            f"facts of {facts.height:,}. Measure the frame again."
        )
    reason = reasons(facts)
    numbered = frame.with_columns(facts["row"], reason)
    return frame.filter(reason.is_null()), numbered.filter(reason.is_not_null())


def reasons(facts: pl.DataFrame) -> pl.Series:
    """The reason why each row is set aside, the first that holds; null for a valid row."""
    reason = pl.coalesce(_reason(fact, words) for fact, words in REASONS.items())
    return facts.select(reason.alias("reason")).to_series()


def _reason(fact: str, words: str) -> pl.Expr:
    return pl.when(pl.col(fact)).then(pl.lit(words))
