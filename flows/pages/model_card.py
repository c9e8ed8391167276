"""The model card of a judged version: use, scores, weaknesses, cost, origin. Pure: findings enter, Markdown leaves.

Its sections follow Mitchell et al. 2019, Model Cards for Model Reporting; every sentence is made from a result.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flows.pages import links
from flows.pages.reports import GAP, marked, table
from flows.registry.snapshot import Origin, Version
from ratchet.data.prepare.rows import PreparedRows
from ratchet.judging.gate import Decision
from ratchet.judging.metrics import Scores
from ratchet.judging.must_list import MustResult
from ratchet.judging.selection_bias import CorrectedFigure
from ratchet.problem.problem import Problem
from ratchet.tasks.values import Figure

MOST = 5_000
"""Characters that MLflow keeps of a version's description; the artifact model-card.md has the whole card."""
SIDES = (("train", "to learn"), ("validation", "to choose"), ("holdout", "to judge"))


@dataclass(frozen=True)
class Findings:
    """What evaluate measured of a version on the holdout.

    Attributes:
        version: The judged version.
        decision: The gate's decision on it.
        scores: All metrics on the holdout.
        intervals: By the name of the metric, where 95% of resamples lie.
        slices: The scores of each slice.
        figures: What the kind of problem finds in the outputs.
        limits: Sentences about what the holdout cannot measure.
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
    figures: Sequence[Figure]
    limits: Sequence[str]
    seconds: float
    against: Version | None
    origin: Origin
    digest: str
    must: MustResult | None = None
    corrected: CorrectedFigure | None = None

    @property
    def title(self) -> str:
        return f"Version {self.version.number} ({self.version.model})"


def card(problem: Problem, ready: PreparedRows, findings: Findings) -> str:
    """Return the whole card, as Markdown."""
    parts = [
        f"{findings.decision.verdict}: {findings.decision.reason}",
        use(problem, ready, findings.version),
        f"**On the holdout**, {findings.scores.rows:,} rows that it was never trained on; 95% intervals over "
        f"resamples of {resampled(problem)}:",
        table(metrics(problem, findings), GAP),
        selection_bias(problem, findings),
        "**By slice:**" if findings.slices else "",
        table(slices(problem, findings), GAP),
        f"**What it must get right.** {findings.must}." if findings.must else "",
        *(f"**{figure.title}.** {figure.sentence}" for figure in findings.figures),
        limits(problem, findings),
        cost(problem, findings),
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
    split = f"by `{data.group}`, all rows of one on the same side" if data.group else f"by the hash of its {data.UNIT}"
    sides = ", ".join(f"{ready.count(side):,} {purpose}" for side, purpose in SIDES)
    return (
        f"**For** giving each {marked(data.inputs)} its `{data.label}`: {problem.task.judging.listed(ready.labels)}. "
        f"The model is {version.model}, made for {data.UNIT}s like those of {problem.pin.source or 'the table'}; its "
        f"answers on {data.UNIT}s of another kind are not measured.\n\n"
        f"**Data** version `{problem.pin.version}`: {len(ready):,} rows ({sides}), split {split}."
    )


def resampled(problem: Problem) -> str:
    """Return what the bootstrap resamples, in words."""
    group = problem.settings.data.group
    return f"whole groups (`{group}`)" if group else "the rows"


def metrics(problem: Problem, findings: Findings) -> list[dict[str, str]]:
    """Return each metric with its interval as a row; the deciding one is marked."""
    rows = []
    for name, words in problem.task.judging.FIGURES.items():
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
    words = problem.settings.metric.words
    figure = findings.corrected
    times = f"{figure.met} comparison{'' if figure.met == 1 else 's'}"
    return (
        f"**Less its luck**, after {times} on these rows: {words} {figure.value:.4f}, 95% interval {figure.low:.4f} to "
        f"{figure.high:.4f}. A model that wins on these rows looks better on them than it is, the more so the more "
        "challengers they have judged. The other figures are as measured."
    )


def slices(problem: Problem, findings: Findings) -> list[dict[str, str]]:
    """Return the deciding metric of each slice as a row."""
    metric = problem.settings.metric
    return [
        {"slice": name, "rows": f"{scores.rows:,}", metric.words: f"{getattr(scores, metric.name):.4f}"}
        for name, scores in findings.slices.items()
    ]


def limits(problem: Problem, findings: Findings) -> str:
    """Return the known weaknesses, and what is not measured; empty where there are none."""
    metric = problem.settings.metric
    worst = min(findings.slices.items(), key=lambda item: metric.best(item[1]), default=None)
    sentences = [*findings.limits]
    if worst:
        sentences.insert(0, f"Weakest slice: {worst[0]} ({metric.words} {getattr(worst[1], metric.name):.4f}).")
    return f"**Limits.** {' '.join(sentences)}" if sentences else ""


def cost(problem: Problem, findings: Findings) -> str:
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
    answered = f"answers 1,000 {problem.settings.data.UNIT}s in {thousand:.2f} s"
    return f"**Cost.** {training}; {answered}. Energy of the training: {energy}."


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
