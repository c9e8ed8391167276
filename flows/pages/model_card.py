"""The model card of a judged version: use, scores, weaknesses, cost, origin. Pure: findings enter, Markdown leaves.

Its sections follow Mitchell et al. 2019, Model Cards for Model Reporting; every sentence is made from a result.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flows.pages import links
from flows.pages.reports import FIGURES, GAP, table
from flows.registry.snapshot import Origin, Version
from ratchet.data.prepare.rows import PreparedRows
from ratchet.judging.gate import Decision
from ratchet.judging.metrics import METRICS, CalibrationBin, Scores
from ratchet.judging.must_list import MustResult
from ratchet.judging.selection_bias import Figure
from ratchet.problem.problem import Problem

MOST = 5_000
"""Characters that MLflow keeps of a version's description; the artifact model-card.md has the whole card."""
SURE = 0.9
"""Confidence from which an answer counts as sure."""
NEAR = 0.02
"""Difference of confidence and accuracy up to which they agree."""
SIDES = (("train", "to learn"), ("validation", "to choose"), ("holdout", "to judge"))
FEW = 30
"""Holdout rows of a class below which its figures say little, as for a slice (ratchet/judging/slices.py)."""


@dataclass(frozen=True)
class Findings:
    """What evaluate measured of a version on the holdout.

    Attributes:
        version: The judged version.
        decision: The gate's decision on it.
        scores: All metrics on the holdout.
        intervals: By the name of the metric, where 95% of resamples lie.
        slices: The scores of each slice.
        counts: The confusion matrix, shape (true, predicted).
        bins: Accuracy by confidence.
        seconds: The time to answer all of the holdout.
        against: The champion, where there was one to compare with.
        origin: The version's run. Its metrics have `train_seconds` and, where the machine shows it, `train_joules`.
        digest: The hash of the answers on the holdout.
        must: The answers to data/must.csv, where there is one.
        corrected: The deciding metric corrected for selection bias; None where there was no comparison, or the metric
            cannot be corrected.
    """

    version: Version
    decision: Decision
    scores: Scores
    intervals: Mapping[str, tuple[float, float]]
    slices: Mapping[str, Scores]
    counts: np.ndarray
    bins: Sequence[CalibrationBin]
    seconds: float
    against: Version | None
    origin: Origin
    digest: str
    must: MustResult | None = None
    corrected: Figure | None = None

    @property
    def title(self) -> str:
        return f"Version {self.version.number} ({self.version.model})"

    def errors(self, labels: Sequence[str]) -> str:
        """Return the three most frequent mistakes, with their shares of the true class."""
        wrong = np.where(np.eye(len(labels), dtype=bool), 0, self.counts)
        order = np.argsort(wrong, axis=None)[::-1][:3]
        pairs = [tuple(map(int, np.unravel_index(index, wrong.shape))) for index in order if wrong.flat[index]]
        shares = [(f"{wrong[true, taken] / self.counts[true].sum():.0%}", true, taken) for true, taken in pairs]
        mistakes = [f"{share} of `{labels[true]}` taken for `{labels[taken]}`" for share, true, taken in shares]
        return f"Errs most often: {', '.join(mistakes)}." if mistakes else "Errs on no row of the holdout."

    @property
    def calibrated(self) -> str:
        """Return a sentence that compares mean confidence with accuracy."""
        rows = sum(part.rows for part in self.bins)
        confidence = sum(part.rows * part.confidence for part in self.bins) / rows
        accuracy = self.scores.accuracy
        verdict = "surer than it should be" if confidence - accuracy > NEAR else "less sure than it could be"
        verdict = "about as sure as it should be" if abs(confidence - accuracy) <= NEAR else verdict
        sure_bins = [part for part in self.bins if part.low >= SURE - 1e-9]
        answers = sum(part.rows for part in sure_bins)
        right = sum(part.rows * part.accuracy for part in sure_bins) / max(1, answers)
        top = f" Of its {answers:,} answers above {sure_bins[0].low:.0%}, {right:.1%} are right." if answers else ""
        return f"On average {confidence:.1%} sure and {accuracy:.1%} right: {verdict}.{top}"


def card(problem: Problem, ready: PreparedRows, findings: Findings) -> str:
    """Return the whole card, as Markdown."""
    parts = [
        f"{findings.decision.verdict}: {findings.decision.reason}",
        use(problem, ready, findings.version),
        f"**On the holdout**, {findings.scores.rows:,} rows that it was never trained on; 95% intervals over "
        f"resamples of {resampled(problem)}:",
        table(metrics(problem, findings), GAP),
        selection_bias(problem, findings),
        "**By slice:**",
        table(slices(problem, findings), GAP),
        f"**What it must get right.** {findings.must}." if findings.must else "",
        f"**Mistakes.** {findings.errors(ready.labels)}",
        f"**Calibration.** {findings.calibrated}",
        limits(problem, findings, ready.labels),
        cost(findings),
        "**Made again**, from the same data version, params, lock and seed, on a machine like this one, it gives the "
        f"very same answers on the holdout: digest `{findings.digest}`.",
        origin(problem, findings),
        "**Back.** If it is live and has to go: `make rollback` brings back what was live before. What was live when: "
        "`make history`.",
        f'**Use it.** `mlflow.pyfunc.load_model("models:/{problem.name}/{findings.version.number}")`.',
    ]
    return "\n\n".join(part for part in parts if part)


def shortened(text: str) -> str:
    """Return as much of a card as MLflow keeps of a description, cut between paragraphs."""
    rest = "\n\nThe rest is in the artifact model-card.md of its run."
    if len(text) <= MOST:
        return text
    return text[: MOST - len(rest)].rpartition("\n\n")[0] + rest


