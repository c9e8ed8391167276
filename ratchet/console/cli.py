"""What the make targets call: one function a verb, each giving the exit status.

What a person typed after `make` comes through the environment (RATCHET_TEXT, ...), so that no text can hurt: neither
make nor a shell reads it. Heavy parts are imported by the verb that needs them.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path

from rich.console import Console

import models
from flows.runs import recovery
from ratchet.console import preflight, terminal
from ratchet.data.versions import consistency, transaction
from ratchet.monitoring import retrain_state
from ratchet.project import faults, problem
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places, places, settle
from ratchet.state import ledger, lock, pending_move, turn

STAGES = ("build", "evaluate", "deploy", "optimise")


def main(words: list[str]) -> int:
    """Do the verb; a refusal is one sentence on standard error and status 1, with no traceback."""
    verbs: dict[str, Callable[[Places], int]] = {
        "run": run, "data": data, "up": partial(ui, True), "ui": partial(ui, False), "serve": serve,
        "predict": predict, "traffic": traffic, "approve": approve,
        "rollback": rollback, "status": status, "history": history, "lineage": lineage,
        "trace": trace, "backup": backup, "restore": restore, "prune": prune, "move": move,
        "services": write_services,
        **{name: partial(one_stage, name) for name in STAGES},
    }  # fmt: skip
    if len(words) != 1 or words[0] not in verbs:
        print(f"A verb must be one of {', '.join(verbs)}. Received: {' '.join(words) or 'none'}.", file=sys.stderr)
        return 2
    what = f"make {words[0]}"
    try:
        here = places()
    except Refusal as refusal:
        print(f"\n{refusal}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to end is ended in order, as by Ctrl-C
    try:
        settle(here)
        terminal.quieten(here.logs / "libraries.log")
        preflight.check(here, words[0], terminal.console().print)
        return verbs[words[0]](here)
    except Refusal as refusal:
        print(f"\n{refusal}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. `make status` shows what is live; the same command goes on.", file=sys.stderr)
        return 130
    except Exception as error:  # the last net: whatever it is, a person gets a sentence, and a log the traceback
        print(f"\n{faults.explain(error, here, what)}", file=sys.stderr)
        return 1


def typed(name: str) -> str:
    """What was typed as NAME=... after make; empty where nothing was."""
    return os.environ.get(f"RATCHET_{name}", "")


@contextmanager
def prefect_server(here: Places, name: str, checks: bool = False) -> Iterator[None]:
    """A Prefect server for the flows of this process: the one PREFECT_API_URL names, ours that runs, or a new one."""
    if os.environ.get("PREFECT_API_URL"):
        yield
        return
    from flows.runs import ui_servers
    from ratchet.servers import servers

    running = servers.ours(here, "prefect")
    port = running.port if running else servers.free_port(here.ui_host, here.prefect_port)
    server = ui_servers.prefect(here, port)
    with servers.started(here, server) as watcher:
        os.environ["PREFECT_API_URL"] = server.env["PREFECT_API_URL"]
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
        warm_up(here, name, checks)
        servers.wait_until_ready(here, server, watcher)
        from flows.runs.stage import attended

        with attended():
            yield


def warm_up(here: Places, name: str, checks: bool) -> None:
    """Load what the flows need while the server starts on the other core; Great Expectations where they check data."""
    from flows.registry.registry import Registry

    if checks:
        import expectations

        expectations.load()
    Registry(name, here).experiment()


def run(here: Places) -> int:
    """One turn of the loop, unless nothing has changed since the last."""
    out = terminal.console()
    if transaction.path_of(here).exists():
        recovery.catch_up(here, "make run", out.print)
    known = turn.recall(here)
    if known is not None:
        if not lock.is_clean(here.state):
            close_what_died(here, out)
        out.print(
            "Nothing has changed since the last turn: same data, params, lock and code. (`make build` trains anyway.)"
        )
        terminal.turned(out, known)
        waiting = retrain_state.waiting(here, problem.load().settings)
        if waiting:
            out.print(f"{waiting:,} labels wait: make optimise takes them in, and the next make run learns from them.")
        return 0
    with at_work(here, "make run", out):
        from flows.lifecycle import lifecycle

        done = lifecycle(trigger="make run")
    assert done is not None, "only a turn that was to learn may find nothing to learn"
    terminal.turned(out, done.summary)
    return 0


@contextmanager
def at_work(here: Places, what: str, out: Console) -> Iterator[None]:
    """The loop is this command's alone, on ground that was put right and fits together, with a Prefect server."""
    with recovery.alone(here, what, out.print):
        current = problem.load()
        builds = what in ("make run", "make build")
        if builds:
            consistency.refuse_unknown_columns(current)
        terminal.say(out, f"Starting Prefect, and loading {'Great Expectations and ' if builds else ''}MLflow.")
        with prefect_server(here, current.name, checks=builds):
            terminal.listen(out)
            yield


