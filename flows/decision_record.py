"""Records a decision: as artifacts in Prefect; as figures, pictures, evidence and a model card in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
from prefect.artifacts import create_markdown_artifact

from flows import evaluation
from flows.evaluation import Evaluation, EvaluationContext, HoldoutResult
from flows.pages import charts, model_card, reports
from flows.pages.model_card import Findings
from flows.registry.snapshot import CORRECTED, EVIDENCE, Version, number
from flows.runs.stage import say, step
from ratchet.judging import bootstrap, selection_bias
from ratchet.judging.gate import Decision
from ratchet.judging.gate_memory import PastChallenger
from ratchet.judging.metrics import digest
from ratchet.judging.scorecard import ScorecardRow
from ratchet.judging.selection_bias import CorrectedFigure

RESAMPLES = 1_000
"""Resamples of the holdout for the intervals."""
REFERENCE_ROWS = 5_000
"""Rows of the reference, as many as any test of drift needs; more would only make a larger artifact."""


@step("Write the decision down")
def record_decision(
    context: EvaluationContext,
    challenger: HoldoutResult,
    champion: HoldoutResult | None,
    baseline: HoldoutResult,
    decision: Decision,
) -> Evaluation:
    """Write the same words and figures to the run's artifacts, the MLflow run, and the version."""
    problem = context.problem
    registry = context.registry
    version = challenger.version
    assert version is not None
    findings = collect_findings(context, challenger, champion, decision)
    metric = context.metric
    standing = evaluation.standing(decision)
    tags = {
        "decision_reason": decision.reason,
        "decided_against": number(registry.champion()),
        evaluation.GATE: evaluation.gate_tag(decision, metric, len(context.truth)),
        "predictions_digest": findings.digest,
        "holdout": f"{metric.words} {getattr(challenger.scores, metric.name):.4f}",
    }
    pasts = evaluation.with_latest(context, replace(version, tags={**version.tags, "decision": standing.value, **tags}))
    findings = replace(findings, corrected=correct_figure(context, challenger, findings.intervals, pasts))
    champions = correct_figure(context, champion, intervals(context, champion), pasts) if champion else None
    scorecard = reports.scorecard(
        problem,
        challenger.scores,
        champion.scores if champion else None,
        baseline.scores,
        decision,
        findings.corrected,
        champions,
    )
    by_slice = reports.slices(problem, challenger.slices, champion.slices if champion else None, decision.slices)
    publish(context, findings, scorecard, by_slice)
    log_pictures(context, findings)
    log_evidence(context, challenger, findings, scorecard, by_slice)
    log_corrected(context, version, findings.corrected)
    if champion and champion.version:
        log_corrected(context, champion.version, champions)
    card = model_card.card(problem, context.prepared, findings)
    registry.decide(version, standing, tags, model_card.shortened(card))
    registry.log_text(version.run_id, card, "model-card.md")
    create_markdown_artifact(card, key="model-card", description=findings.title)
    say(f"{decision.verdict}: {decision.reason}")
    return Evaluation(problem.name, version.number, version.model, decision, scorecard)


def collect_findings(
    context: EvaluationContext, challenger: HoldoutResult, champion: HoldoutResult | None, decision: Decision
) -> Findings:
    """Return everything that the model card needs."""
    version = challenger.version
    assert version is not None
    judging = context.judging
    champions = champion.outputs if champion else None
    return Findings(
        version=version,
        decision=decision,
        scores=challenger.scores,
        intervals=intervals(context, challenger),
        slices=challenger.slices,
        must=challenger.must,
        figures=judging.findings(context.truth, challenger.outputs, context.labels, champions),
        limits=judging.limits(context.truth, context.labels),
        seconds=challenger.seconds,
        against=champion.version if champion else None,
        origin=context.registry.origin(version),
        digest=digest(context.labels, challenger.outputs),
    )


def intervals(context: EvaluationContext, result: HoldoutResult) -> dict[str, tuple[float, float]]:
    """Return the interval of each metric over resamples of the holdout's groups."""
    settings = context.problem.settings
    return bootstrap.intervals(
        context.judging.intervals(context.labels, settings.data),
        context.truth,
        result.outputs,
        bootstrap.group_indices(context.groups, len(context.truth)),
        resamples=RESAMPLES,
        seed=settings.build.seed,
    )


