"""The queue of inputs to label: the prediction log enters, state/queue.json leaves, which the service's page offers.

The queue has two lists of at most MOST inputs, both empty for a kind without feedback:

- audit: a random sample by the hash of the input, independent of the model; its labels judge.
- chosen: the inputs that would teach the next version most (active learning); their labels train. It needs a kind that
  states its confidence.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ratchet.monitoring.labels import audit_sample
from ratchet.monitoring.labels.active_learning import choose
from ratchet.monitoring.log import database, predictions
from ratchet.monitoring.log.predictions import Prediction
from ratchet.problem.data_pin import SplitSpec
from ratchet.problem.problem import Problem
from ratchet.project import durable

RECENT = 5_000
"""Number of last answers that are considered."""
MOST = 50
"""Most inputs of a list; more would be outdated by the time that a person reaches them."""


@dataclass(frozen=True)
class Queue:
    """Predictions whose inputs are to be labelled.

    Attributes:
        problem: Name of the problem.
        at: Time at which the log was read, seconds since 1970.
        audit: Ids of the audit, in the order of their hash.
        chosen: Chosen ids, each with the probability of its draw.
    """

    problem: str
    at: float
    audit: tuple[str, ...] = ()
    chosen: tuple[tuple[str, float], ...] = ()


def refresh(problem: Problem) -> Queue:
    """Rank the unlabelled answers of the log and write the queue to the disk.

    Raises:
        Refusal: The log cannot be read, or data/ does not define the split.
    """
    now, log, spec, task = time.time(), database.place(problem.here), problem.split, problem.task
    has_audit = task.can("feedback")
    has_doubts = has_audit and task.can("confidence")
    unaudited = predictions.unaudited(log, problem.name, RECENT) if has_audit else []
    unlabelled = predictions.unlabelled(log, problem.name, RECENT) if has_doubts else []
    queue = Queue(
        problem.name,
        now,
        audits(unaudited, spec, problem.settings.optimise.audit),
        chosen(unlabelled, spec, seed=time.time_ns()),
    )
    durable.write_json(problem.here.queue, asdict(queue))
    return queue


def audits(answers: list[Prediction], spec: SplitSpec, share: float) -> tuple[str, ...]:
    """Ids of the answers in the random audit, in the order of their hash, which is random."""
    answers = with_text(answers)
    texts = [answer.text or "" for answer in answers]
    places = audit_sample.places(texts, spec)
    audited = np.flatnonzero(audit_sample.is_audited(texts, spec, share))
    return tuple(answers[at].id for at in audited[np.argsort(places[audited])][:MOST])


def chosen(answers: list[Prediction], spec: SplitSpec, seed: int) -> tuple[tuple[str, float], ...]:
    """Ids and draw probabilities of the answers that would teach most, among those whose input may train."""
    answers = with_text(answers)
    may_train = audit_sample.may_train([answer.text or "" for answer in answers], spec)
    answers = [answer for answer, is_allowed in zip(answers, may_train, strict=True) if is_allowed]
    choices = choose([answer.text or "" for answer in answers], [1 - answer.score for answer in answers], MOST, seed)
    return tuple((answers[choice.index].id, choice.chance) for choice in choices)


def with_text(answers: list[Prediction]) -> list[Prediction]:
    """The answers whose input is not blank: a blank one cannot be labelled, and no version learns from it."""
    return [answer for answer in answers if (answer.text or "").strip()]


def read(path: Path, problem: str) -> Queue:
    """Read the queue; an empty one if the file is missing, damaged or of another problem."""
    content = durable.read_json(path) or {}
    empty = Queue(problem, 0.0)
    if content.get("problem") != problem:
        return empty
    try:
        chosen = tuple((str(name), float(chance)) for name, chance in content["chosen"])
        return Queue(problem, float(content["at"]), tuple(map(str, content["audit"])), chosen)
    except (KeyError, TypeError, ValueError):
        return empty
