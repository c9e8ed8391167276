"""The simulated year is what it says: its weeks, its texts, its users; and who is in force changes what is live."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from benchmarks import policies, year
from benchmarks.year import CHINESE, FILMS, FOODS, LABELS, World
from ratchet.data.prepare.row_facts import compared_form

SIZES = {FILMS: 9_500, FOODS: 3_200, CHINESE: 1_500}
MARKS = {FILMS: "#1", FOODS: "#2", CHINESE: "#3"}
GOOD, BAD = ("splendid", "lovely", "moving", "funny"), ("dreadful", "boring", "hollow", "clumsy")


@pytest.fixture(scope="module")
def world() -> World:
    return year.world({name: pool(name, size) for name, size in SIZES.items()}, seed=3)


def pool(name: str, size: int) -> pl.DataFrame:
    """Invented reviews that begin with a mark of their set, and a number; four in five say what they mean."""
    chance = np.random.default_rng(len(name))
    rotten, odd = chance.random(size) < 0.4, chance.random(size) < 0.2
    words = [
        (BAD if bad != strange else GOOD)[at % 4] for at, (bad, strange) in enumerate(zip(rotten, odd, strict=True))
    ]
    texts = [f"{MARKS[name]} {at} {word}" for at, word in enumerate(words)]
    labels = [LABELS[int(bad)] for bad in rotten]
    groups = [f"group {at % 300}" if name == FILMS else None for at in range(size)]
    return pl.DataFrame({"text": texts, "label": labels, "group": pl.Series(groups, dtype=pl.String)})


def test_each_week_is_as_written(world: World) -> None:
    assert [week.number for week in world.weeks] == list(range(1, 53))
    for week in world.weeks:
        met = {name: week.rows["text"].str.starts_with(mark).sum() for name, mark in MARKS.items()}
        assert met == year.counts(week.number)
        assert sum(met.values()) == year.A_WEEK
    assert year.counts(1) == {FILMS: 200, FOODS: 0, CHINESE: 0}
    assert year.counts(26)[FOODS] == 120
    assert year.counts(52) == {FILMS: 48, FOODS: 32, CHINESE: 120}


def test_no_text_is_met_twice(world: World) -> None:
    probes = [rows["text"] for (_, new), rows in world.probes.items() if not new]
    texts = compared_form(pl.concat([world.table["text"], *(week.rows["text"] for week in world.weeks), *probes]))
    numbers = texts.str.extract(r"^(#\d \d+)")
    assert numbers.null_count() == 0
    assert numbers.n_unique() == texts.n_unique() == len(texts)


def test_new_words_come_and_stay(world: World) -> None:
    """Of the few words that these texts have all are replaced, where it is time."""
    replaced = [week.number for week in world.weeks if week.rows["text"].str.contains("|".join(GOOD + BAD)).sum() == 0]
    assert replaced == list(range(year.NEW_WORDS, 53))


def test_audited_rows_judge_and_never_train(world: World) -> None:
    heard = pl.concat([said(world, number) for number in (1, 2, 20, 35)])
    audits, users = (heard.filter(pl.col("source") == source)["text"] for source in ("audit", "user"))
    kept = heard.rename({"source": "label_source"}).select("text", "label", "group", "label_source")
    sides = policies.by_side(pl.concat([world.table.select(kept.columns), kept]))
    judging = sides["holdout"]["text"]
    assert audits.len() > 30
    assert audits.is_in(judging.implode()).all()
    for side in ("train", "validation"):
        assert not audits.is_in(sides[side]["text"].implode()).any()
    assert not users.is_in(judging.implode()).any()


def test_what_users_say_in_a_week(world: World) -> None:
    wrong = {number: mistaken(world, number) for number in (1, 10, year.POISONED)}
    assert wrong[1] == 0
    assert 0.1 < wrong[10] < 0.5
    assert wrong[year.POISONED] == 1
    assert all(said(world, number).is_empty() for number in year.OUTAGE)


def test_the_vetting_lets_no_flipped_label_of_a_right_answer_in(world: World) -> None:
    heard = said(world, year.POISONED)
    answers = confident(world, year.POISONED).max(axis=1)
    taken = policies.vetted(policies.Log([(year.names(world.weeks[year.POISONED - 1]), answers)]), heard)
    contradicting = pl.col("label") != pl.col("predicted")
    assert heard.filter(contradicting, source="user").height > 100
    assert taken.filter(contradicting, source="user").is_empty()
    assert taken.filter(source="audit").height == heard.filter(source="audit").height


def test_the_vetting_takes_all_that_users_say_in_a_plain_week(world: World) -> None:
    heard = said(world, 10)
    assert heard.filter(pl.col("label") != pl.col("predicted"), source="user").height > 0
    log = policies.Log([(year.names(world.weeks[9]), confident(world, 10).max(axis=1))])
    assert policies.vetted(log, heard).height == heard.height


def test_policies_differ_in_what_goes_live(world: World) -> None:
    short = replace(world, table=world.table[:600], weeks=world.weeks[:2])
    never, always, higher, ours = (
        policies.live(short, policies.POLICIES[name]) for name in ("never", "always", "higher", "ours")
    )
    assert (never.champion.version, len(never.seconds), never.promotions) == (1, 0, [])
    assert (always.champion.version, len(always.seconds), len(always.promotions)) == (3, 2, 2)
    assert (higher.champion.version, len(higher.seconds), higher.promotions) == (1, 2, []), "none scored higher"
    assert (ours.champion.version, len(ours.seconds), ours.promotions) == (1, 1, []), "one week alone asked for a turn"
    assert never.accuracies == higher.accuracies == ours.accuracies
    assert never.accuracies[0] == always.accuracies[0] > 0.7


def mistaken(world: World, number: int) -> float:
    """Of what users say in a week, the share that is not the truth."""
    truth = world.weeks[number - 1].rows.select("text", truth="label")
    users = said(world, number).filter(source="user").join(truth, on="text")
    return float((users["label"] != users["truth"]).mean())  # type: ignore[arg-type]


def said(world: World, number: int) -> pl.DataFrame:
    return year.said(world.weeks[number - 1], confident(world, number))


def confident(world: World, number: int) -> np.ndarray:
    """A champion's answers, nine in ten of them right, and as sure as that."""
    truth = world.weeks[number - 1].rows["label"].to_list()
    named = [LABELS.index(label) ^ (at % 10 == 0) for at, label in enumerate(truth)]
    return np.where(np.arange(2) == np.array(named)[:, None], 0.92, 0.08)
