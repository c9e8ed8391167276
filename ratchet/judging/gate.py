"""Does the challenger go live? Probabilities on the holdout enter, a Decision with its reason leaves.

The rule: the challenger must reach the floor and beat always answering the most frequent class. Against a champion it
must be better by more than the margin at 90% confidence: the 10th percentile of the difference, over 2,000 resamples of
the holdout's groups, lies above the margin. Groups are resampled and not rows because the rows of one group are alike:
on film reviews the standard error by film was up to 1.6 times the one by row. That is with no history. Where earlier
challengers are known, what they taught (ratchet/judging/gate_memory.py) asks for more or for less than 90%.

Two things keep out a challenger that is better on the whole: a slice on which it is surely worse
(ratchet/judging/slices.py), and a line of data/must.csv that it breaks (ratchet/judging/must_list.py), as may no
first model.

Everything else asks `decide` and nothing else, so another rule is another version of this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ratchet.judging import gate_memory
from ratchet.judging import slices as slice_harm
from ratchet.judging.bootstrap import group_indices, pairs
from ratchet.judging.gate_memory import Belief, Measured
from ratchet.judging.metrics import METRICS, Floats, Ints, Metric, indices, score
from ratchet.judging.must_list import BrokenMust, MustResult
from ratchet.judging.slices import CONFIDENCE as SURELY
from ratchet.judging.slices import Masks, Slice

RESAMPLES = 2_000
CONFIDENCE = 0.90
"""One-sided. The interval shown runs from the 10th to the 90th percentile, so it covers 80%."""

ROUNDING = 1e-12
"""A difference that is no more than this over what is asked is not over it."""


@dataclass(frozen=True)
class Rules:
    """What params.yaml says under `evaluate`.

    floor: the worst value that may go live; for log_loss, where lower is better, the highest; None for no floor.
    margin: by how much the challenger must be better than the champion, in the metric's unit (0.01 is a
    point).
    """

    metric: str = "accuracy"
    floor: float | None = None
    margin: float = 0.0

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(
                f"The gate's metric must be one of {', '.join(METRICS)}. Received: {self.metric!r}. "
                "Change evaluate.metric in params.yaml."
            )

    @property
    def by(self) -> Metric:
        """The metric that decides."""
        return METRICS[self.metric]


@dataclass(frozen=True)
class Holdout:
    """The rows that judge: the classes in the order of the probabilities' columns, each row's truth and
    group, and the slices on which no challenger may be worse."""

    labels: tuple[str, ...]
    truth: Sequence[str]
    groups: Sequence[str | None] | None = None
    positive: str | None = None
    slices: Masks = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """A model by its name (`v3`, `linear`) and its probabilities on the holdout, shape (rows, classes)."""

    name: str
    probabilities: Floats


@dataclass(frozen=True)
class GateCheck:
    """One condition of the gate, with its figures in words."""

    name: str
    success: bool
    detail: str


@dataclass(frozen=True)
class Decision:
    """What happens to the challenger.

    reason: one sentence for a person, shown the same everywhere.
    difference, interval: challenger minus champion in the metric, turned so that above 0 is better.
    error, pull: of the difference, for the gate's own history: ratchet/judging/gate_memory.py.
    slices: the challenger against the champion on each. broken: lines of data/must.csv that the challenger breaks.
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


