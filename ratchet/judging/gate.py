"""Decides whether the challenger goes live: outputs on the holdout enter, a Decision with its reason leaves.

Rule. The challenger must reach the floor and beat a baseline that ignores the input. Against a champion it must lead by
more than the margin at 90% confidence: the 10th percentile of the difference, over 2,000 bootstrap resamples of the
holdout's groups, lies above the margin. Groups are resampled instead of rows because the rows of a group are alike: on
film reviews the standard error by film was up to 1.6 times the standard error by row.

The 90% applies without a history. When earlier challengers are known, the gate's memory
(ratchet/judging/gate_memory.py) asks for more or less than that.

A challenger that is better overall is still kept out by either of these:

- a slice on which it is significantly worse (ratchet/judging/slices.py)
- a line of data/must.csv that it breaks (ratchet/judging/must_list.py); this also holds for the first model

All other code calls `decide` only, so another rule is another version of this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ratchet.judging import gate_memory
from ratchet.judging import slices as slice_harm
from ratchet.judging.bootstrap import group_indices, paired_gains
from ratchet.judging.gate_memory import Belief, Measured
from ratchet.judging.metrics import Floats, Ints, Metric, Truth
from ratchet.judging.must_list import BrokenMust, MustResult
from ratchet.judging.slices import CONFIDENCE as SLICE_CONFIDENCE
from ratchet.judging.slices import Masks, Slice

RESAMPLES = 2_000
CONFIDENCE = 0.90
"""One-sided. The interval shown runs from the 10th to the 90th percentile, so it covers 80%."""

ROUNDING = 1e-12
"""A lead exceeds the required lead only if it does so by more than this."""


@dataclass(frozen=True)
class Rules:
    """The settings under `evaluate` in params.yaml.

    Attributes:
        metric: The metric that decides, bound to the models' outputs.
        floor: Worst value that may go live (for log_loss, where lower is better, the highest); None for no floor.
        margin: Lead over the champion that the challenger must exceed, in the metric's unit (0.01 is a point).
    """

    metric: Metric
    floor: float | None = None
    margin: float = 0.0


@dataclass(frozen=True)
class Holdout:
    """The rows that models are judged on.

    Attributes:
        truth: Target of each row, as a number.
        groups: Group of each row; None if each row stands alone.
        slices: Slices on which no challenger may be worse.
    """

    truth: Truth
    groups: Sequence[str | None] | None = None
    slices: Masks = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """A model by its name in a sentence (`v3`, `always giving the most frequent class`) and its outputs, (rows, k)."""

    name: str
    outputs: Floats


@dataclass(frozen=True)
class GateCheck:
    """One condition of the gate, with its figures in words."""

    name: str
    success: bool
    detail: str


@dataclass(frozen=True)
class Decision:
    """The outcome for a challenger.

    Attributes:
        promote: Whether the challenger replaces the champion.
        verdict: The outcome in two words.
        reason: One sentence for a person, shown identically everywhere.
        difference: Challenger minus champion in the metric's unit, signed so that above 0 is better.
        interval: 80% bootstrap interval of the difference.
        checks: Conditions that were checked.
        error: Standard error of the difference, kept for the gate's memory.
        pull: Pull of the difference, kept for the gate's memory (ratchet/judging/gate_memory.py).
        slices: Challenger against champion on each slice.
        broken: Lines of data/must.csv that the challenger breaks.
    """

    promote: bool
    verdict: Literal["Promoted", "Kept champion", "Refused"]
    reason: str
    difference: float | None
    interval: tuple[float, float] | None
    checks: tuple[GateCheck, ...]
    error: float | None = None
    pull: float | None = None
    slices: tuple[Slice, ...] = ()
    broken: tuple[BrokenMust, ...] = ()


def decision_from_dict(stored: Mapping[str, Any]) -> Decision:
    """Read a Decision back from the dictionary that `asdict` made of it."""
    interval = tuple(stored["interval"]) if stored["interval"] else None
    slices = tuple(Slice(**{**item, "interval": tuple(item["interval"])}) for item in stored.get("slices", ()))
    broken = tuple(BrokenMust(**item) for item in stored.get("broken", ()))
    checks = tuple(GateCheck(**item) for item in stored["checks"])
    return Decision(**{**stored, "interval": interval, "checks": checks, "slices": slices, "broken": broken})


def decide(
    challenger: Candidate,
    champion: Candidate | None,
    baseline: Candidate,
    holdout: Holdout,
    rules: Rules,
    seed: int = 0,
    belief: Belief | None = None,
    must: MustResult | None = None,
    first_of_split: bool = False,
) -> Decision:
    """Promote the challenger, keep the champion, or refuse; the same arguments give the same decision.

    Args:
        challenger: Model to decide on.
        champion: Live model; None if there is none.
        baseline: Model that ignores the input; its name says what it does.
        holdout: Rows that judge.
        rules: Metric, floor and margin.
        seed: Of the bootstrap.
        belief: Belief learned from earlier challengers, in the unit of `gate_memory.unit`; None for no history.
        must: The challenger's result on data/must.csv; None without that file.
        first_of_split: Whether the live model has another split, so that there is no model to compare with.
    """
    value = rules.metric.value(holdout.truth, challenger.outputs)
    checks = (*_check_floor(value, rules), *_check_must(must), _check_baseline(value, baseline, holdout, rules))
    failed = [check for check in checks if not check.success]
    if failed:
        broken = must.broken if must else ()
        reason = failed[0].detail + _stays(champion)
        return Decision(False, "Refused", reason, None, None, checks, broken=broken)
    if champion is None:
        first = "of its split" if first_of_split else "model"
        reason = f"The first {first} to pass: {_lowered(checks[-1].detail)}."
        return Decision(True, "Promoted", reason, None, None, checks)
    return _compare(challenger, champion, holdout, rules, checks, seed, belief or gate_memory.prior_belief())


def _compare(
    challenger: Candidate,
    champion: Candidate,
    holdout: Holdout,
    rules: Rules,
    checks: tuple[GateCheck, ...],
    seed: int,
    belief: Belief,
) -> Decision:
    """Decide by the paired comparison of two models that may both go live."""
    metric = rules.metric
    rows = f"{len(holdout.truth):,} holdout rows"
    if metric.is_same(challenger.outputs, champion.outputs):
        reason = f"The challenger answers all {rows} as {champion.name} does{_stays(champion)}"
        return Decision(False, "Kept champion", reason, 0.0, (0.0, 0.0), checks)
    groups = group_indices(holdout.groups, len(holdout.truth))
    if groups.max() == 0:
        reason = f"All {rows} are of one group, so a better model cannot be told from a lucky one{_stays(champion)}"
        return Decision(False, "Kept champion", reason, None, None, checks)
    leads, champion_gains = _resample(challenger, champion, holdout, metric, groups, seed)
    values = [metric.value(holdout.truth, model.outputs) for model in (challenger, champion)]
    lead = metric.lead(*values)
    interval = _interval(leads)
    measured = _measured(lead, interval, leads, champion_gains, len(groups))
    unit = gate_memory.unit(metric, values[1])
    required = float(gate_memory.required_lead(belief, measured.times(unit))[0]) / unit + rules.margin
    low, high = map(metric.format_signed, interval)
    ends = f"{2 * CONFIDENCE - 1:.0%} interval of the difference {low} to {high}"
    comparison = metric.comparison(lead, rows, [metric.format_value(value) for value in values], champion.name)
    detail = f"{comparison} ({ends}){_describe_memory(belief, measured, required, rules)}"
    is_better = lead - required > ROUNDING
    slices = _compare_slices(challenger, champion, holdout, metric, groups, seed)
    checks = (
        *checks,
        GateCheck(f"Better than {champion.name}", is_better, detail),
        *_check_slices(slices, champion, rules),
    )
    promoted = is_better and checks[-1].success
    if promoted:
        ending = f", so it replaces {champion.name}."
    elif is_better:
        ending = f", but {_lowered(checks[-1].detail)}{_stays(champion)}"
    else:
        ending = _describe_shortfall(lead, required, rules) + _stays(champion)
    verdict: Literal["Promoted", "Kept champion"] = "Promoted" if promoted else "Kept champion"
    error = float(measured.error[0])
    pull = float(measured.pull[0])
    return Decision(promoted, verdict, detail + ending, lead, interval, checks, error, pull, slices)


def _compare_slices(
    challenger: Candidate, champion: Candidate, holdout: Holdout, metric: Metric, groups: Ints, seed: int
) -> tuple[Slice, ...]:
    """Compare the challenger with the champion on each slice of the holdout."""
    truth = holdout.truth
    values = {
        name: (metric.value(truth[mask], challenger.outputs[mask]), metric.value(truth[mask], champion.outputs[mask]))
        for name, mask in holdout.slices.items()
    }
    return slice_harm.compare_slices(
        metric, truth, challenger.outputs, champion.outputs, groups, holdout.slices, values, seed=seed
    )


def _check_slices(slices: tuple[Slice, ...], champion: Candidate, rules: Rules) -> tuple[GateCheck, ...]:
    """Check that no slice is harmed; the detail names the harmed slice whose interval lies lowest."""
    if not slices:
        return ()
    count = f"{len(slices)} slices" if len(slices) > 1 else "one slice"
    harmed = sorted((part for part in slices if part.harmed), key=lambda part: part.interval[1])
    metric = rules.metric
    if not harmed:
        detail = f"On none of the {count} is the challenger surely more than {metric.slide_words} worse"
        return (GateCheck("No slice harmed", True, detail),)
    worst = harmed[0]
    values = [metric.format_value(value) for value in (worst.challenger, worst.champion)]
    detail = metric.comparison(worst.ahead, f"the {worst.rows:,} rows of the slice {worst.name}", values, champion.name)
    least = metric.format_difference(-worst.interval[1])
    detail += f" (at least {least} with {SLICE_CONFIDENCE:.0%} confidence over all {count})"
    others = len(harmed) - 1
    detail += f"; and it is worse on {others} more slice{'s' * (others > 1)}" if others else ""
    return (GateCheck("No slice harmed", False, detail),)


def _check_must(must: MustResult | None) -> tuple[GateCheck, ...]:
    """Check that the challenger breaks no line of data/must.csv."""
    if must is None or not must.asked:
        return ()
    return (GateCheck("data/must.csv", not must.broken, str(must)),)


def _resample(
    challenger: Candidate,
    champion: Candidate,
    holdout: Holdout,
    metric: Metric,
    groups: np.ndarray,
    seed: int,
) -> tuple[Floats, Floats]:
    """The challenger's lead and the champion's gain on each bootstrap resample, each of shape (resamples,)."""
    challenger_gains, champion_gains = paired_gains(
        metric,
        holdout.truth,
        challenger.outputs,
        champion.outputs,
        groups,
        resamples=RESAMPLES,
        seed=seed,
    )
    return challenger_gains - champion_gains, champion_gains


def _interval(leads: Floats) -> tuple[float, float]:
    low, high = np.quantile(leads, (1 - CONFIDENCE, CONFIDENCE))
    return float(low), float(high)


def _measured(lead: float, interval: tuple[float, float], leads: Floats, champion_gains: Floats, rows: int) -> Measured:
    """The measurement that the gate's memory keeps; its error is derived from the 10th percentile, the low side."""
    error = max(lead - interval[0], 0.0) / gate_memory.CAREFUL
    variance = float(champion_gains.var())
    pull = -float(np.cov(leads, champion_gains, bias=True)[0, 1]) / variance if variance else 0.0
    return Measured(*(np.array([figure]) for figure in (lead, error, min(max(pull, 0.0), 1.0), float(rows))))


