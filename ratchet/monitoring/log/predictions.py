"""The log of what was answered and of what people said of it: state/predictions.db, SQLite in WAL mode; or PostgreSQL.

A prediction has an id that is given out with the answer; feedback is a label that a person gives for an id. Whether a
text is kept whole is the writer's choice (`deploy.log.texts`); its digest is always there. chance: the probability
with which a text was chosen to be asked about; null for labels that nobody chose. taken: when the label that the loop
has taken in or set aside was given, the same as `at` unless it was given again since; null for one that still waits.
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
"""The route of what was answered with no service: nobody was shown an id to label it by."""
RANK = "case {}.source " + "".join(f"when '{name}' then {rank} " for name, rank in STRENGTH.items()) + "else 0 end"
WEAKER = f"{RANK.format('excluded')} < {RANK.format('feedback')}"
FEEDBACK = f"""insert into feedback (prediction, label, source, at, chance) values (?, ?, ?, ?, ?)
    on conflict (prediction, label) do update set
    at = case when {WEAKER} then feedback.at else excluded.at end,
    source = case when {WEAKER} then feedback.source else excluded.source end,
    chance = case when {WEAKER} then feedback.chance else excluded.chance end"""
"""Said twice, a label counts once, as of the last time that the strongest source (audit, chosen, user) said it: what
an audit took back stays taken back, whoever says it after."""
HEARD = "feedback cross join predictions where predictions.id = prediction"
"""Labels with the answers that they are of; written as SQLite reads the smaller table first, which it cannot know."""
LAST = """not exists (select 1 from feedback as later where later.prediction = feedback.prediction
    and later.source = feedback.source and (later.at, later.label) > (feedback.at, feedback.label))"""
"""That a label is the last word of its source on that prediction: who changed their mind counts once."""
OURS = "not exists (select 1 from predictions where id = prediction and problem != ?)"
"""That a label is of no other problem; one whose prediction is gone is of any."""

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
"""All that was said of an answer goes at once: a user's word that waits must not outlive the audit's stronger one."""
FORGET_ANSWERS = """delete from predictions where id < ? and (? = '' or problem = ?)
    and id not in (select prediction from feedback)"""

AT_ONCE, REPEATS, LEAST = 5_000, 20, 20_000
"""Rows that are read together; how many times as many rows as distinct texts are read at most, or at least so many."""

Row = tuple[str, float, str, int, str, str, str, float, int, str, "str | None", "float | None"]


@dataclass(frozen=True)
class Prediction:
    """One answer as it is logged. at: seconds since 1970. role: `champion`, `challenger` or `shadow`.

    text: None where the policy is not to keep it, or only redacted. seconds: from the request to the answer.
    said: the label that a person gave last, None where nobody did.
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
    """What somebody said of a prediction. at: seconds since 1970. new: the loop has not looked at that label yet."""

    prediction: str
    label: str
    at: float
    new: bool


def identities(count: int, now: float | None = None) -> list[str]:
    """New ids, in rising order: milliseconds since 1970, 64 random bits, a number; 32 hexadecimal digits."""
    head = f"{int(1000 * (time.time() if now is None else now)):012x}{os.urandom(8).hex()}"
    return [f"{head}{number:04x}" for number in range(count)] if count <= 1 << 16 else _many(count)


def _many(count: int) -> list[str]:
    return [name for start in range(0, count, 1 << 16) for name in identities(min(1 << 16, count - start))]


def repeatable(count: int, began: int, token: str, part: int) -> list[str]:
    """Ids of a part of a long piece of work, the same each time: a part that is made again is not logged twice.

    Args:
        count: of them, at most 65,536. began: milliseconds since 1970. token: 8 hexadecimal digits, of the work.
    """
    return [f"{began:012x}{token}{part:08x}{number:04x}" for number in range(count)]


def digest(text: str) -> str:
    """Tells equal texts from others without keeping them: the first 64 bits of SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def record(
    log: Place,
    problem: str,
    version: int,
    answers: Sequence[tuple[str, str, float]],
    names: Sequence[str] | None = None,
) -> None:
    """Add what was answered with no server, each as (text, label, score of that label); no text is kept.

    names: ids; new ones by default. Of an id that is there already, nothing is changed.
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
    """What one version answered last, newest first; a text that was asked again counts once, by its newest answer.

    So somebody who asks one thing all day is one text. The search for `most` texts has an end.
    """
    found: dict[str, Prediction] = {}
    before, left = "g", max(LEAST, REPEATS * most)  # above any id, in whatever order of signs: ids are hexadecimal
    while left > 0 and len(found) < most and is_there(log):
        with connected(log) as connection:
            rows = connection.execute(
                "select * from predictions where problem = ? and version = ? and id < ? order by id desc limit ?",
                (problem, version, before, min(left, AT_ONCE)),
            ).fetchall()
        for each in (Prediction(*row) for row in rows):
            found.setdefault(each.digest or each.id, each)
        if len(rows) < min(left, AT_ONCE):
            break
        before, left = rows[-1][0], left - len(rows)
    return list(found.values())[:most]


