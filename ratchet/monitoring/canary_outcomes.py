"""Outcomes of a canary or shadow trial: the prediction log enters, the Verdict on two versions leaves.

A version was right on a live input if its answer is as good as the random audit's (`JudgingFace.loss`).
"""

from __future__ import annotations

from ratchet.data.prepare.label_sources import AUDIT
from ratchet.judging import canary_test
from ratchet.judging.canary_test import Verdict
from ratchet.monitoring.log import database
from ratchet.monitoring.log.database import Place
from ratchet.monitoring.log.predictions import HEARD, LAST
from ratchet.problem.problem import Problem
from ratchet.tasks import Task


def judge_trial(problem: Problem, champion: int, challenger: int) -> Verdict:
    """The verdict so far. Only audit labels count, since their inputs are a random sample."""
    log = database.place(problem.here)
    if not database.is_there(log):
        return canary_test.judge(0, 0, 0)
    if problem.settings.deploy.canary.shadow:
        rows = shadow_labels(log, problem.name, champion, challenger)
        champion_right = [is_right(problem.task, label, truth) for truth, label, _ in rows]
        challenger_right = [is_right(problem.task, label, truth) for truth, _, label in rows]
        return canary_test.paired(champion_right, challenger_right)
    return canary_test.split(*split_outcomes(problem.task, log, problem.name, champion, challenger))


def is_right(task: Task, answer: str, target: str) -> bool:
    return task.judging.loss(answer, target) == 0


AUDITED = f"""
    select predictions.id, digest, feedback.label, predictions.label from {HEARD}
    and problem = ? and version = ? and source = ? and role != 'shadow' and {LAST} order by predictions.id"""
SHADOWED = f"""
    select digest, min(label) from predictions where problem = ? and version = ? and role = 'shadow'
    and digest in (select digest from {HEARD} and source = ?) group by digest"""


def audited(log: Place, problem: str, version: int) -> list[tuple[str, str, str, str]]:
    """Id, digest, last audit label and the version's label of each distinct audited input, sorted by id."""
    with database.connected(log) as connection:
        rows = connection.execute(AUDITED, (problem, version, AUDIT)).fetchall()
    return sorted({digest or name: (name, digest, *labels) for name, digest, *labels in rows}.values())


def shadow_labels(log: Place, problem: str, champion: int, challenger: int) -> list[tuple[str, str, str]]:
    """The audit's, the champion's and the shadow challenger's label of each input that both versions answered."""
    with database.connected(log) as connection:
        by_digest = dict(connection.execute(SHADOWED, (problem, challenger, AUDIT)).fetchall())
    return [
        (truth, label, by_digest[digest])
        for _, digest, truth, label in audited(log, problem, champion)
        if digest in by_digest
    ]


def split_outcomes(
    task: Task, log: Place, problem: str, champion: int, challenger: int
) -> tuple[list[bool], list[bool]]:
    """Whether the champion and the challenger were right on each of their own inputs since the challenger's first.

    Earlier answers of the champion are left out: they would compare the traffic of then with the traffic of now.
    """
    challenger_rows = audited(log, problem, challenger)
    start = challenger_rows[0][0] if challenger_rows else ""
    champion_rows = [row for row in audited(log, problem, champion) if row[0] >= start]
    return (
        [is_right(task, label, truth) for *_, truth, label in champion_rows],
        [is_right(task, label, truth) for *_, truth, label in challenger_rows],
    )
