"""Evaluate: challenger against champion on the holdout -> decision."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from flows import evaluation
from flows.decision_record import record_decision
from flows.evaluation import Evaluation, EvaluationContext, HoldoutResult
from flows.registry.registry import Registry
from flows.registry.snapshot import CHALLENGER, EVIDENCE, Standing, Version
from flows.runs.run_names import rename_run
from flows.runs.stage import problem_and_registry, say, stage, step
from ratchet.data.prepare import rows
from ratchet.judging import gate, gate_memory, must_list, scorecard, slices
from ratchet.judging.gate import Decision
from ratchet.judging.metrics import Floats
from ratchet.project.progress import Progress


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
        return read_decision(registry, challenger)
    context = EvaluationContext(problem, registry, rows.load_prepared(problem))
    if str(context.prepared.holdout):
        say(f"Holdout: {context.prepared.holdout}")
    result = judge(context, challenger, "challenger")
    champion = judge_champion(context, challenger)
    baseline = judge_baseline(context)
    decision = decide(context, result, champion, baseline)
    rename_run(problem.name, challenger.number, challenger.model, evaluation.standing(decision).words)
    return record_decision(context, result, champion, baseline, decision)


@step("Read the decision that was made")
def read_decision(registry: Registry, live: Version) -> Evaluation:
    """Read the decision that made this version live; a turn that was cut off after it need not decide again."""
    evidence = registry.read_json(live.run_id, EVIDENCE)
    decision = gate.decision_from_dict(evidence["decision"])
    say(f"Version {live.number} is live already. {decision.verdict}: {decision.reason}")
    return Evaluation(live.problem, live.number, live.model, decision, scorecard.read(evidence["scorecard"]))


@step("Score on the holdout", "Score the {role} on the holdout")
def judge(context: EvaluationContext, version: Version, role: str) -> HoldoutResult:
    """Score the stored model, read from the registry, on the holdout rows."""
    predictor = context.registry.load(version)
    inputs = context.holdout["text"].to_list()
    musts = context.musts
    progress = Progress(say, f"Scoring the {role}", len(inputs))
    began = time.monotonic()
    outputs = predictor.outputs(inputs, context.labels, progress)
    result = score(context, f"v{version.number}", version, outputs, time.monotonic() - began)
    if not musts:
        return result
    asked = must_list.texts(musts)
    answers = dict(zip(asked, predictor.answers(asked), strict=True))
    return replace(result, must=must_list.check_musts(musts, answers))


def judge_champion(context: EvaluationContext, challenger: Version) -> HoldoutResult | None:
    """Score the champion on the same rows; None where there is none, or it may have been trained on these rows."""
    champion = context.registry.champion()
    if champion is None or champion.number == challenger.number:
        return None
    if champion.tags.get("lineage") != context.problem.lineage:
        return None
    return judge(context, champion, "champion")


@step("Score the baseline on the holdout")
def judge_baseline(context: EvaluationContext) -> HoldoutResult:
    """Score the kind's baseline, which gives the same outputs for every input."""
    counts = {target: rows for (side, target), rows in context.prepared.counts.items() if side == "train"}
    always = context.judging.baseline(counts, context.labels)
    return score(context, context.judging.BASELINE, None, np.tile(always, (len(context.truth), 1)), 0.0)


def score(
    context: EvaluationContext, name: str, version: Version | None, outputs: Floats, seconds: float
) -> HoldoutResult:
    """Return the scores of outputs on the holdout, whole and by slice."""
    by_slice = slices.score_by_slice(context.slices, context.truth, outputs, context.score)
    return HoldoutResult(name, version, outputs, context.score(context.truth, outputs), by_slice, seconds)


@step("Decide")
def decide(
    context: EvaluationContext, challenger: HoldoutResult, champion: HoldoutResult | None, baseline: HoldoutResult
) -> Decision:
    """Promote, keep or refuse, with the reason in one sentence; the rule is in ratchet/judging/gate.py."""
    settings = context.problem.settings
    belief = None
    if challenger.version and champion and champion.version:
        unit = gate_memory.unit(context.metric, float(getattr(champion.scores, context.metric.name)))
        history = [past.times(unit) for past in evaluation.earlier(context, challenger.version)]
        belief = gate_memory.learn_history(history, champion.version.number)
    live = context.registry.champion()
    first_of_split = champion is None and live is not None and live != challenger.version
    decision = gate.decide(
        as_candidate(challenger),
        as_candidate(champion) if champion else None,
        as_candidate(baseline),
        gate.Holdout(context.truth, context.groups, context.slices),
        gate.Rules(context.metric, settings.evaluate.floor, settings.evaluate.margin),
        settings.build.seed,
        belief,
        challenger.must,
        first_of_split,
    )
    if live is not None and first_of_split:
        note = f" Version {live.number} was split otherwise, may have seen this holdout, and was not compared."
        return replace(decision, reason=decision.reason + note)
    return decision


def as_candidate(result: HoldoutResult) -> gate.Candidate:
    return gate.Candidate(result.name, result.outputs)
