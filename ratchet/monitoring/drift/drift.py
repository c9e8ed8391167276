"""Drift of live traffic from the holdout: a reference and a live sample enter, a Drift leaves.

The kind's signals of answers are always compared, those of inputs if inputs are kept (`Task.signals`); of texts also
words, word length and signs; the accuracy if audited labels exist. The caller sets the false alarm rate of all tests
together (alpha_spending.py). A significant shift that is too small to matter is no drift.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ratchet.monitoring.drift import label_shift as label_shifts
from ratchet.monitoring.drift import two_sample
from ratchet.monitoring.drift.accuracy import RECENT, Accuracy, accuracies, rightness
from ratchet.monitoring.drift.alpha_spending import holm
from ratchet.monitoring.drift.domain_classifier import domain
from ratchet.monitoring.drift.label_shift import Prior
from ratchet.monitoring.drift.samples import FEWEST, NO_AUDIT, Audited, Flags, LiveSample, Reference
from ratchet.monitoring.drift.text_statistics import Traits, traits
from ratchet.monitoring.drift.two_sample import Ints, Sample, Shift
from ratchet.tasks import Task
from ratchet.tasks.values import Signal

STANDS = 0.01
"""A called drift stands until its p-value exceeds this, so that the verdict does not flicker between checks."""


@dataclass(frozen=True)
class Drift:
    """The result of a drift check.

    Attributes:
        drifted: Whether anything drifted.
        verdict: The verdict in words.
        rows: Distinct inputs of the live sample.
        accuracy: The version's accuracies.
        shifts: Tests of all quantities that were compared; empty if there were too few rows.
        shares: Shares of the classes now; empty if there were too few rows.
        unread: Why inputs were not compared; empty if they were.
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
        """The verdict in short: `too early to tell`, `drifted` or `steady`."""
        if self.rows < FEWEST:
            return "too early to tell"
        return "drifted" if self.drifted else "steady"

    @property
    def moved(self) -> str:
        """The quantities that drifted, in words; empty if none did."""
        return " and ".join(shift.what for shift in self.shifts if shift.drifted)


def compare(
    task: Task,
    reference: Reference,
    live: LiveSample,
    audited: Audited = NO_AUDIT,
    alpha: float = 0.01,
    standing: frozenset[str] = frozenset(),
) -> Drift:
    """Compare live traffic with the holdout on which the version was judged.

    Args:
        task: The kind of problem.
        reference: Holdout answers.
        live: Live answers.
        audited: Audited live answers.
        alpha: Chance of a false alarm that this check may spend.
        standing: Names of the quantities that earlier checks called.
    """
    rows = len(live.answered)
    accuracy = accuracies(task, reference, live, audited)
    if rows < FEWEST:
        learnt = f" ({live.learnt:,} more are of those that it was trained on)" if live.learnt else ""
        verdict = f"Too early to tell: {rows} distinct {task.units} were answered{learnt}, {FEWEST} are needed."
        return Drift(False, verdict, rows, accuracy)
    shifts = [*of_answers(task, reference, live), *of_truth(task, reference, audited)]
    unread = too_few_inputs(task, reference, live)
    if not unread:
        shifts += of_inputs(task, reference, live)
    judged = called(shifts, alpha, standing)
    moved = [shift.what for shift in judged if shift.drifted]
    verdict = verdict_of(moved, f"last {rows:,} distinct {task.units}")
    return Drift(bool(moved), verdict, rows, accuracy, judged, label_shift(task, reference, live), unread)


def verdict_of(moved: list[str], rows: str) -> str:
    if not moved:
        return f"Steady: the {rows} look like the holdout."
    listed = " and ".join([", ".join(moved[:-1]), moved[-1]] if moved[1:] else moved)
    return f"Drifted: {listed} moved over the {rows}."


def called(shifts: list[Shift], alpha: float, standing: frozenset[str]) -> tuple[Shift, ...]:
    """The shifts with the verdict on each, drifted ones first.

    Args:
        alpha: Family-wise error of all tests.
        standing: Names of the quantities that earlier checks called.
    """
    significant = holm([shift.p_value for shift in shifts], alpha)
    judged = []
    for shift, is_significant in zip(shifts, significant, strict=True):
        stands = shift.what in standing and shift.p_value <= STANDS
        judged.append(replace(shift, drifted=shift.effect >= shift.worth and (is_significant or stands)))
    return tuple(sorted(judged, key=lambda shift: (not shift.drifted, shift.p_value)))


def of_answers(task: Task, reference: Reference, live: LiveSample) -> list[Shift]:
    """Shifts of the signals of answers from the holdout.

    Classes are also compared with the first live answers. A holdout of few groups (46 films) determines the shares of
    the classes poorly, so a class that becomes more frequent hardly shows against it.
    """
    before, now = task.signals.of_answers(reference.answered), task.signals.of_answers(live.answered)
    shifts = list(shifts_of(before, reference.groups, now))
    if len(live.first) >= FEWEST:
        first = [signal for signal in task.signals.of_answers(live.first) if is_class(signal)]
        shifts += shifts_of(first, None, list(filter(is_class, now)), " since it went live")
    return shifts


