"""A decision written down: as artifacts in Prefect; as figures, pictures, evidence and a model card in MLflow."""

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
from ratchet.judging import bootstrap, metrics, selection_bias
from ratchet.judging.gate import Decision
from ratchet.judging.gate_memory import PastChallenger
from ratchet.judging.metrics import digest
from ratchet.judging.scorecard import ScorecardRow
from ratchet.judging.selection_bias import Figure

RESAMPLES = 1_000
REFERENCE_ROWS = 5_000
"""As many as any test of drift needs; a larger holdout would only make a larger artifact."""


@step("Write the decision down")
def write_down(
    case: EvaluationContext,
    challenger: HoldoutResult,
    champion: HoldoutResult | None,
    baseline: HoldoutResult,
    decision: Decision,
) -> Evaluation:
    """The same words and figures in the run's artifacts, on the MLflow run, and on the version."""
    problem, registry, version = case.problem, case.registry, challenger.version
    assert version is not None
    found = findings(case, challenger, champion, decision)
    metric = problem.settings.evaluate.metric
    standing = evaluation.standing(decision)
    tags = {
        "decision_reason": decision.reason,
        "decided_against": number(registry.champion()),
        evaluation.GATE: evaluation.told(decision, metric, len(case.truth)),
        "predictions_digest": found.digest,
        "holdout": f"{metrics.METRICS[metric].words} {getattr(challenger.scores, metric):.4f}",
    }
    pasts = evaluation.judged(case, replace(version, tags={**version.tags, "decision": standing.value, **tags}))
    found = replace(found, corrected=less_luck(case, challenger, found.intervals, pasts))
    lives = less_luck(case, champion, intervals(case, champion), pasts) if champion else None
    scorecard = reports.scorecard(
        problem,
        challenger.scores,
        champion.scores if champion else None,
        baseline.scores,
        decision,
        found.corrected,
        lives,
    )
    by_slice = reports.slices(problem, challenger.slices, champion.slices if champion else None, decision.slices)
    publish(case, found, scorecard, by_slice)
    draw(case, found, champion)
    keep_evidence(case, challenger, found, scorecard, by_slice)
    keep_corrected(case, version, found.corrected)
    if champion and champion.version:
        keep_corrected(case, champion.version, lives)
    card = model_card.card(problem, case.prepared, found)
    registry.decide(version, standing, tags, model_card.shortened(card))
    registry.log_text(version.run_id, card, "model-card.md")
    create_markdown_artifact(card, key="model-card", description=found.title)
    say(f"{decision.verdict}: {decision.reason}")
    return Evaluation(problem.name, version.number, version.model, decision, scorecard)


def findings(
    case: EvaluationContext, challenger: HoldoutResult, champion: HoldoutResult | None, decision: Decision
) -> Findings:
    """All that the model card tells."""
    version, true = challenger.version, metrics.indices(case.labels, case.truth)
    assert version is not None
    return Findings(
        version=version,
        decision=decision,
        scores=challenger.scores,
        intervals=intervals(case, challenger),
        slices=challenger.slices,
        must=challenger.must,
        counts=metrics.confusion(true, challenger.probabilities.argmax(axis=1), len(case.labels)),
        bins=metrics.calibration(true, challenger.probabilities),
        seconds=challenger.seconds,
        against=champion.version if champion else None,
        origin=case.registry.origin(version),
        digest=digest(case.labels, challenger.probabilities),
    )


def intervals(case: EvaluationContext, judged: HoldoutResult) -> dict[str, tuple[float, float]]:
    """Where each figure lies on resamples of the holdout's groups."""
    true = metrics.indices(case.labels, case.truth)
    return bootstrap.intervals(
        true,
        judged.probabilities,
        bootstrap.group_indices(case.groups, len(true)),
        positive=case.positive,
        resamples=RESAMPLES,
        seed=case.problem.settings.build.seed,
    )


def less_luck(
    case: EvaluationContext,
    judged: HoldoutResult,
    found: Mapping[str, tuple[float, float]],
    pasts: Sequence[PastChallenger],
) -> Figure | None:
    """The deciding figure less its luck; None where it met nobody, or is none that can be corrected."""
    metric = case.problem.settings.evaluate.metric
    if metric not in selection_bias.METRICS or metric not in found or judged.version is None:
        return None
    value = getattr(judged.scores, metric)
    figure = selection_bias.corrected(value, found[metric], len(case.truth), pasts, judged.version.number)
    return figure if figure.met else None


