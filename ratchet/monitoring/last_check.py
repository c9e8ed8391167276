"""The last look at live traffic, as state/watch.json keeps it: for `make status`, Prometheus, and the next look.

The next look needs two things of it: when the one before was, for it may spend what has come in since, and what was
called, for a verdict must not come and go (ratchet/monitoring/drift/drift.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ratchet.project import durable
from ratchet.project.paths import Places

if TYPE_CHECKING:  # the service reads a note, and needs nothing of what made it
    from ratchet.monitoring.drift.drift import Drift


@dataclass(frozen=True)
class LastCheck:
    """One look. at, tested: seconds since 1970; tested: when something was last compared, None where it never was.

    called: what had drifted. effects, p_values: of all that was compared. figures: `estimated`, `measured` and so on,
    each with value, low, high and rows. calibration: the error on audited rows; None where it is not known.
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


def of(problem: str, version: int, at: float, before: LastCheck | None, found: Drift) -> LastCheck:
    """What is kept of a look. before: the one before it, of the same version."""
    known = found.accuracy
    figures = {
        "holdout": known.holdout,
        "estimated": known.estimated,
        "measured": known.measured,
        "always": known.always,
    }
    return LastCheck(
        problem,
        version,
        at,
        at if found.shifts else before.tested if before else None,
        found.verdict,
        found.drifted,
        found.rows,
        tuple(each.what for each in found.shifts if each.drifted),
        {each.what: each.effect for each in found.shifts},
        {each.what: each.p_value for each in found.shifts},
        {name: asdict(figure) for name, figure in figures.items() if figure is not None},
        known.honesty.error if known.honesty else None,
    )


def keep(here: Places, look: LastCheck) -> None:
    """Put it in place of the one before."""
    durable.write_json(here.watch, asdict(look))


def last(here: Places, problem: str, version: int | None = None) -> LastCheck | None:
    """The last look at this problem; None where there was none, or not at that version."""
    found = read(durable.read_json(here.watch))
    if found is None or found.problem != problem or version not in (None, found.version):
        return None
    return found


def read(content: Mapping[str, Any] | None) -> LastCheck | None:
    """The look that a note tells of; None where it is none of ours."""
    try:
        return LastCheck(**{**content, "called": tuple(content["called"])}) if content else None
    except (TypeError, KeyError):
        return None
