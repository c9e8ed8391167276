"""`make status`: registry, ledger and drift check enter, pairs of a name and a text leave, the most wanted first."""

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
from ratchet.problem import problem
from ratchet.problem.problem import Problem
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.servers import servers
from ratchet.state import ledger, lock, turn
from ratchet.state.ledger import Move

if TYPE_CHECKING:
    from flows.registry.registry import Registry
    from flows.registry.snapshot import Version

Lines = list[tuple[str, str]]


def status_lines(here: Places) -> Lines:
    """What is live, since when and how good; what waits, what runs, what comes next."""
    from flows.registry.registry import Registry
    from flows.registry.snapshot import CHALLENGER, PREVIOUS
    from flows.runs.champion import last_lived

    current = problem.load()
    registry = Registry(current.name, here)
    moves = ledger.read(here.ledger, current.name)
    live = registry.champion()
    challenger = registry.by_alias(CHALLENGER)
    previous = registry.by_alias(PREVIOUS)
    lines = [("problem", f"{current.name}: {current.settings.data.question}?")]
    last = last_lived(registry, moves)
    lines += live_lines(current, registry, live, moves) if live else nothing_live(moves, last)
    if live and last and last.number != live.number:
        previous = last  # the champion's alias was moved by hand
    if live:
        lines.append(("watched", drift_text(current, live)))
        lines.append(("before", previous_text(previous)))
    if challenger and live and live.number == challenger.number:
        challenger = None  # the champion's alias was moved by hand
    if challenger:
        fate = challenger_text(current, challenger)
        lines.append(("not live", f"version {challenger.number} ({challenger.model}), built last: {fate}"))
    lines.append(("data", f"{current.pin.short} ({current.pin.source})"))
    if current.task.can("feedback"):
        lines.append(("labels", labels_text(current)))
    aside = set_aside(here, current.name)
    if aside:
        lines.append(("set aside", aside))
    lines.append(("running", lock.holder(here.state) or "nothing"))
    lines.append(("service", service_text(here)))
    lines.append(("UIs", uis_text(here)))
    if live is None and last is not None:
        return [*lines, ("next", f"make rollback, which puts version {last.number} live")]
    return [*lines, ("next", next_step(current, live, challenger))]


def set_aside(here: Places, problem: str) -> str:
    """How many rows are set aside and what to do with them, or why they cannot be read; empty for none."""
    try:
        rows = quarantine.read(quarantine.path(here, problem))
    except Refusal as refusal:
        return str(refusal)
    return str(quarantine.summary(here, problem, rows) or "")


def live_lines(current: Problem, registry: Registry, live: Version, moves: tuple[Move, ...]) -> Lines:
    """The champion, since when it is live, how good it is, and why it went live."""
    return [
        ("live", f"version {live.number} ({live.model}){since_text(ledger.live_since(moves, live.number))}"),
        ("how good", score_text(current, registry, live)),
        ("why", live.tags.get("decision_reason", "")),
    ]


def since_text(began: datetime | None) -> str:
    """` since 2026-11-24 13:31 UTC, for 3 days`; empty if the time is unknown."""
    if began is None:
        return ""
    age = terminal.span(began.isoformat(), ledger.moment())
    return f" since {began.astimezone(UTC):%Y-%m-%d %H:%M} UTC, for {age}"


def score_text(current: Problem, registry: Registry, live: Version) -> str:
    """`holdout accuracy 0.7823, 95% interval 0.7551 to 0.8074; always the most frequent class: 0.5575`.

    If other versions were compared on these rows, the score corrected for selection bias comes first
    (ratchet/judging/selection_bias.py).
    """
    from flows.registry.snapshot import EVIDENCE

    metric = current.settings.evaluate.metric
    metrics = registry.origin(live).metrics
    score = metrics.get(f"holdout_{metric}", float("nan"))
    name = f"holdout_{metric}_corrected"
    figures = [metrics[key] for key in (name, f"{name}_low", f"{name}_high") if key in metrics]
    is_corrected = len(figures) == 3
    text = "holdout {} {:.4f}, 95% interval {:.4f} to {:.4f}; ".format(metric, *figures) if is_corrected else ""
    text += f"uncorrected {score:.4f}" if is_corrected else f"holdout {metric} {score:.4f}"
    with suppress(Refusal):
        evidence = registry.read_json(live.run_id, EVIDENCE)
        low, high = evidence.get("intervals", {}).get(metric, (None, None))
        text += f", 95% interval {low:.4f} to {high:.4f}" if low is not None and not is_corrected else ""
        baseline = next((row.baseline for row in scorecard.read(evidence["scorecard"]) if row.decides), None)
        always = current.task.judging.BASELINE.replace("always giving", "always")
        text += f"; {always}: {baseline:.4f}" if baseline is not None else ""
    return text


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


