"""The rule for automatic turns: signals and the starts of earlier turns enter, a RetrainDecision leaves. Pure.

A cooldown and a daily budget bound the turns whatever the signals. If nothing has changed since the last turn, another
turn could do no better, so none starts.

The rule is applied in two places, both through the memory in ratchet/monitoring/retrain_state.py:

- flows/next_turn.py calls `decide` at the end of `optimise`, with the accuracy and drift that it has just measured.
- flows/published/label_watcher.py polls `retrain_state.is_due` between turns, which applies the label count alone
  (`enough_labels`) with the same limits (`holds_back`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MINUTE, DAY = 60.0, 86_400.0


@dataclass(frozen=True)
class Rules:
    """The settings under `optimise` in params.yaml.

    Attributes:
        labels: New labels that trigger a turn; 0 turns this trigger off.
        accuracy: Accuracy below which a turn is triggered, a share; None turns this trigger off.
        drift: Whether drift triggers a turn.
        cooldown: Minutes between the starts of two turns.
        turns: Most turns a day.
    """

    labels: int
    accuracy: float | None
    drift: bool
    cooldown: float
    turns: int


@dataclass(frozen=True)
class Signals:
    """The observations that may trigger a turn.

    Attributes:
        labels: Feedback rows collected since the last turn.
        accuracy: Upper end of the interval of the audited accuracy; None if unknown.
        drift: The quantities that drifted, in words; empty if none did.
        changed: Whether data, params or code differ from those of the last turn.
        remedy: What a person can do where nothing has changed.
    """

    labels: int
    accuracy: float | None
    drift: str
    changed: bool
    remedy: str = "label some texts"


@dataclass(frozen=True)
class RetrainDecision:
    """Whether a turn starts.

    Attributes:
        trigger: Why a turn starts; empty if none does.
        why_not: Why no turn starts although a signal triggers one, in a sentence; empty if none triggers.
        labels_alone: Whether new labels are the only trigger, so that retraining the champion's kind of model suffices.
    """

    trigger: str
    why_not: str
    labels_alone: bool = False


def decide(rules: Rules, signals: Signals, starts: Sequence[float], now: float) -> RetrainDecision:
    """Decide whether an automatic turn starts.

    Args:
        rules: Settings under `optimise`.
        signals: Current observations.
        starts: Starts of earlier automatic turns, seconds since 1970.
        now: Current time, seconds since 1970.
    """
    reasons = triggers(rules, signals)
    if not reasons:
        return RetrainDecision("", "")
    if not signals.changed:
        return RetrainDecision(
            "", f"{reasons[0]}, and nothing is there to learn from that the last turn had not: {signals.remedy}."
        )
    limit = holds_back(rules, starts, now)
    if limit:
        return RetrainDecision("", f"{reasons[0]}; {limit}")
    return RetrainDecision(", ".join(reasons), "", labels_alone=len(reasons) == 1 and enough_labels(rules, signals))


def triggers(rules: Rules, signals: Signals) -> list[str]:
    """The signals that trigger a turn, in words."""
    reasons = []
    if signals.accuracy is not None and rules.accuracy is not None and signals.accuracy < rules.accuracy:
        reasons.append(f"accuracy at most {signals.accuracy:.3f}, below {rules.accuracy:g}")
    if rules.drift and signals.drift:
        reasons.append(f"drift of {signals.drift}")
    if enough_labels(rules, signals):
        reasons.append(f"{signals.labels:,} new label{'s' * (signals.labels != 1)}")
    return reasons


def enough_labels(rules: Rules, signals: Signals) -> bool:
    return 0 < rules.labels <= signals.labels


def holds_back(rules: Rules, starts: Sequence[float], now: float) -> str:
    """The limit that forbids a turn now, in words; empty if a turn may start.

    A start in the future was written before the clock was set back. It counts as just now, so the wait is bounded and
    never skipped.
    """
    ages = [now - min(start, now) for start in starts]
    today = sum(age < DAY for age in ages)
    if today >= rules.turns:
        return f"{today} turns began by themselves within a day, and optimise.turns is {rules.turns}"
    left = rules.cooldown * MINUTE - min(ages, default=float("inf"))
    if left > 0:
        return f"the next turn may begin in {left / MINUTE:.0f} minutes (optimise.cooldown)"
    return ""


def relevant_starts(starts: Sequence[float], now: float) -> list[float]:
    """The starts that still count: those of the last day and the last one, since a cooldown may take days.

    Starts in the future are set to now.
    """
    passed = [min(start, now) for start in starts]
    return [start for start in passed if now - start < DAY or start == max(passed)]
