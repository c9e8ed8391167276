"""How the loop turns by itself: when such turns began, and what the last turn had learned. `state/pace.json`."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace

from ratchet import note, predictions, turn
from ratchet.places import Places
from ratchet.problem import Problem
from ratchet.settings import Optimise, Settings
from ratchet.steps import triggers
from ratchet.steps.triggers import Found, Rules


@dataclass(frozen=True)
class Pace:
    """starts: of turns that began by themselves, seconds since 1970. run: the last one's flow run.

    learned: rows of feedback that the last turn was built on. kept: of them in the data now.
    looked_at: labels in the log when they were last collected. cause: of the last turn (ratchet/turn.py).
    """

    problem: str
    starts: tuple[float, ...] = ()
    run: str = ""
    learned: int = 0
    kept: int = 0
    looked_at: int = 0
    cause: str = ""


def read(here: Places, problem: str) -> Pace:
    """What is noted; of another problem, or of none, nothing is."""
    raw = note.read(here.pace) or {}
    try:
        counts = {name: int(raw.get(name, 0)) for name in ("learned", "kept", "looked_at")}
        known = Pace(**raw | {"starts": tuple(map(float, raw.get("starts", ())))} | counts)
    except (TypeError, ValueError):
        return Pace(problem)
    return known if known.problem == problem else replace(Pace(problem), starts=known.starts)


def write(here: Places, pace: Pace) -> None:
    note.write(here.pace, asdict(pace))


def began(here: Places, problem: str, run: str) -> None:
    """A turn begins by itself, as that flow run."""
    now, pace = time.time(), read(here, problem)
    starts = (*triggers.settled(pace.starts, now), now)
    write(here, replace(pace, starts=starts, run=run))


def turned(here: Places, problem: str, cause: str, learned: int) -> None:
    """A turn was made of this cause, with so many rows of feedback."""
    pace = read(here, problem)
    write(here, replace(pace, cause=cause, learned=learned, kept=max(pace.kept, learned)))


def collected(problem: Problem, labels: int, kept: int) -> None:
    """So many labels of the log have been looked at, and so many rows came of all of them so far.

    Starts that seem to lie ahead are noted as of now: else they would hold the next turn back until the clock is there.
    """
    pace = read(problem.here, problem.name)
    starts = tuple(triggers.settled(pace.starts, time.time()))
    write(problem.here, replace(pace, starts=starts, looked_at=labels, kept=kept))


def now() -> float:
    return time.time()


def starts(problem: Problem) -> tuple[float, ...]:
    """When turns began by themselves, seconds since 1970."""
    return read(problem.here, problem.name).starts


def changed(problem: Problem) -> bool:
    """Whether data, params or code are not those of the last turn."""
    return turn.cause(problem.here) != read(problem.here, problem.name).cause


def found(problem: Problem, accuracy: float | None, drift: str) -> Found:
    """What may ask for a turn."""
    pace = read(problem.here, problem.name)
    return Found(max(0, pace.kept - pace.learned), accuracy, drift, changed(problem))


def waiting(here: Places, settings: Settings) -> int:
    """Labels that no turn has learned from: not collected from the log yet, or collected since the last turn.

    Where the log has forgotten old ones, any of those that it has may be new.
    """
    pace = read(here, settings.problem)
    logged = predictions.labels(predictions.place(here))
    new = logged - pace.looked_at if logged >= pace.looked_at else logged
    return new + max(0, pace.kept - pace.learned)


def is_due(here: Places, settings: Settings) -> bool:
    """Whether enough labels wait, and a turn may begin now."""
    rules = rules_of(settings.optimise)
    if not rules.labels or triggers.holds_back(rules, read(here, settings.problem).starts, time.time()):
        return False
    return triggers.enough_labels(rules, Found(waiting(here, settings), None, "", True))


def rules_of(settings: Optimise) -> Rules:
    return Rules(settings.labels, settings.accuracy, settings.drift, settings.cooldown, settings.turns)
