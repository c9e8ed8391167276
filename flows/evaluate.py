"""Evaluate: challenger against champion on the holdout -> decision."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from flows import evaluation
from flows.decision_record import write_down
from flows.evaluation import Evaluation, EvaluationContext, HoldoutResult
from flows.registry.registry import Registry
from flows.registry.snapshot import CHALLENGER, EVIDENCE, Standing, Version
from flows.runs.run_names import rename_run
from flows.runs.stage import problem_and_registry, say, stage, step
from models.majority import Majority
from ratchet.data.prepare import rows
from ratchet.judging import gate, gate_memory, metrics, must_list, scorecard, slices
from ratchet.judging.gate import Decision
from ratchet.judging.metrics import Floats
from ratchet.project.progress import Progress
from ratchet.project.settings import gate_rules


@stage
def evaluate(version: int | None = None, trigger: str = "manual") -> Evaluation | None:
    """Is the challenger better than what is live?

    Reloads the challenger and the champion from the registry, scores both on the holdout that neither has seen, and
    decides. The decision is written on the version; nothing goes live here. Comes after *build*, before *deploy*.

    Args:
        version: The version to judge; empty takes the one with the alias `challenger`.
        trigger: What set this run off.

    Returns:
        The decision with its scorecard; nothing where no challenger waits.
    """
    problem, registry = problem_and_registry()
    challenger = registry.version(version) if version else registry.by_alias(CHALLENGER)
    if challenger is None:
        say("No challenger waits for a decision. Build one: make build")
        return None
    rename_run(problem.name, challenger.number, challenger.model)
    if challenger == registry.champion() and challenger.standing is Standing.PROMOTE:
        return read_again(registry, challenger)
    case = EvaluationContext(problem, registry, rows.prepared(problem))
    if str(case.prepared.holdout):
        say(f"Holdout: {case.prepared.holdout}")
    judged = judge(case, challenger, "challenger")
    champion = judge_champion(case, challenger)
    baseline = judge_baseline(case)
    decision = decide(case, judged, champion, baseline)
    rename_run(problem.name, challenger.number, challenger.model, evaluation.standing(decision).words)
    return write_down(case, judged, champion, baseline, decision)


@step("Read the decision that was made")
def read_again(registry: Registry, live: Version) -> Evaluation:
    """The decision that took this version live: a turn that was cut off after it has nothing left to decide."""
    known = registry.read_json(live.run_id, EVIDENCE)
    decision = gate.recalled(known["decision"])
    say(f"Version {live.number} is live already. {decision.verdict}: {decision.reason}")
    return Evaluation(live.problem, live.number, live.model, decision, scorecard.read(known["scorecard"]))


@step("Score on the holdout", "Score the {role} on the holdout")
def judge(case: EvaluationContext, version: Version, role: str) -> HoldoutResult:
    """What the stored model, read back, says of the holdout rows."""
    predictor, texts, musts = case.registry.load(version), case.holdout["text"].to_list(), case.musts
    progress, began = Progress(say, f"Scoring the {role}", len(texts)), time.monotonic()
    probabilities = predictor.probabilities(texts, case.labels, progress)
    judged = judgement(case, f"v{version.number}", version, probabilities, time.monotonic() - began)
    if not musts:
        return judged
    asked = must_list.texts(musts)
    answers = dict(zip(asked, predictor.table(asked)["label"], strict=True))
    return replace(judged, must=must_list.answered(musts, answers))


def judge_champion(case: EvaluationContext, challenger: Version) -> HoldoutResult | None:
    """The champion on the same rows; None where there is none, or where it may have been trained on these rows."""
    champion = case.registry.champion()
    if champion is None or champion.number == challenger.number:
        return None
    if champion.tags.get("lineage") != case.problem.lineage:
        return None
    return judge(case, champion, "champion")


@step("Score the baseline on the holdout")
def judge_baseline(case: EvaluationContext) -> HoldoutResult:
    """What always answering the most frequent class of the training rows would score."""
    seen = np.array([case.prepared.counts["train", label] for label in case.labels], np.float64)
    majority = Majority(case.labels, tuple(seen / seen.sum()))
    return judgement(case, "baseline", None, majority.predict_proba(case.holdout["text"].to_list()), 0.0)


def judgement(
    case: EvaluationContext, name: str, version: Version | None, probabilities: Floats, seconds: float
) -> HoldoutResult:
    data = case.problem.settings.data
    scores = metrics.score(case.labels, case.truth, probabilities, data.positive)
    by_slice = slices.score_by_slice(case.slices, case.labels, case.truth, probabilities, data.positive)
    return HoldoutResult(name, version, probabilities, scores, by_slice, seconds)


@step("Decide")
def decide(
    case: EvaluationContext, challenger: HoldoutResult, champion: HoldoutResult | None, baseline: HoldoutResult
) -> Decision:
    """Promote, keep or refuse, with the reason in one sentence; the rule is in ratchet/judging/gate.py."""
    settings = case.problem.settings
    belief = None
    if challenger.version and champion and champion.version:
        belief = gate_memory.learned(evaluation.earlier(case, challenger.version), champion.version.number)
    live = case.registry.champion()
    first_of_split = champion is None and live is not None and live != challenger.version
    decision = gate.decide(
        as_candidate(challenger),
        as_candidate(champion) if champion else None,
        as_candidate(baseline),
        gate.Holdout(case.labels, case.truth, case.groups, settings.data.positive, case.slices),
        gate_rules(settings),
        settings.build.seed,
        belief,
        challenger.must,
        first_of_split,
    )
    if live is not None and first_of_split:
        note = f" Version {live.number} was split otherwise, may have seen this holdout, and was not compared."
        return replace(decision, reason=decision.reason + note)
    return decision


def as_candidate(judged: HoldoutResult) -> gate.Candidate:
    return gate.Candidate(judged.name, judged.probabilities)