def use(problem: Problem, ready: PreparedRows, version: Version) -> str:
    """Return the model's use, and the data that it was trained on."""
    data = problem.settings.data
    split = f"by `{data.group}`, all rows of one on the same side" if data.group else "by the hash of its text"
    sides = ", ".join(f"{ready.count(side):,} {purpose}" for side, purpose in SIDES)
    return (
        f"**For** giving each `{data.text}` its `{data.label}`: {listed(ready.labels)}. The model is {version.model}, "
        f"made for texts like those of {problem.pin.source or 'the table'}; its answers on texts of another kind are "
        "not measured.\n\n"
        f"**Data** version `{problem.pin.version}`: {len(ready):,} rows ({sides}), split {split}."
    )


def listed(labels: Sequence[str], most: int = 8) -> str:
    """Return the names of the first few classes, and the number of the others."""
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(f"`{label}`" for label in labels[:most]) + more


def resampled(problem: Problem) -> str:
    """Return what the bootstrap resamples, in words."""
    group = problem.settings.data.group
    return f"whole groups (`{group}`)" if group else "the rows"


def metrics(problem: Problem, findings: Findings) -> list[dict[str, str]]:
    """Return each metric with its interval as a row; the deciding one is marked."""
    rows = []
    for name, words in FIGURES.items():
        low, high = findings.intervals.get(name, (None, None))
        rows.append({
            "metric": f"{words} *decides*" if name == problem.settings.evaluate.metric else words,
            "value": f"{getattr(findings.scores, name):.4f}",
            "95% interval": "" if low is None else f"{low:.4f} to {high:.4f}",
        })  # fmt: skip
    return rows


def selection_bias(problem: Problem, findings: Findings) -> str:
    """Return the deciding metric corrected for selection bias; empty where no comparison was made."""
    if findings.corrected is None:
        return ""
    words = METRICS[problem.settings.evaluate.metric].words
    figure = findings.corrected
    times = f"{figure.met} comparison{'' if figure.met == 1 else 's'}"
    return (
        f"**Less its luck**, after {times} on these rows: {words} {figure.value:.4f}, 95% interval {figure.low:.4f} to "
        f"{figure.high:.4f}. A model that wins on these rows looks better on them than it is, the more so the more "
        "challengers they have judged. The other figures are as measured."
    )


def slices(problem: Problem, findings: Findings) -> list[dict[str, str]]:
    """Return the deciding metric of each slice as a row."""
    metric = problem.settings.evaluate.metric
    return [
        {"slice": name, "rows": f"{scores.rows:,}", METRICS[metric].words: f"{getattr(scores, metric):.4f}"}
        for name, scores in findings.slices.items()
    ]


def limits(problem: Problem, findings: Findings, labels: Sequence[str]) -> str:
    """Return the known weaknesses, and what is not measured."""
    metric = problem.settings.evaluate.metric
    worst = min(findings.slices.items(), key=lambda item: METRICS[metric].best(item[1]), default=None)
    sentences = []
    if worst:
        sentences.append(f"Weakest slice: {worst[0]} ({METRICS[metric].words} {getattr(worst[1], metric):.4f}).")
    rare = [labels[index] for index, rows in enumerate(findings.counts.sum(axis=1)) if rows < FEW]
    if rare:
        sentences.append(f"Fewer than {FEW} holdout rows, so hardly measured: {listed(rare)}.")
    sentences.append("Every text gets one of the classes, even a text that fits none.")
    return f"**Limits.** {' '.join(sentences)}"


def cost(findings: Findings) -> str:
    """Return the seconds and joules of the training and the seconds of answers, as far as they are known."""
    trained, joules = findings.origin.metrics.get("train_seconds"), findings.origin.metrics.get("train_joules")
    energy = (
        f"{joules:,.0f} J, of the whole processor, whatever else ran meanwhile"
        if joules is not None
        else "not shown by this machine"
    )
    training = (
        f"Trained in {trained:.1f} s on {os.cpu_count()} cores" if trained is not None else "Training time unknown"
    )
    thousand = 1000 * findings.seconds / findings.scores.rows
    return f"**Cost.** {training}; answers 1,000 texts in {thousand:.2f} s. Energy of the training: {energy}."


def origin(problem: Problem, findings: Findings) -> str:
    """Return links to the runs, the validation and the data that the version came from."""
    here = problem.here
    version = findings.version
    tags = version.tags
    experiment = findings.origin.experiment
    parent = findings.origin.parent
    pages = {"its run": links.run(here, experiment, version.run_id)}
    if parent:
        pages["the build"] = links.run(here, experiment, parent)
        for suite in ("raw", "prepared"):
            pages[f"validation of {suite} data"] = links.artifact(here, experiment, parent, f"data-docs/{suite}.html")
    if tags.get("prefect_flow_run_id"):
        pages["its build in Prefect"] = links.flow_run(here, tags["prefect_flow_run_id"])
    if findings.against:
        pages[f"side by side with version {findings.against.number}"] = links.comparison(
            here, experiment, version.run_id, findings.against.run_id
        )
    pages["all builds on this data"] = links.built_on(here, experiment, tags.get("data_version", ""))
    commit = tags.get("git_commit", "unknown")[:12]
    return (
        f"**Came from** {links.markdown(pages)}; commit `{commit}`; set off by {tags.get('trigger', 'unknown')}. "
        f"All of it: `make lineage VERSION={version.number}`."
    )
