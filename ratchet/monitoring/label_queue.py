"""What people are to label next: the prediction log enters, state/queue.json leaves, which the service's page offers.

Two lists, for two purposes. Audits are drawn by the hash of their text, whatever the model made of it: their labels
judge. Chosen texts are those that would teach the next version most: their labels train. Of either no more than MOST.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ratchet.monitoring.labels import audit_sample
from ratchet.monitoring.labels.active_learning import choose
from ratchet.monitoring.log import database, predictions
from ratchet.monitoring.log.predictions import Prediction
from ratchet.project import durable
from ratchet.project.data_pin import SplitSpec
from ratchet.project.problem import Problem

RECENT = 5_000
"""Answers that are looked at: the last ones."""
MOST = 50
"""Texts of either list; more would be of last week by the time that somebody has come so far."""


@dataclass(frozen=True)
class Queue:
    """Ids of predictions whose texts are to be labelled. at: seconds since 1970, when the log was read.

    audit: in the order of their hash. chosen: each with the probability with which it was drawn.
    """

    problem: str
    at: float
    audit: tuple[str, ...] = ()
    chosen: tuple[tuple[str, float], ...] = ()


def refresh(problem: Problem) -> Queue:
    """Read the log, rank what has no label, and leave the queue on the disk.

    Raises:
        Refusal: the log cannot be read, or data/ does not say how rows are split.
    """
    now, log, spec = time.time(), database.place(problem.here), problem.split
    queue = Queue(
        problem.name,
        now,
        audits(predictions.unaudited(log, problem.name, RECENT), spec, problem.settings.optimise.audit),
        chosen(predictions.unlabelled(log, problem.name, RECENT), spec, seed=time.time_ns()),
    )
    durable.write_json(problem.here.queue, asdict(queue))
    return queue


def audits(asked: list[Prediction], spec: SplitSpec, share: float) -> tuple[str, ...]:
    """Those in the audit, in the order of their hash, which is a random one."""
    asked = worth_asking(asked)
    texts = [each.text or "" for each in asked]
    where = audit_sample.places(texts, spec)
    drawn = np.flatnonzero(audit_sample.is_audited(texts, spec, share))
    return tuple(asked[at].id for at in drawn[np.argsort(where[drawn])][:MOST])


def chosen(asked: list[Prediction], spec: SplitSpec, seed: int) -> tuple[tuple[str, float], ...]:
    """Those that would teach most, of those that may train at all."""
    asked = worth_asking(asked)
    able = audit_sample.may_train([each.text or "" for each in asked], spec)
    asked = [each for each, may in zip(asked, able, strict=True) if may]
    drawn = choose([each.text or "" for each in asked], [1 - each.score for each in asked], MOST, seed)
    return tuple((asked[choice.index].id, choice.chance) for choice in drawn)


def worth_asking(asked: list[Prediction]) -> list[Prediction]:
    """Those whose text says anything: nobody can label a blank one, and no version learns from it."""
    return [each for each in asked if (each.text or "").strip()]


def read(path: Path, problem: str) -> Queue:
    """The queue as it was left, where it is the problem's; an empty one otherwise, or where it is damaged."""
    return understood(durable.read_json(path) or {}, problem)


def understood(written: dict[str, Any], problem: str) -> Queue:
    """The queue that a note holds; an empty one where it is none."""
    empty = Queue(problem, 0.0)
    if written.get("problem") != problem:
        return empty
    try:
        chosen = tuple((str(name), float(chance)) for name, chance in written["chosen"])
        return Queue(problem, float(written["at"]), tuple(map(str, written["audit"])), chosen)
    except (KeyError, TypeError, ValueError):
        return empty
