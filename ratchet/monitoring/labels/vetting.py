"""Which corrections cannot be believed? Answers and what was said of them enter; a yes or no for each label leaves.

Nobody can tell a wrong label by looking at it, but more corrections than mistakes can be counted. They are counted in
windows: any WINDOW consecutive answers, any twice as many, and so on. So neither an old label nor much traffic at
another time makes room for a flood of flipped labels. Only answers that somebody can label are counted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from ratchet.monitoring.drift import performance_estimate
from ratchet.monitoring.drift.two_sample import Floats, Ints

WINDOW = 200
"""Answers of the smallest window; fewer would hold a handful of new texts against whoever corrects them."""
STRETCH = 20
"""Answers that are counted together at most; a corrected one begins a stretch, so that windows begin with one."""
TOLERANCE, RARE, MOST_WRONG = 1.5, 1e-3, 5
"""Corrections are implausible where so many, more than MOST_WRONG, have a chance below RARE (Poisson, over all windows
together) although TOLERANCE times as many answers were wrong as the model's own probabilities say."""
SURE = 0.9
"""Answers with at least this probability are held to account apart: a flipped label contradicts them most of all."""
SEVERAL, HABIT, SELDOM = 3, 30, 10
"""A source that has corrected HABIT answers has a habit. SEVERAL times its busiest earlier window is unusual; a window
with fewer than SELDOM corrections counts as one with so many."""
AUDITS = 50
"""The audit's newest labels always count: what it finds now says how often the model is wrong now."""

Bools = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Part = tuple[Sequence[str], Floats]
"""Some answers in the order of their ids, and the probability of each one's label."""

STRETCHES = {"first": pl.String, "answers": pl.Int64, "errors": pl.Float64, "sure": pl.Int64, "sure_errors": pl.Float64}
AUDITED = {"prediction": pl.String, "wrong": pl.Boolean}
CORRECTED = {"prediction": pl.String, "source": pl.String, "sure": pl.Boolean, "held": pl.Boolean}


@dataclass(frozen=True)
class Traffic:
    """What was answered, and what was said of it before; ids of predictions rise with time.

    stretches: consecutive answers that somebody can label, counted together: the `first` one's id, how many `answers`,
        how many of them should be wrong by their own probabilities (`errors`), and the same of those that are `sure`.
    audits: what the random audit labelled (`prediction`), in order, and whether the answer was `wrong`.
    earlier: corrections that were taken in before: `prediction`, `source`, whether the answer was `sure`, and whether
        the correction is `held`: set aside as unusual.
    """

    stretches: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=STRETCHES))
    audits: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=AUDITED))
    earlier: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CORRECTED))

    @cached_property
    def firsts(self) -> list[str]:
        return list(self.stretches["first"])

    def place(self, predictions: Iterable[str]) -> Ints:
        """The number of the stretch that each is in; -1 where it comes before all of them."""
        return np.array([bisect_right(self.firsts, name) - 1 for name in predictions], np.int64)

    @cached_property
    def found_wrong(self) -> Floats:
        """Of each stretch, the share of wrong answers that the audit is sure of from there on."""
        right = ~self.audits["wrong"].to_numpy().astype(np.bool_)
        names = list(self.audits["prediction"])
        begin = [min(bisect_right(names, first), max(0, len(names) - AUDITS)) for first in self.firsts]
        known = {
            at: 1 - performance_estimate.measured(right[at:].astype(np.float64)).high
            for at in set(begin)
            if at < len(names)
        }
        return np.array([known.get(at, 0.0) for at in begin], np.float64)


def stretches(parts: Iterable[Part], corrected: Collection[str]) -> pl.DataFrame:
    """The stretches of Traffic. corrected: ids of answers that begin one."""
    frames = [pl.DataFrame(schema=STRETCHES)]
    for ids, scores in parts:
        if not ids:
            continue
        begins = [at for at, name in enumerate(ids) if at % STRETCH == 0 or name in corrected]
        sure, errors = scores >= SURE, 1 - scores
        columns = (np.ones(len(scores), np.int64), errors, sure.astype(np.int64), errors * sure)
        counted = [np.add.reduceat(column, begins) for column in columns]
        named = dict(zip(STRETCHES, [[ids[at] for at in begins], *counted], strict=True))
        frames.append(pl.DataFrame(named, schema=STRETCHES))
    return pl.concat(frames)


