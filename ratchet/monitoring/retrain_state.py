"""How the loop turns by itself: when such turns began, and what the last turn had learned. `state/pace.json`."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace

from ratchet.monitoring import retrain_rules
from ratchet.monitoring.log import database, predictions
from ratchet.monitoring.retrain_rules import Rules, Signals
from ratchet.project import durable
from ratchet.project.paths import Places
from ratchet.project.problem import Problem
from ratchet.project.settings import Optimise, Settings
from ratchet.state import turn


@dataclass(frozen=True)
class RetrainState:
    """starts: of turns that began by themselves, seconds since 1970. run: the last one's flow run.

    learned: rows of feedback that the last turn was built on, or that judge a version on trial. kept: in the data now.
    taught: the rows of each source that the last turn was built on; None where that was not noted yet.
    looked_at: labels that were left waiting in the log when they were last collected. cause: of the last turn
    (ratchet/state/turn.py).
    """

    problem: str
    starts: tuple[float, ...] = ()
    run: str = ""
    learned: int = 0
    kept: int = 0
    taught: Mapping[str, int] | None = None
    looked_at: int = 0
    cause: str = ""


def read(here: Places, problem: str) -> RetrainState:
    """What is noted; of another problem, or of none, nothing is."""
    found = durable.read_json(here.pace) or {}
    raw = {
        each.name: found[each.name] for each in fields(RetrainState) if each.name in found
    }  # earlier code noted more
    try:
        counts = {name: int(raw.get(name, 0)) for name in ("learned", "kept", "looked_at")}
        taught = (
            {str(name): int(rows) for name, rows in raw["taught"].items()} if raw.get("taught") is not None else None
        )
        known = RetrainState(**raw | counts | {"starts": tuple(map(float, raw.get("starts", ()))), "taught": taught})
    except (AttributeError, TypeError, ValueError):
        return RetrainState(problem)
    return known if known.problem == problem else replace(RetrainState(problem), starts=known.starts)


def change(here: Places, problem: str, changed: Callable[[RetrainState], RetrainState]) -> None:
    """Write what becomes of the note; alone, for a run of the loop and the watcher of labels both do."""
    here.state.mkdir(parents=True, exist_ok=True)
    with open(here.state / "pace.lock", "a", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        durable.write_json(here.pace, asdict(changed(read(here, problem))))


@contextmanager
def beginning(here: Places, problem: str) -> Iterator[Callable[[str], None]]:
    """A turn begins by itself in the block, which tells as what flow run.

    It is noted before anybody is asked for it, so that a kill forgets no start; taken back where the block fails.
    """
    now = time.time()
    change(here, problem, lambda pace: replace(pace, starts=(*retrain_rules.settled(pace.starts, now), now)))
    try:
        yield lambda run: change(here, problem, lambda pace: replace(pace, run=run))
    except Exception:
        change(here, problem, lambda pace: replace(pace, starts=tuple(each for each in pace.starts if each != now)))
        raise


def turned(here: Places, problem: str, cause: str, taught: Mapping[str, int]) -> None:
    """A turn was made of this cause, with so many rows of feedback by each source, which are all that the data has."""
    learned = sum(taught.values())
    change(here, problem, lambda pace: replace(pace, cause=cause, learned=learned, kept=learned, taught=taught))


def held(problem: Problem) -> None:
    """What was collected asked for a turn, which did not begin; so many labels again ask for the next."""
    change(problem.here, problem.name, lambda pace: replace(pace, learned=pace.kept))


def collected(problem: Problem, looked_at: int, kept: int) -> None:
    """The labels of the log were looked at: so many were left waiting in it, and so many rows are in the data now.

    Starts that seem to lie ahead are noted as of now: else they would hold the next turn back until the clock is there.
    """
    now = time.time()
    change(
        problem.here,
        problem.name,
        lambda pace: replace(
            pace, starts=tuple(retrain_rules.settled(pace.starts, now)), looked_at=looked_at, kept=kept
        ),
    )


def untaught(problem: Problem, kept: Mapping[str, int]) -> dict[str, int]:
    """Of the rows of feedback that the data has by each source: how many no turn has learned."""
    taught = read(problem.here, problem.name).taught
    return {} if taught is None else {name: max(0, rows - taught.get(name, 0)) for name, rows in kept.items()}


def now() -> float:
    return time.time()


def starts(problem: Problem) -> tuple[float, ...]:
    """When turns began by themselves, seconds since 1970."""
    return read(problem.here, problem.name).starts


def changed(problem: Problem) -> bool:
    """Whether data, params or code are not those of the last turn."""
    return turn.cause(problem.here) != read(problem.here, problem.name).cause


def found(problem: Problem, accuracy: float | None, drift: str) -> Signals:
    """What may ask for a turn."""
    pace = read(problem.here, problem.name)
    return Signals(max(0, pace.kept - pace.learned), accuracy, drift, changed(problem))


def waiting(here: Places, settings: Settings) -> int:
    """Labels that no turn has learned from: not collected from the log yet, or collected since the last turn.

    What was left waiting in the log when it was last collected asks for nothing: others must come.
    """
    pace, logged = read(here, settings.problem), predictions.labels(database.place(here), settings.problem)
    return max(0, logged - pace.looked_at) + max(0, pace.kept - pace.learned)


def is_due(here: Places, settings: Settings) -> bool:
    """Whether enough labels wait, and a turn may begin now."""
    rules = rules_of(settings.optimise)
    if not rules.labels or retrain_rules.holds_back(rules, read(here, settings.problem).starts, time.time()):
        return False
    return retrain_rules.enough_labels(rules, Signals(waiting(here, settings), None, "", True))


def rules_of(settings: Optimise) -> Rules:
    return Rules(settings.labels, settings.accuracy, settings.drift, settings.cooldown, settings.turns)
