"""The command line: one function for each verb of the make targets; the environment enters, the exit status leaves.

Values typed after `make` come through the environment (RATCHET_TEXT, ...), so that neither make nor a shell interprets
them. A verb imports heavy packages only if it needs them.
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
from ratchet.problem import problem
from ratchet.project import faults
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places, places, settle
from ratchet.state import ledger, lock, pending_move, turn

STAGES = ("build", "evaluate", "deploy", "optimise")


def main(words: list[str]) -> int:
    """Run the verb; a Refusal prints one sentence on standard error, without a traceback, and gives status 1."""
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
    command = f"make {words[0]}"
    try:
        here = places()
    except Refusal as refusal:
        print(f"\n{refusal}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM ends a command in order, as Ctrl-C does
    try:
        settle(here)
        terminal.redirect_stderr(here.logs / "libraries.log")
        preflight.check(here, words[0], terminal.console().print)
        return verbs[words[0]](here)
    except Refusal as refusal:
        print(f"\n{refusal}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. `make status` shows what is live; the same command goes on.", file=sys.stderr)
        return 130
    except Exception as error:  # the last resort: the user gets a sentence, the log the traceback
        print(f"\n{faults.explain(error, here, command)}", file=sys.stderr)
        return 1


def typed(name: str) -> str:
    """The value typed as NAME=... after make; empty for none."""
    return os.environ.get(f"RATCHET_{name}", "")


@contextmanager
def prefect_server(here: Places, name: str, checks: bool = False) -> Iterator[None]:
    """A Prefect server for this process: the one in PREFECT_API_URL, else our running one, else a new one."""
    if os.environ.get("PREFECT_API_URL"):
        yield
        return
    from flows.runs import ui_servers
    from ratchet.servers import servers

    running = servers.running_record(here, "prefect")
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
    """Load what the flows need while the server starts on another core.

    Args:
        name: of the problem.
        checks: load Great Expectations as well.
    """
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
    last_turn = turn.recall(here)
    if last_turn is not None:
        if not lock.is_clean(here.state):
            close_killed_turn(here, out)
        out.print(
            "Nothing has changed since the last turn: same data, params, lock and code. (`make build` trains anyway.)"
        )
        terminal.print_turn(out, last_turn)
        labels = retrain_state.count_waiting_labels(here, problem.load().settings)
        if labels:
            out.print(f"{labels:,} labels wait: make optimise takes them in, and the next make run learns from them.")
        return 0
    with at_work(here, "make run", out):
        from flows.lifecycle import lifecycle

        turned = lifecycle(trigger="make run")
    assert turned is not None, "only a turn that was to learn may find nothing to learn"
    terminal.print_turn(out, turned.summary)
    return 0


@contextmanager
def at_work(here: Places, command: str, out: Console) -> Iterator[None]:
    """Hold the loop's lock, repair what a killed run left, check that the project is consistent, and start Prefect."""
    with recovery.alone(here, command, out.print):
        current = problem.load()
        builds = command in ("make run", "make build")
        if builds:
            consistency.refuse_unknown_columns(current)
        terminal.print_with_time(
            out, f"Starting Prefect, and loading {'Great Expectations and ' if builds else ''}MLflow."
        )
        with prefect_server(here, current.name, checks=builds):
            terminal.print_flow_logs(out)
            yield


def close_killed_turn(here: Places, out: Console) -> None:
    """Close the runs of a turn that finished, but whose process was killed before it had closed them all."""
    name = problem.load().name
    with recovery.alone(here, "make run", out.print), prefect_server(here, name):
        from flows.runs import orphans

        orphans.close_orphans(here)
        turn.forget(here)