def close_what_died(here: Places, out: Console) -> None:
    """The turn was done and its process killed before it could say so everywhere."""
    name = problem.load().name
    with recovery.alone(here, "make run", out.print), prefect_server(here, name):
        from flows.runs import orphans

        orphans.close_orphans(here)
        turn.forget(here)


def one_stage(name: str, here: Places) -> int:
    """One stage of the loop, by the name of its verb; 0 where a champion is live afterwards."""
    out = terminal.console()
    model = {"model": known_model(typed("MODEL"))} if name == "build" and typed("MODEL") else {}
    with at_work(here, f"make {name}", out):
        from flows.runs.stage import at_hand

        stage = getattr(import_module(f"flows.{name}"), name)
        result = stage(trigger=f"make {name}", **model)
        if getattr(result, "scorecard", None):
            terminal.scorecard(out, result.scorecard)
        current, registry = at_hand()
        live = registry.champion()
    if live is None and name != "build":
        raise Refusal(f"{current.name} needs a champion.", "none is live", "Turn the whole loop: make run")
    out.print(f"Live: version {live.number} of {current.name}." if live else "Nothing is live yet. Next: make evaluate")
    return 0


def approve(here: Places) -> int:
    """What passed the gate and waits, for a person or for its trial, goes live."""
    out = terminal.console()
    with at_work(here, "make approve", out):
        from flows.deploy import awaits, deploy
        from flows.registry.snapshot import CHALLENGER
        from flows.runs.stage import at_hand

        current, registry = at_hand()
        waiting, live = registry.holding(CHALLENGER), registry.champion()
        if waiting is None or not awaits(current, waiting, live):
            out.print("Nothing waits to be let through. What is live, and what was built last: make status")
        else:
            deploy(waiting.number, trigger="make approve", tried=True, approved=True)
        live = registry.champion()
    if live is None:
        raise Refusal(f"{current.name} needs a champion.", "none is live", "Turn the whole loop: make run")
    out.print(f"Live: version {live.number} of {current.name}.")
    return 0


def known_model(name: str) -> str:
    """The name, where models/ has a file of it.

    Raises:
        Refusal: it has none.
    """
    if name not in models.names():
        raise Refusal(f"MODEL names one of {', '.join(models.names())}.", name, "make build MODEL=linear")
    return name


def data(here: Places) -> int:
    """Fetch what data.dvc pins, or bring another table as the new data version."""
    from ratchet.data.incoming import table_import
    from ratchet.monitoring.feedback import withdraw

    out = terminal.console()
    wished = table_import.ImportOptions(
        typed("TEXT"), typed("LABEL"), typed("GROUP") or None, typed("NAME") or None, bool(typed("MERGE")),
        typed("WITHDRAW"),
    )  # fmt: skip
    with recovery.alone(here, "make data", out.print):
        if typed("EXAMPLE"):
            table_import.example(here, typed("EXAMPLE"), withdraw, out.print)
        elif typed("ADD"):
            table_import.add(here, typed("ADD"), wished, withdraw, out.print)
        elif typed("SOURCE"):
            table_import.own(here, typed("SOURCE"), wished, withdraw, out.print)
        else:
            table_import.pinned(here, out.print)
    return 0


def predict(here: Places) -> int:
    """Ask the champion: one text, or a table."""
    from ratchet.console import predict as ask

    out = terminal.console()
    recovery.catch_up(here, "make predict", out.print)
    if typed("FILE"):
        ask.table(here, Path(typed("FILE")), Path(typed("OUT")) if typed("OUT") else None, typed("TEXT") or None, out)
    elif "RATCHET_TEXT" in os.environ and typed("TEXT"):
        ask.text(here, typed("TEXT"), out)
    else:
        raise Refusal(
            "Ask about a text or a table.", "neither", 'make predict TEXT="..." or make predict FILE=in.csv OUT=out.csv'
        )
    return 0