def keep_corrected(case: EvaluationContext, version: Version, figure: Figure | None) -> None:
    """The figure less its luck, on the version and its run; a champion's is renewed whenever a challenger met it."""
    if figure is None:
        return
    metric = case.problem.settings.evaluate.metric
    name = f"holdout_{metric}_corrected"
    figures = {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
    case.registry.log(version.run_id, metrics=figures)
    case.registry.set_tag(version, CORRECTED, f"{figure.value:.4f} ({figure.low:.4f} to {figure.high:.4f})")


def publish(
    case: EvaluationContext, found: Findings, scorecard: list[ScorecardRow], by_slice: list[dict[str, str]]
) -> None:
    """The scorecard and the decision as artifacts of the run, each with its verdict first."""
    headline = f"{found.decision.verdict}: {found.decision.reason}"
    links = reports.links(case.problem, found.version, found.origin.experiment, found.against)
    verdict = f"{found.title}: {evaluation.standing(found.decision).words}"
    create_markdown_artifact(reports.decision(found.decision, links), key="promotion-decision", description=verdict)
    create_markdown_artifact(
        f"{headline}\n\n{case.prepared.holdout}\n\n{reports.scorecard_table(scorecard)}\n\n## By slice\n\n"
        f"{reports.table(by_slice)}{reports.must(found.must)}\n\n{links}",
        key="scorecard",
        description=verdict,
    )


def draw(case: EvaluationContext, found: Findings, champion: HoldoutResult | None) -> None:
    """Confusion matrix and calibration curve, with the run in MLflow and in Prefect, there below what they show."""
    true = metrics.indices(case.labels, case.truth)
    champions = metrics.calibration(true, champion.probabilities) if champion else None
    for key, figure, said in (
        ("confusion-matrix", charts.confusion_matrix(found.counts, case.labels), found.errors(case.labels)),
        ("calibration", charts.calibration(found.bins, champions), found.calibrated),
    ):
        png = charts.as_png(figure)
        case.registry.log_picture(found.version.run_id, png, f"plots/{key}.png")
        picture = charts.as_markdown(png, key)
        create_markdown_artifact(f"{said}\n\n{picture}", key=key, description=f"{found.title} on the holdout")


def keep_evidence(
    case: EvaluationContext,
    judged: HoldoutResult,
    found: Findings,
    scorecard: list[ScorecardRow],
    by_slice: list[dict[str, str]],
) -> None:
    """What the decision stands on, with the run: figures to compare by, and what optimise compares with."""
    run_id, log = found.version.run_id, case.registry.log_text
    case.registry.log(run_id, metrics=judged.scores.as_metrics("holdout") | {"holdout_seconds": judged.seconds})
    evidence = {
        "decision": asdict(found.decision),
        "scorecard": [asdict(row) for row in scorecard],
        "slices": by_slice,
        "intervals": found.intervals,
        "corrected": asdict(found.corrected) if found.corrected else None,
    }
    log(run_id, json.dumps(evidence, ensure_ascii=False, indent=2), EVIDENCE)
    log(run_id, json.dumps(reference(case, judged)), "reference.json")


def reference(case: EvaluationContext, judged: HoldoutResult) -> dict[str, list[object]]:
    """What this model met and answered on the holdout, for optimise to hold live predictions against; 5,000 rows.

    No text: its length, the answer and its score, the right label, and by a number which rows are of one group.
    """
    likely, confidence = judged.probabilities.argmax(axis=1), np.round(judged.probabilities.max(axis=1), 4)
    known: dict[str, list[object]] = {
        "characters": case.holdout["text"].str.len_chars().to_list()[:REFERENCE_ROWS],
        "label": [case.labels[at] for at in likely[:REFERENCE_ROWS]],
        "score": confidence[:REFERENCE_ROWS].tolist(),
        "truth": list(case.truth[:REFERENCE_ROWS]),
    }
    if case.groups is not None:
        known["group"] = bootstrap.group_indices(case.groups, len(case.truth))[:REFERENCE_ROWS].tolist()
    return known
