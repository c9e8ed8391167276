"""Detection of implausible corrections: answers and their labels enter, two flags for each label leave.

A single wrong label cannot be recognised, but more corrections than the model can have made mistakes can be counted.
Corrections are counted in windows: any WINDOW consecutive answers, any twice as many, and so on. So neither an old
label nor traffic at another time makes room for a flood of flipped labels. Only answers that can be labelled count.
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
"""Answers of the smallest window; in a smaller one a handful of new texts would discredit their corrections."""
STRETCH = 20
"""Most answers that are counted together. A corrected answer begins a stretch, so that windows begin with one."""
TOLERANCE, RARE, MOST_WRONG = 1.5, 1e-3, 5
"""A number of corrections above MOST_WRONG is implausible if its chance is below RARE (Poisson, over all windows
together) although TOLERANCE times as many answers were wrong as the model's own probabilities say."""
SURE = 0.9
"""Answers with at least this probability are also counted separately: flipped labels contradict them most."""
SEVERAL, HABIT, SELDOM = 3, 30, 10
"""A source that has corrected HABIT answers has a habit. SEVERAL times its busiest earlier window is unusual; a window
with fewer than SELDOM corrections counts as one with SELDOM."""
AUDITS = 50
"""Newest audit labels that always count: they say how often the model is wrong now."""

Bools = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
Part = tuple[Sequence[str], Floats]
"""Ids of some answers in ascending order, and the probability of each predicted label."""

STRETCHES = {"first": pl.String, "answers": pl.Int64, "errors": pl.Float64, "sure": pl.Int64, "sure_errors": pl.Float64}
AUDITED = {"prediction": pl.String, "wrong": pl.Boolean}
CORRECTED = {"prediction": pl.String, "source": pl.String, "sure": pl.Boolean, "held": pl.Boolean}


@dataclass(frozen=True)
class Traffic:
    """Answers around the new labels, and earlier labels. Ids of predictions rise with time.

    Attributes:
        stretches: Counts of consecutive answers that can be labelled: the id of the `first`, the number of `answers`,
            the number that should be wrong by their own probabilities (`errors`), and both counts for sure answers
            (`sure`, `sure_errors`).
        audits: Audited answers in order: `prediction`, and whether the answer was `wrong`.
        earlier: Earlier corrections: `prediction`, `source`, whether the answer was `sure`, and whether the correction
            is `held`, that is, set aside as unusual.
    """

    stretches: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=STRETCHES))
    audits: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=AUDITED))
    earlier: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CORRECTED))

    @cached_property
    def firsts(self) -> list[str]:
        return list(self.stretches["first"])

    def place(self, predictions: Iterable[str]) -> Ints:
        """The index of the stretch of each prediction; -1 if it lies before all stretches."""
        return np.array([bisect_right(self.firsts, prediction) - 1 for prediction in predictions], np.int64)

    @cached_property
    def audited_error(self) -> Floats:
        """For each stretch, the lower bound of the share of wrong answers that the audit finds from there on."""
        right = ~self.audits["wrong"].to_numpy().astype(np.bool_)
        ids = list(self.audits["prediction"])
        starts = [min(bisect_right(ids, first), max(0, len(ids) - AUDITS)) for first in self.firsts]
        error_from = {
            start: 1 - performance_estimate.measured(right[start:].astype(np.float64)).high
            for start in set(starts)
            if start < len(ids)
        }
        return np.array([error_from.get(start, 0.0) for start in starts], np.float64)


def stretches(parts: Iterable[Part], corrected: Collection[str]) -> pl.DataFrame:
    """The stretches of Traffic.

    Args:
        parts: Answers in batches.
        corrected: Ids of the answers that begin a stretch.
    """
    frames = [pl.DataFrame(schema=STRETCHES)]
    for ids, scores in parts:
        if not ids:
            continue
        starts = [at for at, prediction in enumerate(ids) if at % STRETCH == 0 or prediction in corrected]
        sure = scores >= SURE
        errors = 1 - scores
        columns = (np.ones(len(scores), np.int64), errors, sure.astype(np.int64), errors * sure)
        sums = [np.add.reduceat(column, starts) for column in columns]
        data = dict(zip(STRETCHES, [[ids[start] for start in starts], *sums], strict=True))
        frames.append(pl.DataFrame(data, schema=STRETCHES))
    return pl.concat(frames)


def implausible(labels: pl.DataFrame, traffic: Traffic) -> pl.DataFrame:
    """Flag the labels that cannot be believed, in the columns `improbable` and `unusual`.

    - With more corrections than the model can have made mistakes, all labels of the window are improbable, also those
      that agree with the answer: a source that flips labels confirms mistakes.
    - If only sure answers are corrected too often, only those corrections are improbable.
    - If a source corrects several times as much as ever before, its labels are unusual.

    Args:
        labels: New labels without those of the audit: columns `prediction`, `source`, `wrong` (whether it corrects the
            answer) and `sure` (whether it corrects a sure answer).
        traffic: Answers around these labels.
    """
    place = traffic.place(labels["prediction"])
    count = traffic.stretches.height
    wrong, sure = (labels[name].to_numpy().astype(np.bool_) for name in ("wrong", "sure"))
    taken = traffic.earlier.filter(~pl.col("held"))
    mistakes = Mistakes.of(traffic, "answers", "errors")
    sure_mistakes = Mistakes.of(traffic, "sure", "sure_errors")

    def counts(rows: pl.DataFrame) -> Ints:
        return tally(traffic.place(rows["prediction"]), count)

    too_many = flag_stretches(traffic, tally(place[wrong], count), counts(taken), mistakes.tolerated)
    too_sure = flag_stretches(traffic, tally(place[sure], count), counts(taken.filter("sure")), sure_mistakes.tolerated)
    improbable = too_many[place] | (too_sure[place] & sure)
    unusual = np.zeros(labels.height, np.bool_)
    for source in labels["source"].unique():
        of_source = (labels["source"] == source).to_numpy()
        habit = Habit(mistakes, counts(traffic.earlier.filter(source=source)))
        new = tally(place[wrong & of_source], count)
        before = counts(taken.filter(source=source))
        unusual |= flag_stretches(traffic, new, before, habit.usual)[place] & of_source
    return pl.DataFrame({"improbable": improbable, "unusual": unusual})


