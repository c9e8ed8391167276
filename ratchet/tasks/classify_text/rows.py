"""What a row of texts to classes is: its columns, its facts (length, damage, private data), and their rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from models.text.redact import looks_private
from ratchet.tasks.classify_text import column_guess, label_spelling
from ratchet.tasks.classify_text.columns import Columns
from ratchet.tasks.classify_text.preview import synopsis
from ratchet.tasks.values import RowRule

MAX_CHARACTERS = 100_000
"""Most characters of a valid text, about forty printed pages: a longer one is more often a file in the wrong column."""

MOJIBAKE = r"Ã[\x{80}-\x{BF}ŒœŠšŸŽžƒ€‚„…†‡ˆ‰‹‘’“”•–—˜™›]|Â[\x{80}-\x{BF}]|â€|ï»¿|ï¿½|ðŸ"
"""UTF-8 that was read as Latin-1 or Windows-1252: é is Ã©, ’ is â€™, a byte order mark is ï»¿."""

CONTROL = r"[\x00-\x08\x0E-\x1F\x7F]"
"""Control characters other than white space: in a text they are damage."""

MAX_DAMAGED = 0.10
"""Share of texts with encoding damage above which the whole table was read wrongly."""

IMBALANCED = 0.7
"""Share of the largest class above which accuracy says little, and macro F1 decides instead."""

SHOWN, LISTED = 10, 20
"""Most classes that a refusal lists; before anything is pinned it lists more."""

HAS_CLASSES = True
ONE_TARGET = True
REASONS = {
    "missing_text": "missing text",
    "missing_label": "missing label",
    "blank": "blank text",
    "overlong": "overlong text",
    "control": "control characters",
}
RULES = (
    RowRule(
        "damaged",
        f"At most {MAX_DAMAGED:.0%} of the texts show encoding damage; else the file is not UTF-8.",
        "refuse",
        MAX_DAMAGED,
    ),
    RowRule("blank", "No text is blank.", "set aside"),
    RowRule("overlong", "No text is too long to be one text.", "set aside"),
    RowRule("control", "No text holds control characters such as NUL.", "set aside"),
    RowRule("mojibake", "No text shows UTF-8 that was read as Latin-1 (Ã© for é).", "flag"),
    RowRule("replaced", "No text holds U+FFFD, which stands for a lost character.", "flag"),
    RowRule("mail", "No text holds a mail address.", "flag"),
    RowRule("phone", "No text holds a phone number.", "flag"),
    RowRule("card", "No text holds a payment card number.", "flag"),
)


def inputs(table: pl.DataFrame, data: Columns) -> pl.Series:
    """The texts."""
    return table[data.text]


def owned(inputs: pl.Series, data: Columns) -> pl.DataFrame:
    """The texts under the owner's column name."""
    return inputs.rename(data.text).to_frame()


def facts() -> list[pl.Expr]:
    """Facts of a text: its lengths, its damage, and private data in it."""
    return [*_shape(), *_damage(), *looks_private(pl.col("text")), _words()]


def _shape() -> list[pl.Expr]:
    text = pl.col("text")
    return [
        text.str.len_chars().alias("characters"),
        (~text.str.contains(r"[^\s\p{Cc}\p{Cf}]")).fill_null(False).alias("blank"),
        (text.str.len_chars() > MAX_CHARACTERS).fill_null(False).alias("overlong"),
    ]


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
    key = pl.col("_key")
    return pl.when(key == "").then(0).otherwise(key.str.count_matches(" ", literal=True) + 1).alias("words")


def guess(table: pl.DataFrame, source: str, named: Mapping[str, str]) -> Columns:
    """The columns that are known, and a guess for the others.

    Raises:
        Refusal: the table lacks a named column, one column is named twice, or there is not exactly one candidate.
    """
    return column_guess.guess_columns(
        table, source, named.get("text", ""), named.get("label", ""), named.get("group") or None
    )


def clean(frame: pl.DataFrame, data: Columns, command: str, merge: bool) -> tuple[pl.DataFrame, list[str]]:
    """Trim the labels, and merge their spellings where `merge` says so.

    Raises:
        Refusal: a class has more than one spelling, and `merge` is False.
    """
    labels, padded = label_spelling.strip_labels(frame[data.label])
    lines = label_spelling.stripped_lines(padded)
    if merge:
        labels, merged_lines = label_spelling.merge_spellings(labels)
        lines += merged_lines
    else:
        label_spelling.refuse_spellings(labels, command)
    return frame.with_columns(labels), lines


def preview(frame: pl.DataFrame, data: Columns) -> list[str]:
    """The classes, the languages, and two rows."""
    return synopsis(frame, data)


def usual_metric(targets: pl.Series) -> str:
    """Accuracy for two classes of much the same size; otherwise macro F1."""
    shares = targets.value_counts(normalize=True)["proportion"]
    return (
        "macro_f1" if shares.len() > 2 or (shares.len() and float(shares.to_numpy().max()) > IMBALANCED) else "accuracy"
    )


def misfit(data: Columns, metric: str | None, targets: Iterable[str | None]) -> tuple[str, str, str] | None:
    """Why the classes are not those that params.yaml names: the positive class, or F1 without two classes."""
    classes = sorted({name for name in targets if name is not None})
    is_named = data.positive is None or data.positive in classes
    if metric is None:
        return (
            None
            if is_named
            else (
                "data.positive in params.yaml names a class of the table.",
                f"{data.positive!r}, and the classes are {', '.join(map(repr, classes[:LISTED]))}",
                "Change or remove it there, then bring the table again; nothing was changed.",
            )
        )
    more = f" and {len(classes) - SHOWN} more" if len(classes) > SHOWN else ""
    known = f"the data has the classes {', '.join(classes[:SHOWN])}{more}"
    if not is_named:
        return "`data.positive` must be one of the classes.", f"{data.positive}; {known}", "Mend params.yaml."
    if metric == "f1" and (len(classes) > 2 or data.positive is None):
        received = f"metric: f1, positive: {data.positive or 'not named'}; {known}"
        rule = "`evaluate.metric: f1` speaks of one class of two, which `data.positive` names."
        return rule, received, "Name it, or take macro_f1."
    return None
