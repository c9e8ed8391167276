"""Who was right on live texts: answers of two versions held against what the random audit says."""

from __future__ import annotations

from ratchet.data.prepare.label_sources import AUDIT
from ratchet.judging import canary_test
from ratchet.judging.canary_test import Verdict
from ratchet.monitoring.log import database
from ratchet.monitoring.log.database import Place
from ratchet.monitoring.log.predictions import HEARD, LAST
from ratchet.project.problem import Problem


def of_trial(problem: Problem, champion: int, challenger: int) -> Verdict:
    """The verdict so far; the audit's labels alone count, for nobody chose their texts."""
    log = database.place(problem.here)
    if not database.is_there(log):
        return canary_test.judge(0, 0, 0)
    if problem.settings.deploy.canary.shadow:
        both = answered_by_both(log, problem.name, champion, challenger)
        return canary_test.paired([its == truth for truth, its, _ in both], [mine == truth for truth, _, mine in both])
    return canary_test.split(*answered_apart(log, problem.name, champion, challenger))


AUDITED = f"""
    select predictions.id, digest, feedback.label, predictions.label from {HEARD}
    and problem = ? and version = ? and source = ? and role != 'shadow' and {LAST} order by predictions.id"""
SHADOWED = f"""
    select digest, min(label) from predictions where problem = ? and version = ? and role = 'shadow'
    and digest in (select digest from {HEARD} and source = ?) group by digest"""


def audited(log: Place, problem: str, version: int) -> list[tuple[str, str, str, str]]:
    """Id, digest, the audit's last word and the version's label, of each text that the audit labelled; by id."""
    with database.connected(log) as connection:
        rows = connection.execute(AUDITED, (problem, version, AUDIT)).fetchall()
    return sorted({digest or name: (name, digest, *said) for name, digest, *said in rows}.values())


def answered_by_both(log: Place, problem: str, champion: int, challenger: int) -> list[tuple[str, str, str]]:
    """The audit's label, the champion's and the challenger's in its shadow, of each text that both answered."""
    with database.connected(log) as connection:
        its = dict(connection.execute(SHADOWED, (problem, challenger, AUDIT)).fetchall())
    return [(truth, label, its[text]) for _, text, truth, label in audited(log, problem, champion) if text in its]


def answered_apart(log: Place, problem: str, champion: int, challenger: int) -> tuple[list[bool], list[bool]]:
    """Whether the champion was right, and whether the challenger was, on the texts that each was asked since both are.

    What the champion was asked before would hold the world of then against that of today.
    """
    mine = audited(log, problem, challenger)
    began = mine[0][0] if mine else ""
    its = [found for found in audited(log, problem, champion) if found[0] >= began]
    return [label == truth for *_, truth, label in its], [label == truth for *_, truth, label in mine]
