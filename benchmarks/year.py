"""A simulated year in production on real text: film reviews to begin with, then what a year brings. The world alone.

Written down before the first run, and not tuned since. All texts are real, and none is met twice. A problem of two
classes, `fresh` and `rotten`, begins with a table of AT_START film reviews, split by film as the project's own. Each
week A_WEEK new texts are asked. Until week 14 all of them are film reviews; then:

    weeks  9-14   noisy labels   30% of what users say is wrong
    weeks 15-52   groceries      reviews of groceries come in: 15%, 30%, 45%, 60% to week 26, then 40%
    weeks 29-52   new words      100 of the 300 commonest words are replaced by invented ones, everywhere, for good
    week     35   poison         a script says the opposite of the truth of 90% of the week's texts
    weeks 38-40   outage         texts are answered; no feedback arrives and nothing is trained
    weeks 43-52   Chinese        Chinese reviews come in: 15%, 30%, 45%, then 60% of all texts

Of groceries `great` (five stars) counts as fresh and the rest as rotten, so a friendly four-star review is rotten: with
them the meaning of the classes moves too. Of the Chinese reviews positive is fresh; their words stay as they are.

Users correct CORRECTED of the mistakes and press 'right' under CONFIRMED of the right answers. The random audit is the
holdout's side of the hash (a tenth of the texts, the most that the project allows), labelled truly, and never trains.
What is left of each set are probes: nobody meets them, and every model's true accuracy is measured on them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from ratchet import tasks
from ratchet.data import examples
from ratchet.data.prepare import row_facts, split
from ratchet.data.prepare.label_sources import AUDIT, ORIGINAL, USER
from ratchet.judging.metrics import Floats
from ratchet.problem.data_pin import SplitSpec
from tests.support.measuring import prepared

FILMS, FOODS, CHINESE = "film_reviews", "fine_foods", "chinese_reviews"
LABELS = ("fresh", "rotten")
FRESH = {FILMS: "fresh", FOODS: "great", CHINESE: "positive"}
SPEC = SplitSpec(by="group", salt="film-reviews")

WEEKS, A_WEEK, AT_START, MOST_PROBES = 52, 200, 2_500, 4_000
CORRECTED, CONFIRMED = 0.3, 0.1
NOISY, WRONG = range(9, 15), 0.3
POISONED, FLIPPED = 35, 0.9
OUTAGE = range(38, 41)
NEW_WORDS, COMMON, REPLACED = 29, 300, 100
RAMP = (0.15, 0.30, 0.45, 0.60)
SEASONS = {
    "noisy labels": (9, 14), "groceries": (15, 52), "new words": (29, 52), "poison": (35, 35), "outage": (38, 40),
    "Chinese": (43, 52),
}  # fmt: skip
"""First and last week of each."""


@dataclass(frozen=True)
class Week:
    """What is asked in a week.

    rows: columns text, label (the truth), group (none: live texts have none), side; and `speaks` and `errs`, numbers in
        [0, 1) by which users speak and err, the same whichever policy is in force.
    """

    number: int
    rows: pl.DataFrame

    @property
    def is_out(self) -> bool:
        return self.number in OUTAGE


@dataclass(frozen=True)
class World:
    """table: the owner's rows. weeks: in order. probes: of each set, in plain words and in the new ones."""

    table: pl.DataFrame
    weeks: tuple[Week, ...]
    probes: Mapping[tuple[str, bool], pl.DataFrame]


def pools() -> dict[str, pl.DataFrame]:
    """The sets as columns text, label (of LABELS) and group: sound texts, each once."""
    return {name: _pool(name) for name in (FILMS, FOODS, CHINESE)}


def _pool(name: str) -> pl.DataFrame:
    columns = examples.get(name).COLUMNS
    with TemporaryDirectory() as folder:
        table = examples.get(name).build(Path(folder))
    group = pl.col(columns.group) if name == FILMS and columns.group else pl.lit(None, pl.String)
    named = pl.when(pl.col(columns.label) == FRESH[name]).then(pl.lit(LABELS[0])).otherwise(pl.lit(LABELS[1]))
    rows, _ = prepared(
        table.select(pl.col(columns.inputs[0]).alias("text"), named.alias("label"), group.alias("group"))
    )
    return rows.filter(
        ~row_facts.row_only_facts(rows.select("text", "label"), tasks.get(examples.get(name).TASK))["set_aside"]
    )