def shifts_of(before: Sequence[Signal], groups: Ints | None, now: Sequence[Signal], since: str = "") -> Iterator[Shift]:
    """The shift of each signal, `since` added to its name."""
    for reference, recent in zip(before, now, strict=True):
        name = f"{recent.what}{since}"
        if is_class(recent):
            yield two_sample.classes(name, reference.values.astype(np.str_), groups, recent.values.astype(np.str_))
        else:
            sample = Sample(reference.values.astype(np.float64), groups)
            yield two_sample.numbers(name, sample, recent.values.astype(np.float64), recent.median)


def is_class(signal: Signal) -> bool:
    return signal.values.dtype.kind == "U"


def of_truth(task: Task, reference: Reference, audited: Audited) -> list[Shift]:
    """The shift of the accuracy; empty with too few audited labels, or where no answer is right or wrong."""
    if not task.can("right_or_wrong") or reference.truth is None or len(audited.truth) < FEWEST:
        return []
    answers = (reference.answered.answers, audited.answered.answers[:RECENT])
    before, now = (
        np.where(rightness(task, said, truth) > 0, "right", "wrong")
        for said, truth in zip(answers, (reference.truth, audited.truth[:RECENT]), strict=True)
    )
    return [two_sample.classes("accuracy", before, reference.groups, now)]


def of_inputs(task: Task, reference: Reference, live: LiveSample) -> list[Shift]:
    """Shifts of the signals of inputs, and of the words where they are texts."""
    before, now = task.signals.of_inputs(reference.inputs), task.signals.of_inputs(live.inputs)
    shifts = list(shifts_of(before, reference.input_groups, now))
    if task.signals.HAS_TEXTS:
        shifts += of_texts(traits(reference.inputs), reference.input_groups, traits(live.inputs), live.teach)
    return shifts


def of_texts(before: Traits, groups: Ints | None, now: Traits, teach: Flags) -> list[Shift]:
    """Shifts of word length, signs, unknown words, and of the words by the domain classifier.

    Args:
        before: Traits of the holdout's texts; half of them define the known words.
        groups: Groups of the holdout's texts.
        now: Traits of the live texts.
        teach: Mask of the live texts that train the classifier.
    """
    training = teaching(groups, before.words.size)
    train_words = before.words.of(training)
    scored_words = before.words.of(~training)
    scored_groups = None if groups is None else groups[~training]
    known = np.unique(train_words.hashes)
    unknown = Sample(scored_words.unknown(known), scored_groups)
    return [
        *of_form(before, now, groups),
        two_sample.numbers("unknown words", unknown, now.words.unknown(known), ".0%"),
        domain((train_words, scored_words), scored_groups, (now.words.of(teach), now.words.of(~teach))),
    ]


def of_form(before: Traits, now: Traits, groups: Ints | None) -> list[Shift]:
    """Shifts of word length and of signs and digits."""
    return [
        two_sample.numbers("word length", Sample(before.word_length, groups), now.word_length, ".2f"),
        two_sample.numbers("signs and digits", Sample(before.no_letters, groups), now.no_letters, ".1%"),
    ]


def teaching(groups: Ints | None, rows: int) -> Flags:
    """Mask of a random half of the reference that trains; no group is in both halves."""
    group = np.arange(rows) if groups is None else np.unique(groups, return_inverse=True)[1]
    if not rows:
        return np.zeros(0, np.bool_)
    return np.asarray((np.random.default_rng(0).permutation(group.max() + 1) % 2 == 0)[group])


def too_few_inputs(task: Task, reference: Reference, live: LiveSample) -> str:
    """Why inputs cannot be compared; empty if they can."""
    inputs, words = task.units, "words" if task.signals.HAS_TEXTS else "them"
    kept, judged = len(live.inputs), len(reference.inputs)
    if kept < FEWEST:
        return (
            f"The log keeps the {inputs} of {kept} of them (deploy.log.texts), {FEWEST} are needed to compare {words}."
        )
    if judged < FEWEST:
        return f"The holdout has {judged} {inputs}, {FEWEST} are needed to compare {words}."
    return ""


def label_shift(task: Task, reference: Reference, live: LiveSample) -> tuple[Prior, ...]:
    """The shares of the classes now; empty if the truth of the holdout is unknown, or no answer is right or wrong."""
    if reference.truth is None or not task.can("right_or_wrong"):
        return ()
    answers, recent_answers = reference.answered.answers, live.answered.answers
    names = np.concatenate([reference.truth, answers, recent_answers])
    labels, index = np.unique(names, return_inverse=True)
    true, predicted, recent = np.split(index, np.cumsum([len(reference.truth), len(answers)]))
    return label_shifts.shares_now(labels.tolist(), true, predicted, recent, reference.groups)
