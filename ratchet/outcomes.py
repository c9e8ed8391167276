"""Who was right on live texts: answers of two versions held against what the random audit says."""

from __future__ import annotations

from typing import Any

from ratchet import predictions
from ratchet.predictions import Place
from ratchet.problem import Problem
from ratchet.steps import trial
from ratchet.steps.feedback import AUDIT
from ratchet.steps.trial import Verdict


def of_trial(problem: Problem, champion: int, challenger: int) -> Verdict:
    """The verdict so far; the audit's labels alone count, for nobody chose their texts."""
    log = predictions.place(problem.here)
    if not predictions.is_there(log):
        return trial.judge(0, 0, 0)
    if problem.settings.deploy.canary.shadow:
        both = answered_by_both(log, problem.name, champion, challenger)
        return trial.paired([its == truth for truth, its, _ in both], [mine == truth for truth, _, mine in both])
    return trial.split(
        [label == truth for truth, label in audited(log, problem.name, champion)],
        [label == truth for truth, label in audited(log, problem.name, challenger)],
    )


AUDITED = """
    select feedback.label, predictions.label from feedback
    join predictions on predictions.id = prediction
    where problem = ? and version = ? and source = ? and role != 'shadow' order by predictions.id"""
BY_BOTH = """
    select feedback.label, predictions.label, min(shadow.label) from feedback
    join predictions on predictions.id = prediction
    join predictions as shadow on shadow.digest = predictions.digest and shadow.problem = predictions.problem
        and shadow.version = ? and shadow.role = 'shadow'
    where predictions.problem = ? and predictions.version = ? and source = ?
    group by predictions.id, feedback.label, predictions.label order by predictions.id"""


def audited(log: Place, problem: str, version: int) -> list[Any]:
    """The audit's label and the version's, of each text that the audit labelled, in the order of the answers."""
    with predictions.connected(log) as connection:
        return list(connection.execute(AUDITED, (problem, version, AUDIT)).fetchall())


def answered_by_both(log: Place, problem: str, champion: int, challenger: int) -> list[Any]:
    """The audit's label, the champion's and the challenger's in its shadow, of each text that both answered."""
    with predictions.connected(log) as connection:
        return list(connection.execute(BY_BOTH, (challenger, problem, champion, AUDIT)).fetchall())
