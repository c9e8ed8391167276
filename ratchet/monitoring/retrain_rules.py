"""Should the loop turn by itself now? What was found enters, the trigger's words leave, or why not.

A cooldown and a daily budget keep it from spinning whatever the findings; and where nothing has changed since the last
turn there is nothing that another could do better, so then it does not turn either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MINUTE, DAY = 60.0, 86_400.0


@dataclass(frozen=True)
class Rules:
    """What params.yaml says under `optimise`, in its units: minutes, rows, a share, turns a day."""

    labels: int
    accuracy: float | None
    drift: bool
    cooldown: float
    turns: int


@dataclass(frozen=True)
class Signals:
    """labels: rows learned since the last turn. accuracy: what the audit measures, at best: its interval's upper end.

    drift: what moved, in words, empty where nothing did. changed: data, params or code are not those of the last turn.
    """

    labels: int
    accuracy: float | None
    drift: str
    changed: bool


@dataclass(frozen=True)
class RetrainDecision:
    """trigger: why a turn begins, empty where none does. why_not: then, in a sentence; empty where nothing asks.

    labels_alone: more labels of the same world ask for it, so refreshing the champion's own kind of model is enough.
    """

    trigger: str
    why_not: str
    labels_alone: bool = False


def decide(rules: Rules, found: Signals, starts: Sequence[float], now: float) -> RetrainDecision:
    """Args: starts: when such turns began, seconds since 1970. now: the same."""
    asked = asks(rules, found)
    if not asked:
        return RetrainDecision("", "")
    if not found.changed:
        return RetrainDecision(
            "", f"{asked[0]}, and nothing is there to learn from that the last turn had not: label some texts."
        )
    held = holds_back(rules, starts, now)
    if held:
        return RetrainDecision("", f"{asked[0]}; {held}")
    return RetrainDecision(", ".join(asked), "", labels_alone=len(asked) == 1 and enough_labels(rules, found))


def asks(rules: Rules, found: Signals) -> list[str]:
    """What asks for a turn, in words."""
    asked = []
    if found.accuracy is not None and rules.accuracy is not None and found.accuracy < rules.accuracy:
        asked.append(f"accuracy at most {found.accuracy:.3f}, below {rules.accuracy:g}")
    if rules.drift and found.drift:
        asked.append(f"drift of {found.drift}")
    if enough_labels(rules, found):
        asked.append(f"{found.labels:,} new label{'s' * (found.labels != 1)}")
    return asked


def enough_labels(rules: Rules, found: Signals) -> bool:
    return 0 < rules.labels <= found.labels


def holds_back(rules: Rules, starts: Sequence[float], now: float) -> str:
    """Why no turn may begin by itself now, in words; empty where one may.

    A start that seems to lie ahead was written before the clock was set back: it counts as just now, so that the wait
    is bounded and never skipped.
    """
    passed = [now - min(start, now) for start in starts]
    today = sum(age < DAY for age in passed)
    if today >= rules.turns:
        return f"{today} turns began by themselves within a day, and optimise.turns is {rules.turns}"
    left = rules.cooldown * MINUTE - min(passed, default=float("inf"))
    if left > 0:
        return f"the next turn may begin in {left / MINUTE:.0f} minutes (optimise.cooldown)"
    return ""


def settled(starts: Sequence[float], now: float) -> list[float]:
    """The starts that still count, those that seem to lie ahead brought back to now; the last may count for days."""
    passed = [min(start, now) for start in starts]
    return [start for start in passed if now - start < DAY or start == max(passed)]