def one_stage(name: str, here: Places) -> int:
    """Run one stage of the loop; status 0 if a champion is live afterwards."""
    out = terminal.console()
    model = {"model": require_model(typed("MODEL"))} if name == "build" and typed("MODEL") else {}
    with at_work(here, f"make {name}", out):
        from flows.runs.stage import problem_and_registry

        stage = getattr(import_module(f"flows.{name}"), name)
        result = stage(trigger=f"make {name}", **model)
        if getattr(result, "scorecard", None):
            terminal.print_scorecard(out, result.scorecard)
        current, registry = problem_and_registry()
        live = registry.champion()
    if live is None and name != "build":
        raise Refusal(f"{current.name} needs a champion.", "none is live", "Turn the whole loop: make run")
    out.print(f"Live: version {live.number} of {current.name}." if live else "Nothing is live yet. Next: make evaluate")
    return 0


def approve(here: Places) -> int:
    """Make the version live that passed the gate and waits for approval or for its trial."""
    out = terminal.console()
    with at_work(here, "make approve", out):
        from flows.deploy import deploy, is_to_go_live
        from flows.registry.snapshot import CHALLENGER
        from flows.runs.stage import problem_and_registry

        current, registry = problem_and_registry()
        challenger, live = registry.by_alias(CHALLENGER), registry.champion()
        if challenger is None or not is_to_go_live(current, challenger, live):
            out.print("Nothing waits to be let through. What is live, and what was built last: make status")
        else:
            deploy(challenger.number, trigger="make approve", tried=True, approved=True)
        live = registry.champion()
    if live is None:
        raise Refusal(f"{current.name} needs a champion.", "none is live", "Turn the whole loop: make run")
    out.print(f"Live: version {live.number} of {current.name}.")
    return 0


def require_model(name: str) -> str:
    """The name of a model, unchanged.

    Raises:
        Refusal: models/ has no file of that name.
    """
    if name not in models.names():
        raise Refusal(f"MODEL names one of {', '.join(models.names())}.", name, "make build MODEL=linear")
    return name


def data(here: Places) -> int:
    """Fetch the data that data.dvc pins, or import another table as the new data version."""
    from ratchet.data.incoming import table_import
    from ratchet.monitoring.feedback import erase_withdrawn

    out = terminal.console()
    options = table_import.ImportOptions(
        typed("TEXT"), typed("LABEL"), typed("GROUP") or None, typed("NAME") or None, bool(typed("MERGE")),
        typed("WITHDRAW"), typed("TASK"),
    )  # fmt: skip
    with recovery.alone(here, "make data", out.print):
        if typed("EXAMPLE"):
            table_import.import_example(here, typed("EXAMPLE"), erase_withdrawn, out.print)
        elif typed("ADD"):
            table_import.add_rows(here, typed("ADD"), options, erase_withdrawn, out.print)
        elif typed("SOURCE"):
            table_import.import_table(here, typed("SOURCE"), options, erase_withdrawn, out.print)
        else:
            table_import.fetch_data(here, out.print)
    return 0


def predict(here: Places) -> int:
    """Predict one text or a table with the champion."""
    from ratchet.console import predict as prediction

    out = terminal.console()
    recovery.catch_up(here, "make predict", out.print)
    if typed("FILE"):
        target = Path(typed("OUT")) if typed("OUT") else None
        prediction.table(here, Path(typed("FILE")), target, typed("TEXT") or None, out)
    elif "RATCHET_TEXT" in os.environ and typed("TEXT"):
        prediction.text(here, typed("TEXT"), out)
    else:
        raise Refusal(
            "Ask about a text or a table.", "neither", 'make predict TEXT="..." or make predict FILE=in.csv OUT=out.csv'
        )
    return 0


def traffic(here: Places) -> int:
    """Send simulated texts to the service, and label half of them."""
    from ratchet.console import simulated_traffic

    simulated_traffic.send(problem.load(), typed("N"), terminal.console().print)
    return 0


def rollback(here: Places) -> int:
    """Make the previous champion live again; a rollback that was cut off is finished instead of made again."""
    out = terminal.console()
    with recovery.alone(here, "make rollback", out.print) as repaired:
        from flows.registry.registry import Registry
        from flows.runs import champion

        if repaired.move is None or repaired.move.action != ledger.ROLLED_BACK:
            current = problem.load()
            out.print(
                champion.report_sentence(champion.roll_back(current, Registry(current.name, here), ledger.person()))
            )
            pending_move.done(here)  # only after the message: a repeated command must not roll back twice
    return 0


