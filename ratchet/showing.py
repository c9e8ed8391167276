"""Both UIs with the runs in them, and the flows served so that a run started there runs; until it is told to stop."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from functools import partial

from rich.console import Console

from ratchet import ledger, recovery, servers, settings
from ratchet.places import Places
from ratchet.refusal import Refusal
from ratchet.servers import Server


def until_interrupted(here: Places, out: Console) -> None:
    """Start Prefect, MLflow and the flows' runner, say where they are, and end them all on KeyboardInterrupt.

    Raises:
        Refusal: a port is taken by a stranger, or a server ended by itself.
    """
    if all(servers.ours(here, name) for name in ("prefect", "mlflow", "flows")):
        out.print("The UIs are open already:")
        say_where(here, out)
        return
    recovery.catch_up(here, "make ui", out.print)
    prepare_store()
    with ExitStack() as stack:
        out.print("Starting the UIs ...", style="dim")
        watched = [
            (server, stack.enter_context(servers.started(here, server)))
            for server in (servers.prefect(here, here.prefect_port), servers.mlflow(here, here.mlflow_port))
        ]
        for server, watcher in watched:
            servers.wait_until_ready(here, server, watcher)
        sweep_unless_at_work(here, out)
        runner = flows(here)
        watched.append((runner, stack.enter_context(servers.started(here, runner))))
        wait_until_published(here, *watched[-1])
        say_where(here, out)
        out.print("Ctrl-C ends both.", style="dim")
        while True:
            time.sleep(0.5)
            watched = [(server, still_up(here, server, watcher, stack)) for server, watcher in watched]


def prepare_store() -> None:
    """MLflow's server lays out its database where it will stay, so a kill could leave half of one."""
    from flows.registry import make_store, store

    path = store()
    if path is not None:
        make_store(path)


def sweep_unless_at_work(here: Places, out: Console) -> None:
    """Close what a killed command left open in Prefect and MLflow, so that nobody ever sees a dead run as running."""
    os.environ["PREFECT_API_URL"] = f"http://{here.host}:{here.prefect_port}/api"
    with suppress(Refusal), recovery.alone(here, "make ui", partial(out.print, style="dim")):
        from flows import sweep

        sweep.close_orphans(here)
    os.environ.pop("PREFECT_API_URL")


def wait_until_published(here: Places, runner: Server, watcher: subprocess.Popen[bytes] | None) -> None:
    """Return when Prefect has the forms: a list that was opened before would stay empty.

    Raises:
        Refusal: their runner ended.
    """
    last = f"http://{here.host}:{here.prefect_port}/api/deployments/name/optimise/optimise"
    deadline = time.monotonic() + servers.READY_SECONDS
    while not servers.answers(last) and time.monotonic() < deadline:
        if watcher is not None and watcher.poll() is not None:
            raise Refusal(
                "The forms must be published.", f"{runner.name} ended", f"Its log: {here.logs / (runner.name + '.log')}"
            )
        time.sleep(0.1)


def say_where(here: Places, out: Console) -> None:
    """What each UI is for, and its page to begin at."""
    from flows import links

    out.print("Prefect  every run of the loop; start one under Deployments")
    out.print(f"         {links.prefect(here, 'runs')}")
    out.print("MLflow   every model; what is live, and why")
    out.print(f"         {first_page(here)}")


def first_page(here: Places) -> str:
    """The registered model's page in MLflow; the list of experiments while there is none."""
    from flows import links

    with suppress(Refusal):
        problem = settings.load(here.params).problem
        if ledger.read(here.ledger, problem):
            return links.model(here, problem)
    return links.mlflow(here, "experiments")


def still_up(
    here: Places, server: Server, watcher: subprocess.Popen[bytes] | None, stack: ExitStack
) -> subprocess.Popen[bytes] | None:
    """The server's watcher; one that a run had started, and that ended with the run, is started anew.

    Raises:
        Refusal: a server of ours ended by itself.
    """
    if watcher is None:
        return None if servers.ours(here, server.name) else stack.enter_context(servers.started(here, server))
    if watcher.poll() is not None:
        log = here.logs / f"{server.name}.log"
        raise Refusal(f"{server.name} must run while the UIs are open.", "it ended", f"Its log: {log}")
    return watcher


def flows(here: Places) -> Server:
    """The runner of the deployments; looks for new runs every two seconds (the default is ten)."""
    env = {
        "PREFECT_API_URL": f"http://{here.host}:{here.prefect_port}/api",
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
    }
    os.environ.pop("PREFECT_API_URL", None)
    return Server("flows", (sys.executable, "-m", "flows.deployments"), None, "", env)
