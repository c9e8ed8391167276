"""How often does watching cry wolf in a month of hourly looks, and how soon does it see what has really moved?

    python -m benchmarks.bench_drift [MONTHS]

Unchanged traffic: film reviews. In each of MONTHS (100) months a tenth of the films is the holdout, and every look
takes the last 1,000 of a stream of other films' reviews, drawn at random; RATES gives the rows that come in an hour.
Answers are those of linear models that never saw the film (5 parts by film). All 720 looks of a month run the tests
that the project runs (ratchet/monitoring/drift/drift.py), but for the classifier of words, which for its cost takes
part in one look a day; all looks keep its share of the month's error back. A month with any alarm counts as a false
one.

Drift: after 6,000 unchanged rows, planted ones come at 40 an hour: another domain (newsgroups), fresh
reviews more frequent by 20 points, and a tenth of 500 common words replaced by new ones. The delay is in rows until a
look calls it, or NEVER after two windows. Then the estimate of accuracy without labels is held against the truth.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import polars as pl

import models
from benchmarks.quality import _example
from models.contract import Model, Rows
from ratchet import tasks
from ratchet.monitoring.drift import alpha_spending, drift, performance_estimate, two_sample
from ratchet.monitoring.drift.accuracy import rightness
from ratchet.monitoring.drift.domain_classifier import domain
from ratchet.monitoring.drift.samples import Flags, LiveSample, Reference
from ratchet.monitoring.drift.text_statistics import Traits, traits
from ratchet.monitoring.drift.two_sample import Floats, Ints, Names, Sample, Shift
from ratchet.tasks.values import Answered

TASK = tasks.get("classify")
WINDOW, LOOKS, DAY = 1_000, 720, 24
RATES = (10, 40, 400)
PARTS = 5
TRIALS = int(os.environ.get("TRIALS", "20"))
WINDOWS = 10 * TRIALS
"""In which the estimate of accuracy is held against the truth."""
NEVER = 2 * WINDOW
FIRST = 5_000
"""Rows that came first, with which the answers are compared as well."""
LABELS = ("fresh", "rotten")


@dataclass(frozen=True)
class Pool:
    """Texts with what a model that had not seen them answered. film: a number."""

    texts: Names
    truth: Names
    film: Ints
    labels: Names
    scores: Floats

    @property
    def answered(self) -> Answered:
        return Answered(np.char.str_len(self.texts).astype(np.float64), self.labels, self.scores)

    def __getitem__(self, rows: Ints) -> Pool:
        return Pool(self.texts[rows], self.truth[rows], self.film[rows], self.labels[rows], self.scores[rows])


def main(arguments: list[str]) -> None:
    """Simulate, print."""
    months = int(arguments[0]) if arguments else 100
    pool, fitted = answered(_example("film_reviews"))
    alarms = {rate: false_alarms(pool, rate, months) for rate in RATES}
    delays = {name: delay(pool, planted) for name, planted in plants(pool, fitted).items()}
    off, covered = estimates(pool)
    print(
        f"false_alarms={max(alarms.values()):.4f} months={months} "
        + " ".join(f"delay_{name}={rows:.0f}" for name, rows in delays.items())
        + f" estimate_off={off:.4f} estimate_covers={covered:.3f}"
    )


def answered(frame: pl.DataFrame) -> tuple[Pool, Model]:
    """All film reviews, each answered by a model of other films; and one of the models."""
    film = frame["group"].cast(pl.Categorical).to_physical().to_numpy().astype(np.int64)
    texts, truth = frame["text"].to_list(), frame["label"].to_list()
    part = np.random.default_rng(0).permutation(film.max() + 1)[film] % PARTS
    found = np.zeros((len(texts), len(LABELS)))
    for each in range(PARTS):
        kept, validating = part == each, part == (each + 1) % PARTS
        fitted = fit(texts, truth, ~(kept | validating), validating)
        found[kept] = fitted.predict([texts[at] for at in np.flatnonzero(kept)])
    return pooled(texts, truth, film, found), fitted


def fit(texts: list[str], truth: list[str], train: Flags, validation: Flags) -> Model:
    linear = models.get("linear")
    sides = [
        Rows([texts[at] for at in rows], [truth[at] for at in rows])
        for rows in map(np.flatnonzero, (train, validation))
    ]
    return linear.fit(sides[0], sides[1], LABELS, linear.Params(), seed=0, progress=lambda *_: None)


def pooled(texts: list[str], truth: list[str], film: Ints, found: Floats) -> Pool:
    named = np.array(LABELS)[found.argmax(axis=1)]
    return Pool(np.array(texts), np.array(truth), film, named, np.round(found.max(axis=1), 4))


def split(pool: Pool, chance: np.random.Generator) -> tuple[Ints, Ints]:
    """The rows of a tenth of the films, and all others."""
    films = pool.film.max() + 1
    held = np.isin(pool.film, chance.permutation(films)[: films // 10])
    return np.flatnonzero(held), np.flatnonzero(~held)


def judged(held: Pool) -> Reference:
    groups = np.unique(held.film, return_inverse=True)[1]
    return Reference(held.answered, held.truth, groups, tuple(held.texts), groups)


def met(rows: Pool, first: Pool) -> LiveSample:
    teach = np.random.default_rng(0).random(len(rows.texts)) < 0.5
    return LiveSample(rows.answered, tuple(rows.texts), teach, first.answered)


def windows(rows: Ints, rate: int, chance: np.random.Generator) -> Iterator[tuple[Ints, Ints]]:
    """At each look of a month the first rows of all, and the last 1,000, distinct; `rate` rows come an hour."""
    need = WINDOW + rate * LOOKS
    stream = np.concatenate([chance.permutation(rows) for _ in range(need // len(rows) + 1)])[:need]
    for look in range(1, LOOKS + 1):
        began = rate * look
        yield np.unique(stream[: min(began, FIRST)]), np.unique(stream[began : began + WINDOW])


def false_alarms(pool: Pool, rate: int, months: int) -> float:
    """The share of months with an alarm, at so many rows an hour."""
    every, wrong, lowest, levels = traits(pool.texts.tolist()), 0, [], np.zeros(3)
    for month in range(months):
        chance = np.random.default_rng([rate, month])
        found = a_month(pool, every, rate, chance)
        wrong += found[2] > 0
        lowest.append(found[0])
        levels += found[1]
    looks = months * (LOOKS // DAY)
    print(
        f"{rate} rows an hour: {wrong} of {months} months with a false alarm; lowest p-value {min(lowest):.2g}. "
        f"The classifier's are at most 0.1, 0.01, 0.001 in {levels[0] / looks:.4f}, {levels[1] / looks:.4f}, "
        f"{levels[2] / looks:.4f} of {looks:,} looks",
        flush=True,
    )
    return wrong / months


def a_month(pool: Pool, every: Traits, rate: int, chance: np.random.Generator) -> tuple[float, Floats, int]:
    """The lowest p-value of a month, how many of the classifier's were at most 0.1, 0.01, 0.001, and the alarms."""
    held, rest = split(pool, chance)
    before, half = judged(pool[held]), chance.random(len(pool.texts)) < 0.5
    now_or = np.isin(np.arange(len(pool.texts)), held)
    told = part(every, now_or)
    assert before.groups is not None
    mine = drift.teaching(before.groups, told.words.size)
    learnt, unseen = told.words.of(mine), told.words.of(~mine)
    known, scored = np.unique(learnt.hashes), before.groups[~mine]
    strange = every.words.unknown(known)
    lowest, levels, alarms = 1.0, np.zeros(3), 0
    for look, (first, rows) in enumerate(windows(rest, rate, chance)):
        seen = pool[rows]
        now = Traits(every.words, every.word_length[rows], every.no_letters[rows])
        found: list[Shift] = [
            *drift.of_answers(TASK, before, LiveSample(seen.answered, first=pool[first].answered)),
            *drift.of_form(told, now, before.groups),
            two_sample.numbers("unknown words", Sample(strange[held][~mine], scored), strange[rows]),
        ]
        if look % DAY == 0:
            sides = [
                every.words.of(np.isin(np.arange(len(half)), rows[half[rows] == teach])) for teach in (True, False)
            ]
            found.append(domain((learnt, unseen), scored, (sides[0], sides[1])))
            levels += found[-1].p_value <= np.array([0.1, 0.01, 0.001])
        else:
            found.append(replace(found[0], what="words", p_value=1.0, effect=0.0))
        alarms += any(each.drifted for each in drift.called(found, alpha_spending.allowed(1.0), frozenset()))
        lowest = min(lowest, *(each.p_value for each in found))
    return lowest, levels, alarms


