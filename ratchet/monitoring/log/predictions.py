"""Queries of the prediction log: state/predictions.db (SQLite in WAL mode) or PostgreSQL.

The log has two tables (database.py). `predictions` holds the answers; each has an id that the service returns with the
answer. `feedback` holds labels that people give for an id. The writer decides whether a text is kept whole
(`deploy.log.texts`); its digest is always kept. Two columns of `feedback` need a word:

- chance: Probability with which the text was chosen to be labelled (active learning); null if it was not chosen.
- taken: The label's `at` when the loop took it in or set it aside. It differs from `at` if the label was given again
  since, and is null if the label still waits.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ratchet.data.prepare.label_sources import AUDIT, CHOSEN, STRENGTH, USER
from ratchet.monitoring.log.database import Place, connected, is_there

INSERT = "insert into predictions values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing"
BATCH = "make predict"
"""The route of answers that no service gave. Their ids were shown to nobody, so they cannot be labelled."""
RANK = "case {}.source " + "".join(f"when '{name}' then {rank} " for name, rank in STRENGTH.items()) + "else 0 end"
WEAKER = f"{RANK.format('excluded')} < {RANK.format('feedback')}"
FEEDBACK = f"""insert into feedback (prediction, label, source, at, chance) values (?, ?, ?, ?, ?)
    on conflict (prediction, label) do update set
    at = case when {WEAKER} then feedback.at else excluded.at end,
    source = case when {WEAKER} then feedback.source else excluded.source end,
    chance = case when {WEAKER} then feedback.chance else excluded.chance end"""
"""Upsert of a label. A repeated label counts once, with the time at which its strongest source (audit, chosen, user)
gave it last. So a label that an audit revoked stays revoked when a weaker source repeats it."""
HEARD = "feedback cross join predictions where predictions.id = prediction"
"""Labels joined with their answers. `cross join` makes SQLite read feedback, the smaller table, first."""
LAST = """not exists (select 1 from feedback as later where later.prediction = feedback.prediction
    and later.source = feedback.source and (later.at, later.label) > (feedback.at, feedback.label))"""
"""Condition: the label is the last of its source on that prediction, so a changed label counts once."""
OURS = "not exists (select 1 from predictions where id = prediction and problem != ?)"
"""Condition: the label belongs to no other problem. A label whose prediction is gone belongs to every problem."""

MISTAKES = f"""
    select predictions.*, feedback.label from {HEARD} and problem = ? and feedback.label != predictions.label
    and not exists (
        select 1 from feedback later where later.prediction = feedback.prediction and later.at > feedback.at)
    order by feedback.at desc limit ?"""
AUDITED = f"""
    select predictions.*, feedback.label from {HEARD} and problem = ? and version = ? and source = 'audit'
    order by feedback.at desc limit ?"""

TAKE = "update feedback set taken = at where prediction = ? and label = ? and at = ?"
FORGET_LABELS = """delete from feedback where prediction < ? and not exists (
    select 1 from feedback as waits where waits.prediction = feedback.prediction
    and (waits.taken is null or waits.taken != waits.at))
    and (? = '' or not exists (select 1 from predictions where id = prediction and problem != ?))"""
"""Deletes all labels of an answer together: a waiting label of a user must not outlive the audit's stronger label."""
FORGET_ANSWERS = """delete from predictions where id < ? and (? = '' or problem = ?)
    and id not in (select prediction from feedback)"""

AT_ONCE, REPEATS, LEAST = 5_000, 20, 20_000
"""Rows of one query; and the search for distinct texts ends after REPEATS rows a text, but not before LEAST rows."""

Row = tuple[str, float, str, int, str, str, str, float, int, str, "str | None", "float | None"]


@dataclass(frozen=True)
class Prediction:
    """A logged answer.

    Attributes:
        id: 32 hexadecimal digits that rise with time.
        at: Seconds since 1970.
        problem: Name of the problem.
        version: Model version that answered.
        role: `champion`, `challenger` or `shadow`.
        route: Route of the request.
        label: Answer.
        score: Confidence in it; 0 where the kind states none.
        characters: Length of the input.
        digest: Digest of the input.
        text: Input, redacted if the policy says so; None if the policy keeps none.
        seconds: Time from the request to the answer.
        said: Label that a person gave last; None if there is none.
    """

    id: str
    at: float
    problem: str
    version: int
    role: str
    route: str
    label: str
    score: float
    characters: int
    digest: str
    text: str | None
    seconds: float | None
    said: str | None = None