@dataclass(frozen=True)
class Windows:
    """Windows of `size` answers, from stretch `begin` up to but without stretch `end`. The end cuts the last ones."""

    size: int
    begin: Ints
    end: Ints


@dataclass(frozen=True)
class Mistakes:
    """Expected mistakes of the model.

    Attributes:
        stated: Mistakes before each stretch, by the answers' own probabilities.
        answers: Answers before each stretch.
        audited_error: Lower bound of the audited error from each stretch on.
    """

    stated: Floats
    answers: Ints
    audited_error: Floats

    @classmethod
    def of(cls, traffic: Traffic, answers: str, errors: str) -> Mistakes:
        """The mistakes by the columns `answers` and `errors` of the stretches."""
        stated, counts = (cumulative(traffic.stretches[name].to_numpy()) for name in (errors, answers))
        return cls(stated, counts, traffic.audited_error)

    def within(self, windows: Windows) -> Floats:
        """Expected mistakes in each window: as stated, or as many as the audit finds if that is more."""
        stated, answers = (sums[windows.end] - sums[windows.begin] for sums in (self.stated, self.answers))
        return np.asarray(np.maximum(stated, self.audited_error[windows.begin] * answers), np.float64)

    def tolerated(self, windows: Windows) -> Floats:
        return TOLERANCE * self.within(windows)


@dataclass(frozen=True)
class Habit:
    """Past corrections of one source.

    Attributes:
        mistakes: Expected mistakes of the model.
        corrections: Earlier corrections of the source in each stretch.
    """

    mistakes: Mistakes
    corrections: Ints

    def usual(self, windows: Windows) -> Floats:
        """The most corrections in each window that are not unusual; infinite without a habit."""
        corrections = cumulative(self.corrections)
        whole = self._whole_windows(windows.size)
        if not whole.begin.size:
            return np.full(windows.begin.size, np.inf)
        shares = (corrections[whole.end] - corrections[whole.begin]) / np.maximum(self.mistakes.within(whole), 1e-9)
        earlier = np.searchsorted(whole.end, windows.begin, "right")
        busiest = np.maximum.accumulate(shares)[np.maximum(earlier - 1, 0)]
        usual = SEVERAL * np.maximum(SELDOM, busiest * self.mistakes.within(windows))
        return np.where((earlier > 0) & (corrections[windows.begin] >= HABIT), usual, np.inf)

    def _whole_windows(self, size: int) -> Windows:
        """All windows of that size that the end does not cut."""
        answers = self.mistakes.answers
        begin = np.arange(self.corrections.size)
        end = np.searchsorted(answers, answers[:-1] + size)
        is_whole = end <= self.corrections.size
        return Windows(size, begin[is_whole], end[is_whole])


def flag_stretches(traffic: Traffic, new: Ints, earlier: Ints, allowed: Callable[[Windows], Floats]) -> Bools:
    """Flag the stretches of windows that have new corrections and more corrections than chance explains.

    Args:
        traffic: Answers.
        new: New corrections in each stretch.
        earlier: Earlier corrections in each stretch.
        allowed: Expected corrections of windows.

    Returns:
        Shape (stretches + 1,); the last entry, for index -1, is False.
    """
    from scipy.stats import poisson

    flags = np.zeros(new.size + 1, np.bool_)
    new_before = cumulative(new)
    corrections_before = new_before + cumulative(earlier)
    tested = []
    for part in windows(traffic, np.flatnonzero(new + earlier)):
        has_new = new_before[part.end] > new_before[part.begin]
        tested.append(Windows(part.size, part.begin[has_new], part.end[has_new]))
    rare = RARE / max(1, sum(part.begin.size for part in tested))
    for part in tested:
        count = corrections_before[part.end] - corrections_before[part.begin]
        odd = (count > MOST_WRONG) & (poisson.sf(count - 1, np.minimum(allowed(part), 1e9)) < rare)
        for begin, end in zip(part.begin[odd], part.end[odd], strict=True):
            flags[begin:end] = True
    return flags


def windows(traffic: Traffic, begin: Ints) -> Iterator[Windows]:
    """The windows of every size that begin at these stretches, each once."""
    answers = cumulative(traffic.stretches["answers"].to_numpy())
    size = WINDOW
    while begin.size:
        end = np.minimum(np.searchsorted(answers, answers[begin] + size), answers.size - 1)
        yield Windows(size, begin, end)
        begin = begin[end < answers.size - 1]
        size *= 2


def cumulative(counts: np.ndarray[tuple[int, ...], np.dtype[Any]]) -> np.ndarray[tuple[int, ...], np.dtype[Any]]:
    """The sum of the counts before each index, and the sum of all at the end."""
    return np.concatenate([np.zeros(1, counts.dtype), np.cumsum(counts)])


def tally(places: Ints, count: int) -> Ints:
    """The number of entries at each of `count` places; entries of -1 are ignored."""
    return np.bincount(places[places >= 0], minlength=count).astype(np.int64)