def status(here: Places) -> int:
    """Print what is live, since when and how good, what waits, what runs, and the next step."""
    from ratchet.console.status import status_lines

    out = terminal.console()
    recovery.catch_up(here, "make status", out.print)
    terminal.print_pairs(out, status_lines(here))
    return 0


def lineage(here: Places) -> int:
    """Print the lineage of a version, or the versions built on a data version."""
    from flows.pages import lineage as lineages
    from flows.registry.registry import Registry

    out = terminal.console()
    recovery.catch_up(here, "make lineage", out.print)
    current = problem.load()
    registry = Registry(current.name, here)
    if typed("DATA") and not typed("VERSION"):
        lines, versions = lineages.from_data(current, registry, typed("DATA"))
        terminal.print_pairs(out, lines)
        terminal.print_rows(out, versions, "No version of this problem was built on it.")
        return 0
    terminal.print_pairs(out, lineages.of_version(registry, typed("VERSION")))
    return 0


def trace(here: Places) -> int:
    """Print the version that made a prediction, and the lineage of that version."""
    from flows.pages import lineage as traces
    from flows.registry.registry import Registry

    out = terminal.console()
    recovery.catch_up(here, "make trace", out.print)
    from ratchet.monitoring.log import database

    current = problem.load()
    prediction = traces.find(database.place(here), typed("ID"), current.settings.deploy.log.days)
    terminal.print_pairs(out, traces.of_prediction(Registry(prediction.problem, here), prediction, current.task))
    return 0


def history(here: Places) -> int:
    """Print which version was champion when, and why."""
    recovery.catch_up(here, "make history", terminal.console().print)
    events = ledger.events(here.ledger)
    if not events and not os.environ.get("MLFLOW_TRACKING_URI", "").startswith("sqlite"):
        terminal.console().print("No history here: it is kept where the loop turns. What is live: make status")
    elif not events:
        terminal.console().print("No champion yet, so no history. Next: make run")
    terminal.print_history(terminal.console(), events)
    unreadable = ledger.unreadable(here.ledger)
    if unreadable:
        terminal.console().print(f"{unreadable} damaged or torn lines of {here.ledger} are skipped.")
    return 0


def backup(here: Places) -> int:
    """Write all state that matters into one archive."""
    from ratchet.maintenance import backup as backups

    backups.make(here, typed("TO"), terminal.console().print)
    return 0


def restore(here: Places) -> int:
    """Replace the state by that of an archive; the present state is kept."""
    from ratchet.maintenance import backup as backups

    backups.restore(here, typed("FROM"), terminal.console().print)
    return 0


def prune(here: Places) -> int:
    """Show what nothing needs any more; remove it if that is confirmed."""
    from ratchet.maintenance import prune as pruning

    pruning.prune(here, typed("DAYS"), typed("CONFIRM"), terminal.console().print)
    return 0


def move(here: Places) -> int:
    """Move the registry in state/ to the servers that the tools' variables name."""
    from ratchet.maintenance import registry_move

    registry_move.move(here, terminal.console().print)
    return 0


def write_services(here: Places) -> int:
    """Write unit files of systemd for this project, and print how to use them."""
    from ratchet.servers import systemd

    systemd.make(here, terminal.console().print)
    return 0


def ui(with_service: bool, here: Places) -> int:
    """Run both UIs and the flows, with or without the prediction service, until Ctrl-C."""
    from ratchet.console import up

    with suppress(KeyboardInterrupt):
        up.until_interrupted(here, terminal.console(), with_service)
    return 0


def serve(here: Places) -> int:
    """Run the prediction service until Ctrl-C."""
    from ratchet.console import up

    with suppress(KeyboardInterrupt):
        up.serve(here, terminal.console())
    return 0