def world(sets: Mapping[str, pl.DataFrame], seed: int) -> World:
    """The year of that seed: which texts begin, which are asked when, which words are replaced, which users speak."""
    chance = np.random.default_rng([seed, 0])
    mixed = {name: rows[chance.permutation(rows.height)] for name, rows in sets.items()}
    table = mixed[FILMS][:AT_START].with_columns(label_source=pl.lit(ORIGINAL))
    invented = new_words(table["text"].to_list(), chance)
    met = {FILMS: AT_START, FOODS: 0, CHINESE: 0}
    weeks = []
    for number in range(1, WEEKS + 1):
        parts = []
        for name, count in counts(number).items():
            parts.append(mixed[name][met[name] : met[name] + count])
            met[name] += count
        asked = pl.concat(parts).with_columns(pl.lit(None, pl.String).alias("group"))
        weeks.append(Week(number, _asked(asked, invented if number >= NEW_WORDS else {}, chance)))
    left = {name: mixed[name][met[name] :][:MOST_PROBES] for name in mixed}
    probes = {(name, new): reworded(left[name], invented if new else {}) for name in left for new in (False, True)}
    return World(table, tuple(weeks), probes)


def _asked(rows: pl.DataFrame, invented: Mapping[str, str], chance: np.random.Generator) -> pl.DataFrame:
    mixed = reworded(rows, invented)[chance.permutation(rows.height)]
    draws = {name: chance.random(rows.height) for name in ("speaks", "errs")}
    return (
        split.assign_sides(mixed, SPEC)
        .rename({"split": "side"})
        .with_columns(**{k: pl.Series(v) for k, v in draws.items()})
    )


def shares(week: int) -> dict[str, float]:
    """Of each set, its share of what is asked in that week."""
    chinese = _ramp(week, SEASONS["Chinese"][0])
    foods = (_ramp(week, SEASONS["groceries"][0]) if week <= 26 else 0.4) * (1 - chinese)
    return {FILMS: 1 - foods - chinese, FOODS: foods, CHINESE: chinese}


def _ramp(week: int, first: int) -> float:
    return 0.0 if week < first else RAMP[min(week - first, len(RAMP) - 1)]


def counts(week: int) -> dict[str, int]:
    foods, chinese = (round(A_WEEK * shares(week)[name]) for name in (FOODS, CHINESE))
    return {FILMS: A_WEEK - foods - chinese, FOODS: foods, CHINESE: chinese}


def new_words(texts: list[str], chance: np.random.Generator) -> dict[str, str]:
    """Some of the commonest words of four letters or more -> invented ones."""
    found = Counter(word for text in texts for word in re.findall("[a-z]{4,}", text.lower()))
    common = [word for word, _ in sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:COMMON]]
    chosen = chance.choice(common, min(REPLACED, len(common)), replace=False)
    syllables = chance.permutation([a + b + c + d for a in "bdgkz" for b in "aeiou" for c in "fmprv" for d in "aeiou"])
    return {str(word): f"{syllables[at]}{syllables[-1 - at]}" for at, word in enumerate(chosen)}


def reworded(rows: pl.DataFrame, invented: Mapping[str, str]) -> pl.DataFrame:
    if not invented:
        return rows
    texts = [re.sub("[A-Za-z]+", lambda word: invented.get(word[0].lower(), word[0]), text) for text in rows["text"]]
    return rows.with_columns(pl.Series("text", texts))


def names(week: Week) -> list[str]:
    """Ids of the answers to a week, which rise from week to week."""
    return [f"{week.number:02}-{at:03}" for at in range(week.rows.height)]


def said(week: Week, probabilities: Floats) -> pl.DataFrame:
    """What people say of the champion's answers to a week, as feedback_rules.py takes it; none in an outage."""
    rows = week.rows.with_columns(
        pl.Series("predicted", [LABELS[at] for at in probabilities.argmax(axis=1)], dtype=pl.String),
        pl.Series("score", probabilities.max(axis=1)),
        pl.Series("prediction", names(week), dtype=pl.String),
    )
    other = pl.when(pl.col("label") == LABELS[0]).then(pl.lit(LABELS[1])).otherwise(pl.lit(LABELS[0]))
    right, audited = pl.col("predicted") == pl.col("label"), pl.col("side") == "holdout"
    willing = pl.when(right).then(CONFIRMED).otherwise(CORRECTED)
    wrongly = pl.col("errs") < (WRONG if week.number in NOISY else 0.0)
    if week.number == POISONED:
        willing, wrongly = pl.lit(FLIPPED), pl.lit(True)
    heard = (audited | (pl.col("speaks") < willing)) & pl.lit(not week.is_out)
    return rows.filter(heard).select(
        "prediction", "text", "predicted", "score", "group",
        pl.when(wrongly & ~audited).then(other).otherwise("label").alias("label"),
        pl.when(audited).then(pl.lit(AUDIT)).otherwise(pl.lit(USER)).alias("source"),
    )  # fmt: skip
