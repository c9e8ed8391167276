"""The last drift check of live traffic, state/watch.json: for `make status`, Prometheus and the next check.

The next check needs two of its values: its time, since alpha spending depends on the time passed
(ratchet/monitoring/drift/alpha_spending.py), and what it called a drift, since a verdict must not flicker
(ratchet/monitoring/drift/drift.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ratchet.project import durable
from ratchet.project.paths import Places

if TYPE_CHECKING:  # the service reads this file and must not import what a drift check needs
    from ratchet.monitoring.drift.drift import Drift


@dataclass(frozen=True)
class LastCheck:
    """A drift check.

    Attributes:
        problem: Name of the problem.
        version: Version that was checked.
        at: Time of the check, seconds since 1970.
        tested: Time of the last check that compared anything, seconds since 1970; None if none did.
        verdict: The verdict in words.
        drifted: Whether anything drifted.
        rows: Distinct texts that were checked.
        called: Names of the quantities that drifted.
        effects: Effect of each quantity that was compared.
        p_values: p-value of each quantity that was compared.
        figures: The accuracies (`estimated`, `measured` and so on), each with value, low, high and rows.
        calibration: Calibration error on audited rows; None if unknown.
    """

    problem: str
    version: int
    at: float
    tested: float | None
    verdict: str
    drifted: bool
    rows: int
    called: tuple[str, ...] = ()
    effects: Mapping[str, float] = field(default_factory=dict)
    p_values: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    calibration: float | None = None


def summarise(problem: str, version: int, at: float, before: LastCheck | None, drift: Drift) -> LastCheck:
    """Summarise a drift check for state/watch.json.

    Args:
        at: Time of the check, seconds since 1970.
        before: The previous check of the same version.
        drift: Result of the check.
    """
    accuracy = drift.accuracy
    figures = {
        "holdout": accuracy.holdout,
        "estimated": accuracy.estimated,
        "measured": accuracy.measured,
        "always": accuracy.always,
    }
    return LastCheck(
        problem,
        version,
        at,
        at if drift.shifts else before.tested if before else None,
        drift.verdict,
        drift.drifted,
        drift.rows,
        tuple(shift.what for shift in drift.shifts if shift.drifted),
        {shift.what: shift.effect for shift in drift.shifts},
        {shift.what: shift.p_value for shift in drift.shifts},
        {name: asdict(figure) for name, figure in figures.items() if figure is not None},
        accuracy.honesty.error if accuracy.honesty else None,
    )


def write(here: Places, check: LastCheck) -> None:
    """Write the check in place of the previous one."""
    durable.write_json(here.watch, asdict(check))


def last(here: Places, problem: str, version: int | None = None) -> LastCheck | None:
    """The last check of this problem; None if there was none, or if it was of another version."""
    check = read(durable.read_json(here.watch))
    if check is None or check.problem != problem or version not in (None, check.version):
        return None
    return check


def read(content: Mapping[str, Any] | None) -> LastCheck | None:
    """The check in the content of the file; None if the content is not a check."""
    try:
        return LastCheck(**{**content, "called": tuple(content["called"])}) if content else None
    except (TypeError, KeyError):
        return None