def recalled(written: Mapping[str, Any]) -> Decision:
    """A decision that was written down as a dictionary."""
    interval = tuple(written["interval"]) if written["interval"] else None
    slices = tuple(Slice(**{**known, "interval": tuple(known["interval"])}) for known in written.get("slices", ()))
    broken = tuple(BrokenMust(**known) for known in written.get("broken", ()))
    checks = tuple(GateCheck(**known) for known in written["checks"])
    return Decision(**{**written, "interval": interval, "checks": checks, "slices": slices, "broken": broken})


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

    baseline: always the most frequent class of the training rows. belief: what earlier challengers taught.
    must: how the challenger answered data/must.csv; None where there is none. first_of_split: what is live was split
    otherwise, so there is nobody to compare with.
    """
    value, least = (_value(model, holdout, rules.by) for model in (challenger, baseline))
    checks = (*_floor(value, rules), *_must(must), _baseline(value, least, rules))
    failed = [check for check in checks if not check.success]
    if failed:
        broken = must.broken if must else ()
        return Decision(False, "Refused", failed[0].detail + _stays(champion), None, None, checks, broken=broken)
    if champion is None:
        first = f"The first {'of its split' if first_of_split else 'model'} to pass: {_lowered(checks[-1].detail)}."
        return Decision(True, "Promoted", first, None, None, checks)
    return _against(challenger, champion, holdout, rules, checks, seed, belief or gate_memory.unknowing())


def _against(
    challenger: Candidate,
    champion: Candidate,
    holdout: Holdout,
    rules: Rules,
    checks: tuple[GateCheck, ...],
    seed: int,
    belief: Belief,
) -> Decision:
    """The paired comparison of two models that may both go live."""
    rows = f"{len(holdout.truth):,} holdout rows"
    if rules.by.is_same(challenger.probabilities, champion.probabilities):
        reason = f"The challenger answers all {rows} as {champion.name} does{_stays(champion)}"
        return Decision(False, "Kept champion", reason, 0.0, (0.0, 0.0), checks)
    groups = group_indices(holdout.groups, len(holdout.truth))
    if groups.max() == 0:
        lucky = "so a better model cannot be told from a lucky one"
        reason = f"All {rows} are of one group, {lucky}{_stays(champion)}"
        return Decision(False, "Kept champion", reason, None, None, checks)
    gained, champions = _resampled(challenger, champion, holdout, rules.by, groups, seed)
    values = [_value(model, holdout, rules.by) for model in (challenger, champion)]
    ahead, interval = rules.by.lead(*values), _interval(gained)
    measured = _measured(ahead, interval, gained, champions, len(groups))
    asked = float(gate_memory.asked(belief, measured)[0]) + rules.margin
    shown = [rules.by.shown(value) for value in values]
    low, high = map(rules.by.signed, interval)
    ends = f"{2 * CONFIDENCE - 1:.0%} interval of the difference {low} to {high}"
    found = f"{rules.by.comparison(ahead, rows, shown, champion.name)} ({ends})"
    found += _taught(belief, measured, asked, rules)
    better = ahead - asked > ROUNDING
    slices = _slices(challenger, champion, holdout, rules.by, groups, seed)
    checks = (*checks, GateCheck(f"Better than {champion.name}", better, found), *_unharmed(slices, champion, rules))
    promoted = better and checks[-1].success
    ending = f", so it replaces {champion.name}." if better else _doubt(ahead, asked, rules) + _stays(champion)
    if better and not promoted:
        ending = f", but {_lowered(checks[-1].detail)}{_stays(champion)}"
    verdict: Literal["Promoted", "Kept champion"] = "Promoted" if promoted else "Kept champion"
    error, pull = float(measured.error[0]), float(measured.pull[0])
    return Decision(promoted, verdict, found + ending, ahead, interval, checks, error, pull, slices)


def _slices(
    challenger: Candidate, champion: Candidate, holdout: Holdout, metric: Metric, groups: Ints, seed: int
) -> tuple[Slice, ...]:
    """The challenger against the champion on each slice of the holdout."""
    truth = np.asarray(holdout.truth, dtype=object)
    values = {}
    for name, mask in holdout.slices.items():
        part = Holdout(holdout.labels, truth[mask].tolist(), positive=holdout.positive)
        one, two = (_value(Candidate(c.name, c.probabilities[mask]), part, metric) for c in (challenger, champion))
        values[name] = one, two
    return slice_harm.compared(
        metric,
        indices(holdout.labels, holdout.truth),
        challenger.probabilities,
        champion.probabilities,
        groups,
        holdout.slices,
        values,
        positive=metric.place(holdout.labels, holdout.positive),
        seed=seed,
    )


def _unharmed(slices: tuple[Slice, ...], champion: Candidate, rules: Rules) -> tuple[GateCheck, ...]:
    """Whether it is surely worse on no slice; of those that it harms the one that is surest to lose is told."""
    if not slices:
        return ()
    looked = f"{len(slices)} slices" if len(slices) > 1 else "one slice"
    harmed = sorted((found for found in slices if found.harmed), key=lambda found: found.interval[1])
    if not harmed:
        detail = f"On none of the {looked} is the challenger surely more than half a point worse"
        return (GateCheck("No slice harmed", True, detail),)
    worst, metric = harmed[0], rules.by
    shown = [metric.shown(value) for value in (worst.challenger, worst.champion)]
    said = metric.comparison(worst.ahead, f"the {worst.rows:,} rows of the slice {worst.name}", shown, champion.name)
    said += f" (at least {metric.amount(-worst.interval[1])} with {SURELY:.0%} confidence over all {looked})"
    others = len(harmed) - 1
    said += f"; and it is worse on {others} more slice{'s' * (others > 1)}" if others else ""
    return (GateCheck("No slice harmed", False, said),)


def _must(must: MustResult | None) -> tuple[GateCheck, ...]:
    """Whether it answers data/must.csv as it must."""
    if must is None or not must.asked:
        return ()
    return (GateCheck("data/must.csv", not must.broken, str(must)),)


def _resampled(
    challenger: Candidate,
    champion: Candidate,
    holdout: Holdout,
    metric: Metric,
    groups: np.ndarray,
    seed: int,
) -> tuple[Floats, Floats]:
    """On each resample, how far the challenger is ahead, and what the champion scores."""
    challengers, champions = pairs(
        metric,
        indices(holdout.labels, holdout.truth),
        challenger.probabilities,
        champion.probabilities,
        groups,
        positive=metric.place(holdout.labels, holdout.positive),
        resamples=RESAMPLES,
        seed=seed,
    )
    return challengers - champions, champions


def _interval(gained: Floats) -> tuple[float, float]:
    low, high = np.quantile(gained, (1 - CONFIDENCE, CONFIDENCE))
    return float(low), float(high)


def _measured(ahead: float, interval: tuple[float, float], gained: Floats, champions: Floats, rows: int) -> Measured:
    """What the gate's history is made of. The error is that which the 10th percentile stands for: on the low side."""
    error = max(ahead - interval[0], 0.0) / gate_memory.CAREFUL
    spread = float(champions.var())
    pull = -float(np.cov(gained, champions, bias=True)[0, 1]) / spread if spread else 0.0
    return Measured(*(np.array([figure]) for figure in (ahead, error, min(max(pull, 0.0), 1.0), float(rows))))