@dataclass(frozen=True)
class Label:
    """A label that a person gave.

    Attributes:
        prediction: Id of the prediction.
        label: Label.
        at: Seconds since 1970.
        new: Whether the loop has not looked at this label yet.
    """

    prediction: str
    label: str
    at: float
    new: bool


def identities(count: int, now: float | None = None) -> list[str]:
    """New ids in rising order: 32 hexadecimal digits of milliseconds since 1970, 64 random bits and a counter."""
    head = f"{int(1000 * (time.time() if now is None else now)):012x}{os.urandom(8).hex()}"
    return [f"{head}{number:04x}" for number in range(count)] if count <= 1 << 16 else _many(count)


def _many(count: int) -> list[str]:
    return [name for start in range(0, count, 1 << 16) for name in identities(min(1 << 16, count - start))]


def repeatable(count: int, began: int, token: str, part: int) -> list[str]:
    """Ids of one part of a batch job, the same at each call, so that a repeated part is not logged twice.

    Args:
        count: Number of ids, at most 65,536.
        began: Start of the job, milliseconds since 1970.
        token: 8 hexadecimal digits that identify the job.
        part: Number of the part.
    """
    return [f"{began:012x}{token}{part:08x}{number:04x}" for number in range(count)]


def digest(text: str) -> str:
    """The first 64 bits of the text's SHA-256: it identifies equal texts without keeping them."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def record(
    log: Place,
    problem: str,
    version: int,
    answers: Sequence[tuple[str, str, float]],
    names: Sequence[str] | None = None,
) -> None:
    """Log answers that no service gave, without their inputs.

    Args:
        answers: Input, answer and score of each.
        names: Ids; new ones by default. An id that is logged already is left unchanged.
    """
    now = time.time()
    names = identities(len(answers), now) if names is None else names
    rows: Iterable[Row] = (
        (name, now, problem, version, "champion", BATCH, label, score, len(text), digest(text), None, None)
        for name, (text, label, score) in zip(names, answers, strict=True)
    )
    with connected(log) as connection:
        connection.executemany(INSERT, rows)


def latest(log: Place, problem: str, version: int, most: int) -> list[Prediction]:
    """The last answers of a version, newest first; a repeated text counts once, with its newest answer.

    The search ends after max(LEAST, REPEATS * most) rows.
    """
    answers: dict[str, Prediction] = {}
    before = "g"  # above any hexadecimal id, in every collation
    left = max(LEAST, REPEATS * most)
    while left > 0 and len(answers) < most and is_there(log):
        with connected(log) as connection:
            rows = connection.execute(
                "select * from predictions where problem = ? and version = ? and id < ? order by id desc limit ?",
                (problem, version, before, min(left, AT_ONCE)),
            ).fetchall()
        for answer in (Prediction(*row) for row in rows):
            answers.setdefault(answer.digest or answer.id, answer)
        if len(rows) < min(left, AT_ONCE):
            break
        before = rows[-1][0]
        left -= len(rows)
    return list(answers.values())[:most]


def earliest(log: Place, problem: str, version: int, before: str, most: int) -> list[Prediction]:
    """The first answers of a version with ids below `before`; each text once."""
    if not is_there(log):
        return []
    with connected(log) as connection:
        rows = connection.execute(
            "select * from predictions where problem = ? and version = ? and id < ? order by id limit ?",
            (problem, version, before, most),
        ).fetchall()
    answers = [Prediction(*row) for row in rows]
    return list({answer.digest or answer.id: answer for answer in answers}.values())


def audited(log: Place, problem: str, version: int, most: int) -> list[Prediction]:
    """Answers with the label of the random audit in `said`, newest first; each text once."""
    if not is_there(log):
        return []
    with connected(log) as connection:
        rows = connection.execute(AUDITED, (problem, version, most)).fetchall()
    answers: dict[str, Prediction] = {}
    for *row, label in rows:
        answer = replace(Prediction(*row), said=label)
        answers.setdefault(answer.digest or answer.id, answer)
    return list(answers.values())


def count_waiting_labels(log: Place, problem: str) -> int:
    """Number of labels of a problem that wait to be taken in; a label that was given twice counts once."""
    if not is_there(log):
        return 0
    with connected(log) as connection:
        cursor = connection.execute(f"select count(*) from feedback where taken is null and {OURS}", (problem,))
        (count,) = cursor.fetchone()
    return int(count)


def waiting_labels(log: Place, problem: str) -> list[Label]:
    """The labels of a problem that were given, or given again, since the loop last collected labels."""
    if not is_there(log):
        return []
    with connected(log) as connection:
        rows = connection.execute(
            "select prediction, label, at, taken is null from feedback "
            f"where (taken is null or taken != at) and {OURS} order by prediction, label",
            (problem,),
        ).fetchall()
    return [Label(name, label, at, bool(new)) for name, label, at, new in rows]


def mark_taken(log: Place, given_labels: Sequence[Label]) -> None:
    """Mark labels as taken in or set aside, so that `forget` may delete them; AT_ONCE in a transaction.

    A label that was given again in the meantime is not marked and waits.
    """
    for start in range(0, len(given_labels), AT_ONCE):
        with connected(log) as connection:
            for label in given_labels[start : start + AT_ONCE]:
                connection.execute(TAKE, (label.prediction, label.label, label.at))


def forget(connection: Any, problem: str, before: str) -> None:
    """Delete the answers with ids below `before`, except those with labels that still wait.

    Args:
        problem: Problem of the answers; empty for all problems.
    """
    connection.execute(FORGET_LABELS, (before, problem, problem))
    connection.execute(FORGET_ANSWERS, (before, problem, problem))


def find(log: Place, name: str) -> Prediction | None:
    """The prediction of an id with its last label in `said`; None if it is not logged."""
    if not is_there(log):
        return None
    with connected(log) as connection:
        row = connection.execute("select * from predictions where id = ?", (name,)).fetchone()
        if row is None:
            return None
        label = connection.execute(
            "select label from feedback where prediction = ? order by at desc limit 1", (name,)
        ).fetchone()
    return replace(Prediction(*row), said=label[0] if label else None)


def mistakes(log: Place, problem: str, most: int) -> list[Prediction]:
    """The answers that people corrected last, newest correction first."""
    if not is_there(log):
        return []
    with connected(log) as connection:
        rows = connection.execute(MISTAKES, (problem, most)).fetchall()
    return [replace(Prediction(*row), said=label) for *row, label in rows]


def unlabelled(log: Place, problem: str, most: int) -> list[Prediction]:
    """The answers without a label among the last `most` answers whose text is kept, newest first.

    A repeated text counts once, with its last answer. Shadow answers are left out, since nobody saw them.
    """
    return _without_label(log, problem, most, (AUDIT, CHOSEN, USER))


def unaudited(log: Place, problem: str, most: int) -> list[Prediction]:
    """Like `unlabelled`, but without an audit label only.

    Answers that people corrected or that were chosen are included: an audit without them would see fewer mistakes.
    """
    return _without_label(log, problem, most, (AUDIT,))


def _without_label(log: Place, problem: str, most: int, sources: Sequence[str]) -> list[Prediction]:
    """The last answers to texts that have no label of these sources."""
    if not is_there(log):
        return []
    marks = ", ".join("?" * len(sources))
    with connected(log) as connection:
        labelled = connection.execute(
            f"select distinct digest from {HEARD} and problem = ? and source in ({marks})",
            (problem, *sources),
        ).fetchall()
        rows = connection.execute(
            "select * from predictions where problem || '' = ? "  # by id from the end, not by the index and then sorted
            "and role in ('champion', 'challenger') and text is not null order by id desc limit ?",
            (problem, most),
        ).fetchall()
    skipped = {digest for (digest,) in labelled}
    answers = list[Prediction]()
    for answer in (Prediction(*row) for row in rows):
        if answer.digest not in skipped:
            skipped.add(answer.digest)
            answers.append(answer)
    return answers