def traffic(here: Places) -> int:
    """Made-up texts for the service, half of them labelled."""
    from ratchet.console import simulated_traffic as made_up

    made_up.send(problem.load(), typed("N"), terminal.console().print)
    return 0


def rollback(here: Places) -> int:
    """The previous champion is live again; a rollback that was cut off is finished, and not another one made."""
    out = terminal.console()
    with recovery.alone(here, "make rollback", out.print) as found:
        from flows.registry.registry import Registry
        from flows.runs import champion

        if found.move is None or found.move.action != ledger.ROLLED_BACK:
            current = problem.load()
            out.print(champion.told(champion.roll_back(current, Registry(current.name, here), ledger.person())))
            pending_move.done(here)  # only now: whoever was not told calls again, and that must not go back twice
    return 0


def status(here: Places) -> int:
    """What is live, since when, how good; what waits, what runs, what comes next."""
    from ratchet.console.status import standing

    out = terminal.console()
    recovery.catch_up(here, "make status", out.print)
    terminal.lines(out, standing(here))
    return 0


def lineage(here: Places) -> int:
    """From a version to all that it came from; from a data version to every model that was built on it."""
    from flows.pages import lineage as lineages
    from flows.registry.registry import Registry

    out = terminal.console()
    recovery.catch_up(here, "make lineage", out.print)
    current = problem.load()
    registry = Registry(current.name, here)
    if typed("DATA") and not typed("VERSION"):
        lines, built = lineages.from_data(current, registry, typed("DATA"))
        terminal.lines(out, lines)
        terminal.rows(out, built, "No version of this problem was built on it.")
        return 0
    terminal.lines(out, lineages.of_version(registry, typed("VERSION")))
    return 0


def trace(here: Places) -> int:
    """From a prediction to the version that made it, and to all that this came from."""
    from flows.pages import lineage as traces
    from flows.registry.registry import Registry

    out = terminal.console()
    recovery.catch_up(here, "make trace", out.print)
    from ratchet.monitoring.log import database

    found = traces.find(database.place(here), typed("ID"), problem.load().settings.deploy.log.days)
    terminal.lines(out, traces.of_prediction(Registry(found.problem, here), found))
    return 0


def history(here: Places) -> int:
    """Which version was champion when, and why."""
    recovery.catch_up(here, "make history", terminal.console().print)
    story = ledger.story(here.ledger)
    if not story and not os.environ.get("MLFLOW_TRACKING_URI", "").startswith("sqlite"):
        terminal.console().print("No history here: it is kept where the loop turns. What is live: make status")
    elif not story:
        terminal.console().print("No champion yet, so no history. Next: make run")
    terminal.history(terminal.console(), story)
    lost = ledger.unreadable(here.ledger)
    if lost:
        terminal.console().print(f"{lost} damaged or torn lines of {here.ledger} are passed over.")
    return 0


def backup(here: Places) -> int:
    """All state that matters into one archive."""
    from ratchet.maintenance import backup as backups

    backups.make(here, typed("TO"), terminal.console().print)
    return 0


def restore(here: Places) -> int:
    """The state that an archive holds, in place of today's, which is kept."""
    from ratchet.maintenance import backup as backups

    backups.restore(here, typed("FROM"), terminal.console().print)
    return 0


def prune(here: Places) -> int:
    """Show what nothing needs any more; remove it where that is confirmed."""
    from ratchet.maintenance import prune as pruning

    pruning.prune(here, typed("DAYS"), typed("CONFIRM"), terminal.console().print)
    return 0


def move(here: Places) -> int:
    """The registry in state/ goes to where the tools' variables point."""
    from ratchet.maintenance import registry_move

    registry_move.move(here, terminal.console().print)
    return 0


def write_services(here: Places) -> int:
    """Unit files of systemd for this project, and how to use them."""
    from ratchet.servers import systemd

    systemd.make(here, terminal.console().print)
    return 0


def ui(with_service: bool, here: Places) -> int:
    """Both UIs and the flows, with the prediction service or without, until Ctrl-C."""
    from ratchet.console import up

    with suppress(KeyboardInterrupt):
        up.until_interrupted(here, terminal.console(), with_service)
    return 0


def serve(here: Places) -> int:
    """The prediction service, until Ctrl-C."""
    from ratchet.console import up

    with suppress(KeyboardInterrupt):
        up.serve(here, terminal.console())
    return 0