def doubted(said: pl.DataFrame, traffic: Traffic) -> pl.DataFrame:
    """Who cannot be believed, as columns `improbable` and `unusual`.

    With more corrections than the model can have made mistakes, nobody who labelled these answers: who says the
    opposite of the truth confirms mistakes, too. Where only sure answers are corrected too often, those corrections are
    not. Where one source corrects several times as much as ever before, that source is not.

    Args:
        said: new labels, none of them by the audit: columns `prediction`, `source`, `wrong` (it corrects the answer)
            and `sure` (it corrects a sure one).
    """
    at, count = traffic.place(said["prediction"]), traffic.stretches.height
    wrong, sure = (said[name].to_numpy().astype(np.bool_) for name in ("wrong", "sure"))
    taken = traffic.earlier.filter(~pl.col("held"))
    every, of_sure = Mistakes.of(traffic, "answers", "errors"), Mistakes.of(traffic, "sure", "sure_errors")

    def counted(rows: pl.DataFrame) -> Ints:
        return tally(traffic.place(rows["prediction"]), count)

    too_many = flagged(traffic, tally(at[wrong], count), counted(taken), every.tolerated)
    too_sure = flagged(traffic, tally(at[sure], count), counted(taken.filter("sure")), of_sure.tolerated)
    improbable = too_many[at] | (too_sure[at] & sure)
    unusual = np.zeros(said.height, np.bool_)
    for source in said["source"].unique():
        mine = (said["source"] == source).to_numpy()
        habit = Habit(every, counted(traffic.earlier.filter(source=source)))
        new, before = tally(at[wrong & mine], count), counted(taken.filter(source=source))
        unusual |= flagged(traffic, new, before, habit.usual)[at] & mine
    return pl.DataFrame({"improbable": improbable, "unusual": unusual})


@dataclass(frozen=True)
class Windows:
    """Windows of so many answers: from a stretch up to another that is outside. The last ones are cut by the end."""

    size: int
    begin: Ints
    end: Ints


@dataclass(frozen=True)
class Mistakes:
    """How many answers up to each stretch may be wrong: by their own probabilities, of so many answers."""

    stated: Floats
    answers: Ints
    found_wrong: Floats

    @classmethod
    def of(cls, traffic: Traffic, answers: str, errors: str) -> Mistakes:
        stated, counted = (summed(traffic.stretches[name].to_numpy()) for name in (errors, answers))
        return cls(stated, counted, traffic.found_wrong)

    def within(self, windows: Windows) -> Floats:
        """As their probabilities say, or more where the audit is sure."""
        stated, answers = (sums[windows.end] - sums[windows.begin] for sums in (self.stated, self.answers))
        return np.asarray(np.maximum(stated, self.found_wrong[windows.begin] * answers), np.float64)

    def tolerated(self, windows: Windows) -> Floats:
        return TOLERANCE * self.within(windows)


@dataclass(frozen=True)
class Habit:
    """What one source used to correct. given: its earlier corrections in each stretch."""

    mistakes: Mistakes
    given: Ints

    def usual(self, windows: Windows) -> Floats:
        """How many corrections are not unusual; any number where no habit is known."""
        given, whole = summed(self.given), self._whole(windows.size)
        if not whole.begin.size:
            return np.full(windows.begin.size, np.inf)
        shares = (given[whole.end] - given[whole.begin]) / np.maximum(self.mistakes.within(whole), 1e-9)
        earlier = np.searchsorted(whole.end, windows.begin, "right")
        busiest = np.maximum.accumulate(shares)[np.maximum(earlier - 1, 0)]
        usual = SEVERAL * np.maximum(SELDOM, busiest * self.mistakes.within(windows))
        return np.where((earlier > 0) & (given[windows.begin] >= HABIT), usual, np.inf)

    def _whole(self, size: int) -> Windows:
        """All windows of that size that the end does not cut."""
        answers, begin = self.mistakes.answers, np.arange(self.given.size)
        end = np.searchsorted(answers, answers[:-1] + size)
        there = end <= self.given.size
        return Windows(size, begin[there], end[there])


def flagged(traffic: Traffic, new: Ints, earlier: Ints, allowed: Callable[[Windows], Floats]) -> Bools:
    """The stretches that are in a window with new corrections and more than can be by chance; at -1 there is none.

    Args:
        new, earlier: corrections in each stretch. allowed: how many of them windows may have.
    """
    from scipy.stats import poisson

    found, begun = np.zeros(new.size + 1, np.bool_), summed(new)
    corrections, tested = begun + summed(earlier), []
    for each in windows(traffic, np.flatnonzero(new + earlier)):
        has = begun[each.end] > begun[each.begin]
        tested.append(Windows(each.size, each.begin[has], each.end[has]))
    rare = RARE / max(1, sum(each.begin.size for each in tested))
    for each in tested:
        count = corrections[each.end] - corrections[each.begin]
        odd = (count > MOST_WRONG) & (poisson.sf(count - 1, np.minimum(allowed(each), 1e9)) < rare)
        for begin, end in zip(each.begin[odd], each.end[odd], strict=True):
            found[begin:end] = True
    return found


def windows(traffic: Traffic, begin: Ints) -> Iterator[Windows]:
    """The windows of every size that begin at these stretches, each once."""
    answers, size = summed(traffic.stretches["answers"].to_numpy()), WINDOW
    while begin.size:
        end = np.minimum(np.searchsorted(answers, answers[begin] + size), answers.size - 1)
        yield Windows(size, begin, end)
        begin, size = begin[end < answers.size - 1], 2 * size


def summed(counts: np.ndarray[tuple[int, ...], np.dtype[Any]]) -> np.ndarray[tuple[int, ...], np.dtype[Any]]:
    """What is before each place, and the sum of all at the end."""
    return np.concatenate([np.zeros(1, counts.dtype), np.cumsum(counts)])


def tally(places: Ints, count: int) -> Ints:
    """How many are at each of so many places; those at -1 are nowhere."""
    return np.bincount(places[places >= 0], minlength=count).astype(np.int64)