def part(every: Traits, rows: Flags) -> Traits:
    return Traits(every.words.of(rows), every.word_length[rows], every.no_letters[rows])


def plants(pool: Pool, fitted: Model) -> dict[str, Pool]:
    """Rows as they come once something has moved."""
    other = _example("newsgroups").sample(4_000, seed=0)["text"].to_list()
    chance = np.random.default_rng(0)
    words = re.findall(r"[a-z]+", " ".join(pool.texts[:2_000]).lower())
    common = [word for word, _ in sorted(pl.Series(words).value_counts().iter_rows(), key=lambda row: -row[1])][20:520]
    new = {word: f"z{word[::-1]}" for word in chance.choice(common, 50, replace=False)}
    spoken = [re.sub(r"[a-z]+", lambda at: new.get(at[0], at[0]), text) for text in pool.texts]
    fresh, rotten = np.flatnonzero(pool.truth == "fresh"), np.flatnonzero(pool.truth == "rotten")
    share = len(fresh) / len(pool.truth) + 0.2
    rows = np.where(chance.random(4_000) < share, chance.choice(fresh, 4_000), chance.choice(rotten, 4_000))
    return {
        "domain": pooled(other, ["fresh"] * len(other), np.zeros(len(other), np.int64), fitted.predict(other)),
        "prior": pool[rows],
        "words": pooled(spoken, pool.truth.tolist(), pool.film, fitted.predict(spoken)),
    }


