"""The model card of a judged version: what it is for, how good, where weak, what it cost, where it came from. Pure.

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
from ratchet.project.problem import Problem

MOST = 5_000
"""Characters that MLflow keeps of a version's description; the artifact model-card.md has the card whole."""
SURE, NEAR = 0.9, 0.02
"""From where an answer counts as sure; how far apart confidence and accuracy may be and still agree."""
SIDES = (("train", "to learn"), ("validation", "to choose"), ("holdout", "to judge"))
FEW = 30
"""Holdout rows of a class below which its figures say little; as for a slice (ratchet/judging/slices.py)."""


@dataclass(frozen=True)
class Findings:
    """What was found of a version on the holdout.

    intervals: by the name of the metric, where 95% of resamples lie. counts: the confusion matrix, shape (true,
    predicted). seconds: to answer all of the holdout. against: the champion, where there was one to compare with.
    origin: the version's run, whose metrics have `train_seconds` and, where the machine shows it, `train_joules`.
    must: how it answered data/must.csv, where there is one.
    corrected: the deciding figure less its luck; None where it met nobody, or is none that can be corrected.
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
        """The three commonest mistakes, with their share of the true class."""
        wrong = np.where(np.eye(len(labels), dtype=bool), 0, self.counts)
        order = np.argsort(wrong, axis=None)[::-1][:3]
        pairs = [tuple(map(int, np.unravel_index(at, wrong.shape))) for at in order if wrong.flat[at]]
        shares = [(f"{wrong[true, taken] / self.counts[true].sum():.0%}", true, taken) for true, taken in pairs]
        said = [f"{share} of `{labels[true]}` taken for `{labels[taken]}`" for share, true, taken in shares]
        return f"Errs most often: {', '.join(said)}." if said else "Errs on no row of the holdout."

    @property
    def calibrated(self) -> str:
        """Whether it is as sure as it should be."""
        rows = sum(part.rows for part in self.bins)
        sure, right = sum(part.rows * part.confidence for part in self.bins) / rows, self.scores.accuracy
        words = "surer than it should be" if sure - right > NEAR else "less sure than it could be"
        words = "about as sure as it should be" if abs(sure - right) <= NEAR else words
        high = [part for part in self.bins if part.low >= SURE - 1e-9]
        top = sum(part.rows for part in high)
        good = sum(part.rows * part.accuracy for part in high) / max(1, top)
        said = f" Of its {top:,} answers above {high[0].low:.0%}, {good:.1%} are right." if top else ""
        return f"On average {sure:.1%} sure and {right:.1%} right: {words}.{said}"


def card(problem: Problem, ready: PreparedRows, found: Findings) -> str:
    """The whole card, as Markdown."""
    parts = [
        f"{found.decision.verdict}: {found.decision.reason}",
        what_it_is(problem, ready, found.version),
        f"**On the holdout**, {found.scores.rows:,} rows that it was never trained on; 95% intervals over resamples of "
        f"{resampled(problem)}:",
        table(metrics(problem, found), GAP),
        luck(problem, found),
        "**By slice:**",
        table(slices(problem, found), GAP),
        f"**What it must get right.** {found.must}." if found.must else "",
        f"**Mistakes.** {found.errors(ready.labels)}",
        f"**Calibration.** {found.calibrated}",
        limits(problem, found, ready.labels),
        cost(found),
        "**Made again**, from the same data version, params, lock and seed, on a machine like this one, it gives the "
        f"very same answers on the holdout: digest `{found.digest}`.",
        came_from(problem, found),
        "**Back.** If it is live and has to go: `make rollback` brings back what was live before. What was live when: "
        "`make history`.",
        f'**Use it.** `mlflow.pyfunc.load_model("models:/{problem.name}/{found.version.number}")`.',
    ]
    return "\n\n".join(part for part in parts if part)


def shortened(text: str) -> str:
    """As much of a card as MLflow keeps of a description, cut between paragraphs."""
    rest = "\n\nThe rest is in the artifact model-card.md of its run."
    if len(text) <= MOST:
        return text
    return text[: MOST - len(rest)].rpartition("\n\n")[0] + rest


def what_it_is(problem: Problem, ready: PreparedRows, version: Version) -> str:
    """What it is for, and the data it learned from."""
    data, labels = problem.settings.data, ready.labels
    split = f"by `{data.group}`, all rows of one on the same side" if data.group else "by the hash of its text"
    sides = ", ".join(f"{ready.count(side):,} {use}" for side, use in SIDES)
    return (
        f"**For** giving each `{data.text}` its `{data.label}`: {listed(labels)}. The model is {version.model}, made "
        f"for texts like those of {problem.pin.source or 'the table'}; its answers on texts of another kind are not "
        "measured.\n\n"
        f"**Data** version `{problem.pin.version}`: {len(ready):,} rows ({sides}), split {split}."
    )


def listed(labels: Sequence[str], most: int = 8) -> str:
    """The first few by name, and how many more there are."""
    more = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(f"`{label}`" for label in labels[:most]) + more


def resampled(problem: Problem) -> str:
    group = problem.settings.data.group
    return f"whole groups (`{group}`)" if group else "the rows"


def metrics(problem: Problem, found: Findings) -> list[dict[str, str]]:
    """Each figure with its interval, the one that decides marked."""
    rows = []
    for name, words in FIGURES.items():
        low, high = found.intervals.get(name, (None, None))
        rows.append({
            "metric": f"{words} *decides*" if name == problem.settings.evaluate.metric else words,
            "value": f"{getattr(found.scores, name):.4f}",
            "95% interval": "" if low is None else f"{low:.4f} to {high:.4f}",
        })  # fmt: skip
    return rows


def luck(problem: Problem, found: Findings) -> str:
    """What the deciding figure is less its luck; nothing where no comparison was made."""
    if found.corrected is None:
        return ""
    words, figure = METRICS[problem.settings.evaluate.metric].words, found.corrected
    times = f"{figure.met} comparison{'' if figure.met == 1 else 's'}"
    return (
        f"**Less its luck**, after {times} on these rows: {words} {figure.value:.4f}, 95% interval {figure.low:.4f} to "
        f"{figure.high:.4f}. A model that wins on these rows looks better on them than it is, the more so the more "
        "challengers they have judged. The other figures are as measured."
    )


def slices(problem: Problem, found: Findings) -> list[dict[str, str]]:
    metric = problem.settings.evaluate.metric
    return [
        {"slice": name, "rows": f"{scores.rows:,}", METRICS[metric].words: f"{getattr(scores, metric):.4f}"}
        for name, scores in found.slices.items()
    ]


def limits(problem: Problem, found: Findings, labels: Sequence[str]) -> str:
    """What is known to be weak, and what is not known."""
    metric = problem.settings.evaluate.metric
    worst = min(found.slices.items(), key=lambda item: METRICS[metric].best(item[1]), default=None)
    known = []
    if worst:
        known.append(f"Weakest slice: {worst[0]} ({METRICS[metric].words} {getattr(worst[1], metric):.4f}).")
    rare = [labels[at] for at, rows in enumerate(found.counts.sum(axis=1)) if rows < FEW]
    if rare:
        known.append(f"Fewer than {FEW} holdout rows, so hardly measured: {listed(rare)}.")
    known.append("Every text gets one of the classes, even a text that fits none.")
    return f"**Limits.** {' '.join(known)}"


def cost(found: Findings) -> str:
    """Seconds and joules; a machine that does not show its energy is said to be one."""
    trained, joules = found.origin.metrics.get("train_seconds"), found.origin.metrics.get("train_joules")
    energy = (
        f"{joules:,.0f} J, of the whole processor, whatever else ran meanwhile"
        if joules is not None
        else "not shown by this machine"
    )
    taught = f"Trained in {trained:.1f} s on {os.cpu_count()} cores" if trained is not None else "Training time unknown"
    each = 1000 * found.seconds / found.scores.rows
    return f"**Cost.** {taught}; answers 1,000 texts in {each:.2f} s. Energy of the training: {energy}."


def came_from(problem: Problem, found: Findings) -> str:
    """Links to all that the version came from."""
    here, version, origin = problem.here, found.version, found.origin
    tags = version.tags
    pages = {"its run": links.run(here, origin.experiment, version.run_id)}
    if origin.parent:
        pages["the build"] = links.run(here, origin.experiment, origin.parent)
        for suite in ("raw", "prepared"):
            pages[f"validation of {suite} data"] = links.artifact(
                here, origin.experiment, origin.parent, f"data-docs/{suite}.html"
            )
    if tags.get("prefect_flow_run_id"):
        pages["its build in Prefect"] = links.flow_run(here, tags["prefect_flow_run_id"])
    if found.against:
        pages[f"side by side with version {found.against.number}"] = links.comparison(
            here, origin.experiment, version.run_id, found.against.run_id
        )
    pages["all builds on this data"] = links.built_on(here, origin.experiment, tags.get("data_version", ""))
    commit = tags.get("git_commit", "unknown")[:12]
    return (
        f"**Came from** {links.markdown(pages)}; commit `{commit}`; set off by {tags.get('trigger', 'unknown')}. "
        f"All of it: `make lineage VERSION={version.number}`."
    )
