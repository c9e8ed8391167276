"""Evaluate: challenger against champion on the holdout -> decision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from flows import cards, charts, reports
from flows.registry import CHALLENGER, PROMOTE, Registry, Version, number
from flows.stage import at_hand, say, stage, step
from models.majority import Majority
from ratchet import rows
from ratchet.problem import Problem
from ratchet.rows import Ready
from ratchet.settings import gate_rules
from ratchet.steps import gate, score, slices
from ratchet.steps.digest import digest
from ratchet.steps.gate import Decision
from ratchet.steps.score import Floats, Scores

EVIDENCE = "evaluation.json"
REFERENCE_ROWS = 5_000
"""As many as any test of drift needs; a larger holdout would only make a larger artifact."""


@dataclass(frozen=True)
class Case:
    """What a judgement stands on: the problem, its registry, and the prepared rows."""

    problem: Problem
    registry: Registry
    prepared: Ready

    @property
    def holdout(self) -> pl.DataFrame:
        return self.prepared.holdout.frame

    @cached_property
    def labels(self) -> tuple[str, ...]:
        return self.prepared.labels

    @cached_property
    def truth(self) -> list[str]:
        return self.holdout["label"].to_list()


@dataclass(frozen=True)
class Judged:
    """One model on the holdout: reloaded from the registry, or the baseline. version: None for the baseline."""

    name: str
    version: Version | None
    probabilities: Floats
    scores: Scores
    slices: Mapping[str, Scores]


@dataclass(frozen=True)
class Evaluation:
    """What evaluate found: the decision on a version, and the scorecard that it stands on."""

    problem: str
    version: int
    model: str
    decision: Decision
    scorecard: list[dict[str, str]]


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
    problem, registry = at_hand()
    challenger = registry.version(version) if version else registry.holding(CHALLENGER)
    if challenger is None:
        say("No challenger waits for a decision. Build one: make build")
        return None
    if challenger == registry.champion() and challenger.tags.get("decision") == PROMOTE:
        return read_again(registry, challenger)
    case = Case(problem, registry, rows.prepared(problem))
    if str(case.prepared.holdout):
        say(f"Holdout: {case.prepared.holdout}")
    judged = judge(case, challenger, "challenger")
    champion = judge_champion(case, challenger)
    baseline = judge_baseline(case)
    decision = decide(case, judged, champion, baseline)
    return write_down(case, judged, champion, baseline, decision)


@step("Read the decision that was made")
def read_again(registry: Registry, live: Version) -> Evaluation:
    """The decision that took this version live: a turn that was cut off after it has nothing left to decide."""
    known = registry.read_json(live.run_id, EVIDENCE)
    decision = gate.recalled(known["decision"])
    say(f"Version {live.number} is live already. {decision.verdict}: {decision.reason}")
    return Evaluation(live.problem, live.number, live.model, decision, known["scorecard"])


@step("Score on the holdout", "Score the {role} on the holdout")
def judge(case: Case, version: Version, role: str) -> Judged:
    """What the stored model, read back, says of the holdout rows."""
    probabilities = case.registry.load(version).probabilities(case.holdout["text"].to_list(), case.labels)
    return judgement(case, f"v{version.number}", version, probabilities)


def judge_champion(case: Case, challenger: Version) -> Judged | None:
    """The champion on the same rows; None where there is none, or where it may have been trained on these rows."""
    champion = case.registry.champion()
    if champion is None or champion.number == challenger.number:
        return None
    if champion.tags.get("lineage") != case.problem.lineage:
        return None
    return judge(case, champion, "champion")


@step("Score the baseline on the holdout")
def judge_baseline(case: Case) -> Judged:
    """What always answering the most frequent class of the training rows would score."""
    seen = np.array([case.prepared.counts["train", label] for label in case.labels], np.float64)
    majority = Majority(case.labels, tuple(seen / seen.sum()))
    return judgement(case, "baseline", None, majority.predict_proba(case.holdout["text"].to_list()))


def judgement(case: Case, name: str, version: Version | None, probabilities: Floats) -> Judged:
    data = case.problem.settings.data
    scores = score.score(case.labels, case.truth, probabilities, data.positive)
    masks = slices.slices(case.holdout, data.slices)
    by_slice = slices.score_by_slice(masks, case.labels, case.truth, probabilities, data.positive)
    return Judged(name, version, probabilities, scores, by_slice)


@step("Decide")
def decide(case: Case, challenger: Judged, champion: Judged | None, baseline: Judged) -> Decision:
    """Promote, keep or refuse, with the reason in one sentence; the rule is in ratchet/steps/gate.py."""
    settings = case.problem.settings
    groups = case.holdout["group"].to_list() if "group" in case.holdout.columns else None
    decision = gate.decide(
        as_candidate(challenger),
        as_candidate(champion) if champion else None,
        as_candidate(baseline),
        gate.Holdout(case.labels, case.truth, groups, settings.data.positive),
        gate_rules(settings),
        settings.build.seed,
    )
    live = case.registry.champion()
    if champion is None and live is not None and live != challenger.version:
        note = f" Version {live.number} was split otherwise, may have seen this holdout, and was not compared."
        return replace(decision, reason=decision.reason.replace("The first model", "The first of its split") + note)
    return decision


def as_candidate(judged: Judged) -> gate.Candidate:
    return gate.Candidate(judged.name, judged.probabilities)


@step("Write the decision down")
def write_down(
    case: Case, challenger: Judged, champion: Judged | None, baseline: Judged, decision: Decision
) -> Evaluation:
    """The same words and figures in the run's artifacts, on the MLflow run, and on the version."""
    problem, registry, version = case.problem, case.registry, challenger.version
    assert version is not None
    scorecard = reports.scorecard(
        problem, challenger.scores, champion.scores if champion else None, baseline.scores, decision
    )
    by_slice = reports.slices(problem, challenger.slices, champion.slices if champion else None)
    publish(problem, version, decision, scorecard, by_slice, str(case.prepared.holdout))
    registry.log(version.run_id, metrics=challenger.scores.as_metrics("holdout"))
    draw(case, version, challenger, champion)
    evidence = {"decision": asdict(decision), "scorecard": scorecard, "slices": by_slice}
    registry.log_text(version.run_id, json.dumps(evidence, ensure_ascii=False, indent=2), EVIDENCE)
    registry.log_text(version.run_id, json.dumps(reference(case, challenger)), "reference.json")
    tags = {
        "decision": PROMOTE if decision.promote else decision.verdict.lower(),
        "decision_reason": decision.reason,
        "decided_against": number(registry.champion()),
        "predictions_digest": digest(case.labels, challenger.probabilities),
    }
    card = cards.decided(problem, replace(version, tags={**version.tags, **tags}), decision, scorecard, by_slice)
    registry.describe(version, tags, card)
    registry.log_text(version.run_id, card, "model-card.md")
    create_markdown_artifact(card, key="model-card", description=decision.reason)
    say(f"{decision.verdict}: {decision.reason}")
    return Evaluation(problem.name, version.number, version.model, decision, scorecard)