def drift_text(current: Problem, live: Version) -> str:
    """The result and time of the last drift check; while there are too few answers for one, their number."""
    check = last_check.last(current.here, current.name, live.number)
    if check is not None and check.rows >= FEWEST:
        at = datetime.fromtimestamp(check.at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"{check.verdict} {accuracy_text(check)}Looked at {at}"
    window = current.settings.optimise.window
    answers = len(predictions.latest(database.place(current.here), current.name, live.number, window))
    enough = "" if answers >= FEWEST else f"; to see a drift, optimise needs {FEWEST}"
    return f"{answers:,} of its latest answers are logged{enough}"


def labels_text(current: Problem) -> str:
    """The number of labels that no turn has learned from, and the number at which a turn begins by itself."""
    waiting = retrain_state.count_waiting_labels(current.here, current.settings)
    needed = current.settings.optimise.labels
    begins = f"; with make up, a turn begins by itself at {needed}" if needed else ""
    return f"{waiting:,} new{begins}"


def accuracy_text(check: LastCheck) -> str:
    """`Accuracy 78.1% by estimate, 77.0% on 212 audited. `; empty if neither is known."""
    parts = []
    if "estimated" in check.figures:
        parts.append(f"{check.figures['estimated']['value']:.1%} by estimate")
    if "measured" in check.figures:
        parts.append(f"{check.figures['measured']['value']:.1%} on {check.figures['measured']['rows']:,.0f} audited")
    return f"Accuracy {', '.join(parts)}. " if parts else ""


def previous_text(previous: Version | None) -> str:
    if previous is None:
        return "nothing"
    return f"version {previous.number} ({previous.model}); back to it: make rollback"


def challenger_text(current: Problem, challenger: Version) -> str:
    """The decision about the version that was built last, and its reason."""
    from flows.registry.snapshot import Standing

    reason = challenger.tags.get("decision_reason", "")
    if challenger.awaits_approval:
        return "passed, and waits for a person: make approve"
    if challenger.standing is Standing.PROMOTE and "trial" in challenger.tags:
        return f"passed, and is on trial on live {current.task.units}. {challenger.tags['trial']}"
    if challenger.standing is Standing.PROMOTE:
        return "passed, and waits for make deploy"
    return f"{challenger.standing.words}. {reason}" if reason else challenger.standing.words


def service_text(here: Places) -> str:
    """The address of the prediction service, or how to open it."""
    running = servers.running_record(here, "service")
    return f"http://{here.host}:{running.port}" if running else "closed; open it: make serve"


def uis_text(here: Places) -> str:
    """The addresses of both UIs, or how to open them."""
    from flows.pages import links

    if servers.running_record(here, "mlflow") is None:
        return "closed; open them: make ui"
    return f"{links.prefect(here, 'runs')} and {up.first_page(here)}"


def next_step(current: Problem, live: Version | None, challenger: Version | None) -> str:
    """The command to give next, or that none is needed."""
    if live is None and challenger is None:
        return "make run"
    from flows.registry.snapshot import Standing

    if challenger is not None and challenger.standing is Standing.UNJUDGED:
        return "make evaluate, which compares the challenger with the champion"
    if challenger is not None and challenger.awaits_approval:
        return f"make approve, which puts version {challenger.number} live"
    if challenger is not None and challenger.standing is Standing.PROMOTE and "trial" in challenger.tags:
        return f"make optimise, which judges the trial by the {current.task.units} that were audited since"
    if challenger is not None and challenger.standing is Standing.PROMOTE:
        return "make deploy, which puts the challenger live"
    here = current.here
    if turn.recall(here) is not None:
        return "nothing needs doing; another turn begins with new data (make data) or other params.yaml"
    version = live or challenger
    if version is not None and retrain_state.read(here, version.problem).cause == turn.cause(here):
        return "nothing needs doing; the last turn trained one kind of model, make run trains them all"
    return "make run: data, params, lock or code are not those of the last turn"
