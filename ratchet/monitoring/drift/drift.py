"""Has what the model meets moved away from what it was judged on? Two sets of answers enter, a Drift leaves.

Length, answers and confidence are compared always; words, word length and signs where texts are kept; the share of
right answers where randomly audited labels came. How sure all of it together must be is the caller's to say
(spending.py), and a move that is certain but too small to matter is none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ratchet.monitoring.drift import label_shift as priors
from ratchet.monitoring.drift import two_sample
from ratchet.monitoring.drift.accuracy import RECENT, Accuracy, accuracies
from ratchet.monitoring.drift.alpha_spending import holm
from ratchet.monitoring.drift.domain_classifier import domain
from ratchet.monitoring.drift.label_shift import Prior
from ratchet.monitoring.drift.samples import FEWEST, NOBODY, Audited, Flags, LiveSample, Reference
from ratchet.monitoring.drift.text_statistics import Traits, traits
from ratchet.monitoring.drift.two_sample import Ints, Sample, Shift

STANDS = 0.01
"""A move that was called stands until its p-value is above this: a verdict must not come and go from look to look."""


@dataclass(frozen=True)
class Drift:
    """The verdict over all that was compared, in words first, and what the accuracy comes to.

    rows: distinct texts that were looked at. shifts, shares: empty where there was too little to compare.
    unread: why texts were not compared, empty where they were.
    """

    drifted: bool
    verdict: str
    rows: int
    accuracy: Accuracy
    shifts: tuple[Shift, ...] = ()
    shares: tuple[Prior, ...] = ()
    unread: str = ""

    @property
    def headline(self) -> str:
        """The verdict in a few words: `too early to tell`, `drifted` or `steady`."""
        if self.rows < FEWEST:
            return "too early to tell"
        return "drifted" if self.drifted else "steady"

    @property
    def moved(self) -> str:
        """What drifted, in words; empty where nothing did."""
        return " and ".join(shift.what for shift in self.shifts if shift.drifted)


def compare(
    judged: Reference,
    met: LiveSample,
    audited: Audited = NOBODY,
    alpha: float = 0.01,
    standing: frozenset[str] = frozenset(),
) -> Drift:
    """Hold what is met now against what the version was judged on.

    Args:
        alpha: the chance of a false alarm that this look may take. standing: what earlier looks called.
    """
    rows = len(met.labels)
    accuracy = accuracies(judged, met, audited)
    if rows < FEWEST:
        but = f" ({met.learnt:,} more are of those that it was trained on)" if met.learnt else ""
        verdict = f"Too early to tell: {rows} distinct texts were answered{but}, {FEWEST} are needed."
        return Drift(False, verdict, rows, accuracy)
    found = [*of_answers(judged, met), *of_truth(judged, audited)]
    unread = too_few_texts(judged, met)
    if not unread:
        found += of_texts(traits(judged.texts), judged.text_groups, traits(met.texts), met.teach)
    shifts = called(found, alpha, standing)
    moved = [each.what for each in shifts if each.drifted]
    return Drift(bool(moved), words(moved, rows), rows, accuracy, shifts, label_shift(judged, met), unread)


def words(moved: list[str], rows: int) -> str:
    if not moved:
        return f"Steady: the last {rows:,} distinct texts look like the holdout."
    listed = " and ".join([", ".join(moved[:-1]), moved[-1]] if moved[1:] else moved)
    return f"Drifted: {listed} moved over the last {rows:,} distinct texts."


def called(found: list[Shift], alpha: float, standing: frozenset[str]) -> tuple[Shift, ...]:
    """The shifts with the verdict on each, those that are called first."""
    held = holm([each.p_value for each in found], alpha)
    told = [
        replace(
            each, drifted=each.effect >= each.worth and (sure or (each.what in standing and each.p_value <= STANDS))
        )
        for each, sure in zip(found, held, strict=True)
    ]
    return tuple(sorted(told, key=lambda each: (not each.drifted, each.p_value)))


def of_answers(judged: Reference, met: LiveSample) -> list[Shift]:
    """Length, label and confidence, held against the holdout; and the label also against the first texts of all.

    A holdout of few groups (46 films) says little of how often a label is usual, so a class that becomes more frequent
    hardly shows against it.
    """
    found = [
        two_sample.numbers("text length", Sample(judged.characters, judged.groups), met.characters, ",.0f"),
        two_sample.classes("predicted label", judged.labels, judged.groups, met.labels),
        two_sample.numbers("confidence", Sample(judged.scores, judged.groups), met.scores),
    ]
    if len(met.first) >= FEWEST:
        found.append(two_sample.classes("predicted label since it went live", met.first, None, met.labels))
    return found


def of_truth(judged: Reference, audited: Audited) -> list[Shift]:
    """Whether it is right as often as it was, where enough audited labels came."""
    if judged.right is None or len(audited.labels) < FEWEST:
        return []
    before, now = (np.where(right > 0, "right", "wrong") for right in (judged.right, audited.right[:RECENT]))
    return [two_sample.classes("accuracy", before, judged.groups, now)]


def of_texts(before: Traits, groups: Ints | None, now: Traits, teach: Flags) -> list[Shift]:
    """Word length, signs, unknown words, and the classifier. Half of the reference says which words are known.

    teach: which of the recent texts teach the classifier.
    """
    mine = teaching(groups, before.words.size)
    learnt, rest = before.words.of(mine), before.words.of(~mine)
    scored = None if groups is None else groups[~mine]
    known = np.unique(learnt.hashes)
    return [
        *of_form(before, now, groups),
        two_sample.numbers("unknown words", Sample(rest.unknown(known), scored), now.words.unknown(known), ".0%"),
        domain((learnt, rest), scored, (now.words.of(teach), now.words.of(~teach))),
    ]


def of_form(before: Traits, now: Traits, groups: Ints | None) -> list[Shift]:
    return [
        two_sample.numbers("word length", Sample(before.word_length, groups), now.word_length, ".2f"),
        two_sample.numbers("signs and digits", Sample(before.no_letters, groups), now.no_letters, ".1%"),
    ]


def teaching(groups: Ints | None, rows: int) -> Flags:
    """A half of the reference, no group in both."""
    place = np.arange(rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    if not rows:
        return np.zeros(0, np.bool_)
    return np.asarray((np.random.default_rng(0).permutation(place.max() + 1) % 2 == 0)[place])


def too_few_texts(judged: Reference, met: LiveSample) -> str:
    """Why texts cannot be compared; empty where they can."""
    kept = len(met.texts)
    if kept < FEWEST:
        return f"The log keeps the texts of {kept} of them (deploy.log.texts), {FEWEST} are needed to compare words."
    if len(judged.texts) < FEWEST:
        return f"The holdout has {len(judged.texts)} texts, {FEWEST} are needed to compare words."
    return ""


def label_shift(judged: Reference, met: LiveSample) -> tuple[Prior, ...]:
    """The classes' shares now; nothing where the truth of the holdout is not known."""
    if judged.truth is None:
        return ()
    labels, place = np.unique(np.concatenate([judged.truth, judged.labels, met.labels]), return_inverse=True)
    true, predicted, recent = np.split(place, np.cumsum([len(judged.truth), len(judged.labels)]))
    return priors.priors(labels.tolist(), true, predicted, recent, judged.groups)