def publish(
    problem: Problem,
    version: Version,
    decision: Decision,
    scorecard: list[dict[str, str]],
    by_slice: list[dict[str, str]],
    sample: str,
) -> None:
    """The scorecard and the decision as artifacts of the run, each with its verdict first.

    sample: what to say where not all of the holdout was scored.
    """
    headline = f"{decision.verdict}: {decision.reason}"
    create_markdown_artifact(
        reports.decision(problem, version, decision), key="promotion-decision", description=headline
    )
    create_markdown_artifact(
        f"{headline}\n\n{sample}\n\n{reports.table(scorecard)}\n\n## By slice\n\n{reports.table(by_slice)}",
        key="scorecard",
        description=headline,
    )
    create_table_artifact(scorecard, key="scorecard-table", description=headline)


def draw(case: Case, version: Version, challenger: Judged, champion: Judged | None) -> None:
    """Confusion matrix and calibration curve, with the run in MLflow and in Prefect."""
    true = score.indices(case.labels, case.truth)
    counts = score.confusion(true, challenger.probabilities.argmax(axis=1), len(case.labels))
    bins = score.calibration(true, challenger.probabilities)
    champions = score.calibration(true, champion.probabilities) if champion else None
    for key, figure in (
        ("confusion-matrix", charts.confusion_matrix(counts, case.labels)),
        ("calibration", charts.calibration(bins, champions)),
    ):
        case.registry.log_figure(version.run_id, figure, f"plots/{key}.png")
        create_image_artifact(
            charts.as_data_url(figure), key=key, description=f"Version {version.number} on the holdout"
        )


def reference(case: Case, judged: Judged) -> dict[str, list[object]]:
    """What this model met and answered on the holdout, for optimise to hold live predictions against; 5,000 rows."""
    likely, confidence = judged.probabilities.argmax(axis=1), np.round(judged.probabilities.max(axis=1), 4)
    return {
        "characters": case.holdout["text"].str.len_chars().to_list()[:REFERENCE_ROWS],
        "label": [case.labels[at] for at in likely[:REFERENCE_ROWS]],
        "score": confidence[:REFERENCE_ROWS].tolist(),
    }