def delay(pool: Pool, planted: Pool) -> float:
    """The median number of planted rows until a look calls it."""
    found, named = [], []
    for trial in range(TRIALS):
        chance = np.random.default_rng([7, trial])
        held, rest = split(pool, chance)
        earlier = chance.permutation(rest)
        first, usual = pool[earlier[:FIRST]], pool[earlier[FIRST : FIRST + WINDOW]]
        strange = planted[chance.permutation(len(planted.texts))[:NEVER]]
        before = judged(pool[held])
        for rows in range(40, NEVER + 1, 40):
            mixed = joined(strange, rows, usual)
            seen = drift.compare(TASK, before, met(mixed, first), alpha=alpha_spending.allowed(1.0))
            if seen.drifted:
                break
        found.append(rows)
        named += [each.what for each in seen.shifts if each.drifted]
    counted = {name: named.count(name) for name in dict.fromkeys(named)}
    print(f"rows until a look calls it: {sorted(found)}; what it called: {counted}", flush=True)
    return median(found)


def joined(strange: Pool, rows: int, usual: Pool) -> Pool:
    """The window once so many strange rows have come."""
    fields = ("texts", "truth", "film", "labels", "scores")
    return Pool(*(np.concatenate([getattr(strange, f)[:rows], getattr(usual, f)])[:WINDOW] for f in fields))


def estimates(pool: Pool) -> tuple[float, float]:
    """How far the estimated accuracy is off, on average, and how often its 95% interval holds the true one."""
    off, inside = [], []
    for trial in range(WINDOWS):
        chance = np.random.default_rng([9, trial])
        held, rest = split(pool, chance)
        before, now = judged(pool[held]), pool[chance.choice(rest, WINDOW, replace=False)]
        assert before.truth is not None
        right = rightness(TASK, before.answered.answers, before.truth)
        calibration = performance_estimate.calibrate(before.answered.confidences, right, before.groups)
        found = performance_estimate.estimated(calibration, now.scores)
        true = (now.labels == now.truth).mean()
        off.append(abs(found.value - true))
        inside.append(found.low <= true <= found.high)
    print(
        f"accuracy without labels, {WINDOWS} windows: off by {np.mean(off):.4f} on average, {np.max(off):.4f} at most"
    )
    return float(np.mean(off)), float(np.mean(inside))


if __name__ == "__main__":
    main(sys.argv[1:])