def _value(model: Candidate, holdout: Holdout, metric: Metric) -> float:
    scores = score(holdout.labels, holdout.truth, model.probabilities, holdout.positive)
    return float(getattr(scores, metric.name))


def _floor(value: float, rules: Rules) -> tuple[GateCheck, ...]:
    if rules.floor is None:
        return ()
    reached = rules.by.lead(value, rules.floor) >= 0
    words = "reaches" if reached else "does not reach"
    found, asked = (rules.by.shown(figure) for figure in (value, rules.floor))
    detail = f"The challenger's {rules.by.words} {found} {words} the floor {asked}"
    return (GateCheck("Floor", reached, detail),)


def _baseline(value: float, least: float, rules: Rules) -> GateCheck:
    beaten = rules.by.lead(value, least) > 0
    words = "beats" if beaten else "does not beat"
    shown = f"{rules.by.words} {rules.by.shown(value)} {words} {rules.by.shown(least)}"
    return GateCheck("Baseline", beaten, f"The challenger's {shown}, that of always giving the most frequent class")


def _taught(belief: Belief, measured: Measured, asked: float, rules: Rules) -> str:
    """What the history did, as a part of the sentence."""
    if not belief.seen:
        return ""
    otherwise = gate_memory.CAREFUL * float(measured.error[0]) + rules.margin
    met = f"{belief.seen} earlier challenger{'s' if belief.seen > 1 else ''}"
    asks, first = (rules.by.amount(amount) for amount in (asked, otherwise))
    return f"; after {met} more than {asks} is asked, where the first was asked {first}"


def _lowered(sentence: str) -> str:
    """The sentence as a part of another."""
    return sentence[:1].lower() + sentence[1:]


def _doubt(ahead: float, asked: float, rules: Rules) -> str:
    if ahead > 0 and ahead - (asked - rules.margin) <= ROUNDING:
        return ", which may be luck"
    return f", and more than {rules.by.amount(rules.margin)} is asked" if ahead > 0 else ""


def _stays(champion: Candidate | None) -> str:
    return f", so {champion.name} stays." if champion else "."