def correct_figure(
    context: EvaluationContext,
    result: HoldoutResult,
    intervals: Mapping[str, tuple[float, float]],
    pasts: Sequence[PastChallenger],
) -> CorrectedFigure | None:
    """Return the deciding metric corrected for selection bias.

    None where the version met no champion, or the metric cannot be corrected.
    """
    metric = context.metric
    if not metric.is_share or metric.name not in intervals or result.version is None:
        return None
    value = getattr(result.scores, metric.name)
    figure = selection_bias.corrected(value, intervals[metric.name], len(context.truth), pasts, result.version.number)
    return figure if figure.met else None


def log_corrected(context: EvaluationContext, version: Version, figure: CorrectedFigure | None) -> None:
    """Log the corrected figure with the version and its run; a champion's is renewed with every challenger."""
    if figure is None:
        return
    metric = context.problem.settings.evaluate.metric
    name = f"holdout_{metric}_corrected"
    figures = {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
    context.registry.log(version.run_id, metrics=figures)
    context.registry.set_tags(version, {CORRECTED: f"{figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})"})


def publish(
    context: EvaluationContext, findings: Findings, scorecard: list[ScorecardRow], by_slice: list[dict[str, str]]
) -> None:
    """Publish the scorecard and the decision as artifacts of the run, each with its verdict first."""
    headline = f"{findings.decision.verdict}: {findings.decision.reason}"
    links = reports.links(context.problem, findings.version, findings.origin.experiment, findings.against)
    verdict = f"{findings.title}: {evaluation.standing(findings.decision).words}"
    create_markdown_artifact(reports.decision(findings.decision, links), key="promotion-decision", description=verdict)
    slices = f"\n\n## By slice\n\n{reports.table(by_slice)}" if by_slice else ""
    table = f"{headline}\n\n{context.prepared.holdout}\n\n{reports.scorecard_table(scorecard)}{slices}"
    create_markdown_artifact(f"{table}{reports.must(findings.must)}\n\n{links}", key="scorecard", description=verdict)


def log_pictures(context: EvaluationContext, findings: Findings) -> None:
    """Log the pictures of the findings in MLflow and Prefect, there below their sentences."""
    for figure in findings.figures:
        if figure.data is None:
            continue
        png = charts.as_png(charts.draw(figure.data))
        context.registry.log_picture(findings.version.run_id, png, f"plots/{figure.key}.png")
        picture = charts.as_markdown(png, figure.key)
        create_markdown_artifact(
            f"{figure.sentence}\n\n{picture}", key=figure.key, description=f"{findings.title} on the holdout"
        )


def log_evidence(
    context: EvaluationContext,
    result: HoldoutResult,
    findings: Findings,
    scorecard: list[ScorecardRow],
    by_slice: list[dict[str, str]],
) -> None:
    """Log what the decision stands on with the run, and the reference that optimise compares live answers with."""
    run_id = findings.version.run_id
    context.registry.log(run_id, metrics=result.scores.as_metrics("holdout") | {"holdout_seconds": result.seconds})
    evidence = {
        "decision": asdict(findings.decision),
        "scorecard": [asdict(row) for row in scorecard],
        "slices": by_slice,
        "intervals": findings.intervals,
        "corrected": asdict(findings.corrected) if findings.corrected else None,
    }
    context.registry.log_text(run_id, json.dumps(evidence, ensure_ascii=False, indent=2), EVIDENCE)
    context.registry.log_text(run_id, json.dumps(reference(context, result)), "reference.json")


def reference(context: EvaluationContext, result: HoldoutResult) -> dict[str, list[object]]:
    """Return the first 5,000 holdout rows with this model's answers, for optimise to compare live answers with.

    They hold no input, but its length in characters, the answer and the confidence in it, the right answer, and the
    row's group as a number.
    """
    answers, confidences = context.problem.task.answers.answers(result.outputs, context.labels)
    columns: dict[str, list[object]] = {
        "characters": context.holdout["text"].str.len_chars().to_list()[:REFERENCE_ROWS],
        "label": list(answers[:REFERENCE_ROWS]),
        "score": np.round(confidences[:REFERENCE_ROWS], 4).tolist(),
        "truth": context.holdout["label"].to_list()[:REFERENCE_ROWS],
    }
    if context.groups is not None:
        columns["group"] = bootstrap.group_indices(context.groups, len(context.truth))[:REFERENCE_ROWS].tolist()
    return columns