def earliest(log: Place, problem: str, version: int, before: str, most: int) -> list[Prediction]:
    """What one version answered first, of what has an id before that one; each text once."""
    if not is_there(log):
        return []
    with connected(log) as connection:
        rows = connection.execute(
            "select * from predictions where problem = ? and version = ? and id < ? order by id limit ?",
            (problem, version, before, most),
        ).fetchall()
    return list({each.digest or each.id: each for each in (Prediction(*row) for row in rows)}.values())


def audited(log: Place, problem: str, version: int, most: int) -> list[Prediction]:
    """Answers that a random audit said the right label of, in `said`, newest first; each text once."""
    if not is_there(log):
        return []
    with connected(log) as connection:
        rows = connection.execute(AUDITED, (problem, version, most)).fetchall()
    found: dict[str, Prediction] = {}
    for *row, said in rows:
        each = replace(Prediction(*row), said=said)
        found.setdefault(each.digest or each.id, each)
    return list(found.values())


def labels(log: Place, problem: str) -> int:
    """How many labels of a problem wait to be taken in, each counted once a prediction and label."""
    if not is_there(log):
        return 0
    with connected(log) as connection:
        found = connection.execute(f"select count(*) from feedback where taken is null and {OURS}", (problem,))
        (count,) = found.fetchone()
    return int(count)


def untaken(log: Place, problem: str) -> list[Label]:
    """The labels of a problem that were given, or given again, since the loop took in or set aside what there was."""
    if not is_there(log):
        return []
    with connected(log) as connection:
        rows = connection.execute(
            "select prediction, label, at, taken is null from feedback "
            f"where (taken is null or taken != at) and {OURS} order by prediction, label",
            (problem,),
        ).fetchall()
    return [Label(name, label, at, bool(new)) for name, label, at, new in rows]


def take(log: Place, labels: Sequence[Label]) -> None:
    """Note that these are taken in or set aside, so that they may be forgotten in their time; some at a time.

    One that is given again meanwhile is another, and waits.
    """
    for start in range(0, len(labels), AT_ONCE):
        with connected(log) as connection:
            for each in labels[start : start + AT_ONCE]:
                connection.execute(TAKE, (each.prediction, each.label, each.at))


def forget(connection: Any, problem: str, before: str) -> None:
    """Remove the answers with an id below that one, but for what somebody labelled and no data version has yet.

    problem: whose answers; those of all where it is empty.
    """
    connection.execute(FORGET_LABELS, (before, problem, problem))
    connection.execute(FORGET_ANSWERS, (before, problem, problem))


def find(log: Place, name: str) -> Prediction | None:
    """The prediction of that id, with what was said of it last; None where none is logged."""
    if not is_there(log):
        return None
    with connected(log) as connection:
        row = connection.execute("select * from predictions where id = ?", (name,)).fetchone()
        if row is None:
            return None
        said = connection.execute(
            "select label from feedback where prediction = ? order by at desc limit 1", (name,)
        ).fetchone()
    return replace(Prediction(*row), said=said[0] if said else None)


def mistakes(log: Place, problem: str, most: int) -> list[Prediction]:
    """The answers that people corrected last, newest first."""
    if not is_there(log):
        return []
    with connected(log) as connection:
        rows = connection.execute(MISTAKES, (problem, most)).fetchall()
    return [replace(Prediction(*row), said=said) for *row, said in rows]


def unlabelled(log: Place, problem: str, most: int) -> list[Prediction]:
    """Of the last `most` answers whose text is kept: those to texts of which nobody has said anything, newest first.

    Each text is there once, with its last answer; what was answered in the shadow is left out, as nobody saw it.
    """
    return _unheard(log, problem, most, (AUDIT, CHOSEN, USER))


def unaudited(log: Place, problem: str, most: int) -> list[Prediction]:
    """The same with those that people corrected or that were chosen: an audit without them would see fewer mistakes."""
    return _unheard(log, problem, most, (AUDIT,))


def _unheard(log: Place, problem: str, most: int, sources: Sequence[str]) -> list[Prediction]:
    """The last answers to texts that have no label of these sources."""
    if not is_there(log):
        return []
    marks = ", ".join("?" * len(sources))
    with connected(log) as connection:
        heard = connection.execute(
            f"select distinct digest from {HEARD} and problem = ? and source in ({marks})",
            (problem, *sources),
        ).fetchall()
        rows = connection.execute(
            "select * from predictions where problem || '' = ? "  # by id from the end, not by the index and then sorted
            "and role in ('champion', 'challenger') and text is not null order by id desc limit ?",
            (problem, most),
        ).fetchall()
    passed = {digest for (digest,) in heard}
    found = list[Prediction]()
    for each in (Prediction(*row) for row in rows):
        if each.digest not in passed:
            passed.add(each.digest)
            found.append(each)
    return found
