"""The memory of automatic retraining, state/pace.json: starts of automatic turns, and the feedback already learned.

The rule itself is ratchet/monitoring/retrain_rules.py. The file is written by

- flows/feedback_intake.py, after feedback was collected (`record_collection`)
- flows/lifecycle.py, after a turn (`record_turn`), or when no turn follows the collected labels (`reset_label_count`)
- flows/next_turn.py and flows/published/label_watcher.py, around the request for a turn (`record_start`)

Both of the latter decide by this file and that rule: next_turn passes `current_signals` and `starts` to
`retrain_rules.decide` at the end of a turn; label_watcher polls `is_due` between turns.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace

from ratchet.monitoring import retrain_rules
from ratchet.monitoring.log import database, predictions
from ratchet.monitoring.retrain_rules import Rules, Signals
from ratchet.problem.problem import Problem
from ratchet.problem.settings import Optimise, Settings
from ratchet.project import durable
from ratchet.project.paths import Places
from ratchet.state import turn


@dataclass(frozen=True)
class RetrainState:
    """Content of state/pace.json.

    Attributes:
        problem: Name of the problem.
        starts: Starts of automatic turns, seconds since 1970.
        run: Flow run id of the last automatic turn.
        learned: Feedback rows that the last turn was built on, or that judge a version on trial.
        kept: Feedback rows in the data now.
        taught: Feedback rows of each source that the last turn was built on; None if that was not recorded yet.
        looked_at: Labels that stayed in the log when labels were last collected.
        cause: Cause of the last turn (ratchet/state/turn.py).
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
    """Read the state. For another problem only `starts` is kept; a missing or damaged file gives an empty state."""
    content = durable.read_json(here.pace) or {}
    names = [field.name for field in fields(RetrainState)]
    raw = {name: content[name] for name in names if name in content}  # earlier code wrote more fields
    try:
        counts = {name: int(raw.get(name, 0)) for name in ("learned", "kept", "looked_at")}
        taught = (
            {str(name): int(rows) for name, rows in raw["taught"].items()} if raw.get("taught") is not None else None
        )
        state = RetrainState(**raw | counts | {"starts": tuple(map(float, raw.get("starts", ()))), "taught": taught})
    except (AttributeError, TypeError, ValueError):
        return RetrainState(problem)
    return state if state.problem == problem else replace(RetrainState(problem), starts=state.starts)


def update(here: Places, problem: str, transform: Callable[[RetrainState], RetrainState]) -> None:
    """Replace the state under a file lock, since a run of the loop and the label watcher both write it."""
    here.state.mkdir(parents=True, exist_ok=True)
    with open(here.state / "pace.lock", "a", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        durable.write_json(here.pace, asdict(transform(read(here, problem))))


@contextmanager
def record_start(here: Places, problem: str) -> Iterator[Callable[[str], None]]:
    """Record the start of an automatic turn that the block requests.

    The start is recorded before the request (write-ahead), so a kill loses no start; it is removed if the block fails.

    Yields:
        A function that records the id of the turn's flow run.
    """
    now = time.time()
    update(here, problem, lambda state: replace(state, starts=(*_relevant_starts(state, now), now)))
    try:
        yield lambda run: update(here, problem, lambda state: replace(state, run=run))
    except Exception:
        update(here, problem, lambda state: replace(state, starts=tuple(at for at in state.starts if at != now)))
        raise


def _relevant_starts(state: RetrainState, now: float) -> tuple[float, ...]:
    return tuple(retrain_rules.relevant_starts(state.starts, now))


def record_turn(here: Places, problem: str, cause: str, taught: Mapping[str, int]) -> None:
    """Record a finished turn.

    Args:
        cause: Cause of the turn (ratchet/state/turn.py).
        taught: Feedback rows of each source that the turn was built on, which are all feedback rows of the data.
    """
    learned = sum(taught.values())
    update(here, problem, lambda state: replace(state, cause=cause, learned=learned, kept=learned, taught=taught))


def reset_label_count(problem: Problem) -> None:
    """Reset the label counter if no turn follows the collected labels, so the next turn needs as many new ones."""
    update(problem.here, problem.name, lambda state: replace(state, learned=state.kept))


def record_collection(problem: Problem, looked_at: int, kept: int) -> None:
    """Record that the labels of the log were collected.

    Starts in the future are set to now; otherwise they would block the next turn until the clock reaches them.

    Args:
        looked_at: Labels that stay in the log.
        kept: Feedback rows in the data now.
    """
    now = time.time()
    update(
        problem.here,
        problem.name,
        lambda state: replace(state, starts=_relevant_starts(state, now), looked_at=looked_at, kept=kept),
    )


def untaught(problem: Problem, kept: Mapping[str, int]) -> dict[str, int]:
    """Number of the data's feedback rows of each source that no turn has learned.

    Args:
        kept: Feedback rows of each source in the data.
    """
    taught = read(problem.here, problem.name).taught
    return {} if taught is None else {name: max(0, rows - taught.get(name, 0)) for name, rows in kept.items()}


def now() -> float:
    return time.time()


def starts(problem: Problem) -> tuple[float, ...]:
    """Starts of automatic turns, seconds since 1970."""
    return read(problem.here, problem.name).starts


def has_changed(problem: Problem) -> bool:
    """Whether data, params or code differ from those of the last turn."""
    return turn.cause(problem.here) != read(problem.here, problem.name).cause


def current_signals(problem: Problem, accuracy: float | None, drift: str) -> Signals:
    """The signals for `retrain_rules.decide`.

    Args:
        accuracy: Upper end of the interval of the audited accuracy; None if unknown.
        drift: The quantities that drifted, in words; empty if none did.
    """
    state, task = read(problem.here, problem.name), problem.task
    remedy = f"label some {task.units}" if task.can("feedback") else "bring newer rows (make data)"
    return Signals(max(0, state.kept - state.learned), accuracy, drift, has_changed(problem), remedy)


def count_waiting_labels(here: Places, settings: Settings) -> int:
    """Number of labels that no turn has learned: not collected from the log yet, or collected since the last turn.

    Labels that stayed in the log at the last collection do not count, nor does any of a kind without feedback.
    """
    if not settings.kind.can("feedback"):
        return 0
    state = read(here, settings.problem)
    logged = predictions.count_waiting_labels(database.place(here), settings.problem)
    return max(0, logged - state.looked_at) + max(0, state.kept - state.learned)


def is_due(here: Places, settings: Settings) -> bool:
    """Whether enough labels wait and the cooldown and daily budget allow a turn now."""
    rules = rules_of(settings.optimise)
    if not rules.labels or retrain_rules.holds_back(rules, read(here, settings.problem).starts, time.time()):
        return False
    return retrain_rules.enough_labels(rules, Signals(count_waiting_labels(here, settings), None, "", True))


def rules_of(settings: Optimise) -> Rules:
    return Rules(settings.labels, settings.accuracy, settings.drift, settings.cooldown, settings.turns)