def _check_floor(value: float, rules: Rules) -> tuple[GateCheck, ...]:
    if rules.floor is None:
        return ()
    metric = rules.metric
    is_reached = metric.lead(value, rules.floor) >= 0
    verb = "reaches" if is_reached else "does not reach"
    figure = f"The challenger's {metric.words} {metric.format_value(value)}"
    return (GateCheck("Floor", is_reached, f"{figure} {verb} the floor {metric.format_value(rules.floor)}"),)


def _check_baseline(value: float, baseline: Candidate, holdout: Holdout, rules: Rules) -> GateCheck:
    metric = rules.metric
    least = metric.value(holdout.truth, baseline.outputs)
    is_beaten = metric.lead(value, least) > 0
    verb = "beats" if is_beaten else "does not beat"
    figures = f"{metric.words} {metric.format_value(value)} {verb} {metric.format_value(least)}"
    return GateCheck("Baseline", is_beaten, f"The challenger's {figures}, that of {baseline.name}")


def _describe_memory(belief: Belief, measured: Measured, required: float, rules: Rules) -> str:
    """The effect of earlier challengers on the required lead, as part of a sentence."""
    if not belief.seen:
        return ""
    without_history = gate_memory.CAREFUL * float(measured.error[0]) + rules.margin
    earlier = f"{belief.seen} earlier challenger{'s' if belief.seen > 1 else ''}"
    now, first = (rules.metric.format_difference(amount) for amount in (required, without_history))
    return f"; after {earlier} the lead must exceed {now} ({first} without history)"


def _lowered(sentence: str) -> str:
    """The sentence as part of another."""
    return sentence[:1].lower() + sentence[1:]


def _describe_shortfall(lead: float, required: float, rules: Rules) -> str:
    if lead <= 0:
        return ""
    if lead - (required - rules.margin) <= ROUNDING:
        return ", which may be luck"
    return f", but not by more than the margin of {rules.metric.format_difference(rules.margin)}"


def _stays(champion: Candidate | None) -> str:
    return f", so {champion.name} stays." if champion else "."
