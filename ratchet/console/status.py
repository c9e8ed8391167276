"""How a problem stands: what is live, since when, how good; what waits, what runs, what comes next."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ratchet.console import terminal, up
from ratchet.data.versions import quarantine
from ratchet.judging import scorecard
from ratchet.monitoring import last_check, retrain_state
from ratchet.monitoring.drift.samples import FEWEST
from ratchet.monitoring.last_check import LastCheck
from ratchet.monitoring.log import database, predictions
from ratchet.project import problem
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.problem import Problem
from ratchet.servers import servers
from ratchet.state import ledger, lock, turn
from ratchet.state.ledger import Move

if TYPE_CHECKING:
    from flows.registry.registry import Registry
    from flows.registry.snapshot import Version

Lines = list[tuple[str, str]]


def standing(here: Places) -> Lines:
    """Lines of a name and a text, the most wanted first."""
    from flows.registry.registry import Registry
    from flows.registry.snapshot import CHALLENGER, PREVIOUS
    from flows.runs.champion import last_lived

    current = problem.load()
    registry = Registry(current.name, here)
    moves = ledger.read(here.ledger, current.name)
    live, waiting, previous = registry.champion(), registry.holding(CHALLENGER), registry.holding(PREVIOUS)
    data = current.settings.data
    lines = [("problem", f"{current.name}: which {data.label} does a {data.text} have?")]
    last = last_lived(registry, moves)
    lines += is_live(current, registry, live, moves) if live else nothing_live(moves, last)
    if live and last and last.number != live.number:
        previous = last  # somebody moved the champion's alias by hand
    if live:
        lines += [("watched", watched_now(current, live)), ("before", went_before(previous))]
    if waiting and live and live.number == waiting.number:
        waiting = None  # somebody moved the champion's alias by hand
    if waiting:
        lines.append(("not live", f"version {waiting.number} ({waiting.model}), built last: {decided(waiting)}"))
    lines.append(("data", f"{current.pin.short} ({current.pin.source})"))
    lines.append(("labels", labels(current)))
    aside = set_aside(here, current.name)
    if aside:
        lines.append(("set aside", aside))
    lines += [("running", lock.holder(here.state) or "nothing"), ("service", service(here)), ("UIs", uis(here))]
    if live is None and last is not None:
        return [*lines, ("next", f"make rollback, which puts version {last.number} live")]
    return [*lines, ("next", next_step(here, live, waiting))]


def set_aside(here: Places, problem: str) -> str:
    """What lies aside and what to do with it, also where it cannot be read; empty where nothing does."""
    try:
        rows = quarantine.read(quarantine.path(here, problem))
    except Refusal as refusal:
        return str(refusal)
    return str(quarantine.summary(here, problem, rows) or "")


def is_live(current: Problem, registry: Registry, live: Version, moves: tuple[Move, ...]) -> Lines:
    """The champion, since when, how good, and why."""
    return [
        ("live", f"version {live.number} ({live.model}){since(ledger.live_since(moves, live.number))}"),
        ("how good", measured(current, registry, live)),
        ("why", live.tags.get("decision_reason", "")),
    ]


def since(began: datetime | None) -> str:
    """` since 2026-11-24 13:31 UTC, for 3 days`; nothing where nobody knows."""
    if began is None:
        return ""
    age = terminal.span(began.isoformat(), ledger.moment())
    return f" since {began.astimezone(UTC):%Y-%m-%d %H:%M} UTC, for {age}"


def measured(current: Problem, registry: Registry, live: Version) -> str:
    """`holdout accuracy 0.7823, 95% interval 0.7551 to 0.8074; always the most frequent class: 0.5575`.

    Where others were compared on these rows, first what is left without the champion's luck
    (ratchet/judging/selection_bias.py).
    """
    from flows.registry.snapshot import EVIDENCE

    metric = current.settings.evaluate.metric
    found = registry.origin(live).metrics
    score, name = found.get(f"holdout_{metric}", float("nan")), f"holdout_{metric}_corrected"
    figure = [found[each] for each in (name, f"{name}_low", f"{name}_high") if each in found]
    corrected = len(figure) == 3
    said = "holdout {} {:.4f}, 95% interval {:.4f} to {:.4f}; ".format(metric, *figure) if corrected else ""
    said += f"with its luck on these rows {score:.4f}" if corrected else f"holdout {metric} {score:.4f}"
    with suppress(Refusal):
        known = registry.read_json(live.run_id, EVIDENCE)
        low, high = known.get("intervals", {}).get(metric, (None, None))
        said += f", 95% interval {low:.4f} to {high:.4f}" if low is not None and not corrected else ""
        least = next((row.baseline for row in scorecard.read(known["scorecard"]) if row.decides), None)
        said += f"; always the most frequent class: {least:.4f}" if least is not None else ""
    return said


def nothing_live(moves: tuple[Move, ...], last: Version | None) -> Lines:
    if last is not None:
        return [("live", "nothing: the champion's alias or its version was removed by hand")]
    if not moves or moves[-1].after is None:
        return [("live", "nothing yet")]
    return [
        (
            "live",
            f"nothing, and the ledger says version {moves[-1].after}: this is not the registry that it was written "
            "beside. Bring that one back: make restore FROM=file",
        )
    ]


def watched_now(current: Problem, live: Version) -> str:
    """What the last look at its live answers found, and when; before there is enough to see, how many are known."""
    look = last_check.last(current.here, current.name, live.number)
    if look is not None and look.rows >= FEWEST:
        at = datetime.fromtimestamp(look.at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"{look.verdict} {accuracies(look)}Looked at {at}"
    window = current.settings.optimise.window
    known = len(predictions.latest(database.place(current.here), current.name, live.number, window))
    enough = "" if known >= FEWEST else f"; to see a drift, optimise needs {FEWEST}"
    return f"{known:,} of its latest answers are logged{enough}"


def labels(current: Problem) -> str:
    """What people said that no turn has learned from yet, and when one begins by itself."""
    waiting, wanted = retrain_state.waiting(current.here, current.settings), current.settings.optimise.labels
    begins = f"; with make up, a turn begins by itself at {wanted}" if wanted else ""
    return f"{waiting:,} new{begins}"


def accuracies(look: LastCheck) -> str:
    """`Accuracy 78.1% by estimate, 77.0% on 212 audited. `; nothing where neither is known."""
    said = []
    if "estimated" in look.figures:
        said.append(f"{look.figures['estimated']['value']:.1%} by estimate")
    if "measured" in look.figures:
        said.append(f"{look.figures['measured']['value']:.1%} on {look.figures['measured']['rows']:,.0f} audited")
    return f"Accuracy {', '.join(said)}. " if said else ""


def went_before(previous: Version | None) -> str:
    if previous is None:
        return "nothing"
    return f"version {previous.number} ({previous.model}); back to it: make rollback"


def decided(waiting: Version) -> str:
    """What became of the version that was built last, and why."""
    from flows.registry.snapshot import Standing

    why = waiting.tags.get("decision_reason", "")
    if waiting.awaits_approval:
        return "passed, and waits for a person: make approve"
    if waiting.standing is Standing.PROMOTE and "trial" in waiting.tags:
        return f"passed, and is on trial on live texts. {waiting.tags['trial']}"
    if waiting.standing is Standing.PROMOTE:
        return "passed, and waits for make deploy"
    return f"{waiting.standing.words}. {why}" if why else waiting.standing.words


def service(here: Places) -> str:
    """Where the prediction service is, or how to open it."""
    running = servers.ours(here, "service")
    return f"http://{here.host}:{running.port}" if running else "closed; open it: make serve"


def uis(here: Places) -> str:
    """Where both UIs are, or how to open them."""
    from flows.pages import links

    if servers.ours(here, "mlflow") is None:
        return "closed; open them: make ui"
    return f"{links.prefect(here, 'runs')} and {up.first_page(here)}"


def next_step(here: Places, live: Version | None, waiting: Version | None) -> str:
    """What a person would do now."""
    if live is None and waiting is None:
        return "make run"
    from flows.registry.snapshot import Standing

    if waiting is not None and waiting.standing is Standing.UNJUDGED:
        return "make evaluate, which holds the challenger against what is live"
    if waiting is not None and waiting.awaits_approval:
        return f"make approve, which puts version {waiting.number} live"
    if waiting is not None and waiting.standing is Standing.PROMOTE and "trial" in waiting.tags:
        return "make optimise, which judges the trial by the texts that were audited since"
    if waiting is not None and waiting.standing is Standing.PROMOTE:
        return "make deploy, which puts the challenger live"
    if turn.recall(here) is not None:
        return "nothing needs doing; another turn begins with new data (make data) or other params.yaml"
    known = live or waiting
    if known is not None and retrain_state.read(here, known.problem).cause == turn.cause(here):
        return "nothing needs doing; the last turn trained one kind of model, make run trains them all"
    return "make run: data, params, lock or code are not those of the last turn"
