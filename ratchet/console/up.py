"""What stays open until it is told to stop: both UIs with the flows served, the prediction service, or all of them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from functools import partial
from urllib.parse import quote

from rich.console import Console

from flows.runs import recovery, ui_servers
from ratchet.console import up
from ratchet.project import settings
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places, mlflow_database
from ratchet.servers import servers
from ratchet.servers.access import administrator, expected_token, users, write_mlflow_users
from ratchet.servers.servers import Server
from ratchet.state import ledger

RunningServer = tuple[Server, "subprocess.Popen[bytes] | None"]
"""A server, and its watcher where this command started it."""
AGAIN = 1.0
"""Seconds until the prediction service is started again: one that cannot start is not tried without a pause."""


def serve(here: Places, out: Console) -> None:
    """The prediction service alone, until KeyboardInterrupt.

    Raises:
        Refusal: its port is taken by a stranger, it has no token and needs one, or it ended by itself.
    """
    if servers.ours(here, "service"):
        out.print("The prediction service is open already:")
        say_where_service(here, out)
        return
    recovery.catch_up(here, "make serve", out.print)
    with ExitStack() as stack:
        watched = [open_service(here, out, stack)]
        out.print("Ctrl-C ends it.", style="dim")
        watch(here, out, watched, stack)


def until_interrupted(here: Places, out: Console, with_service: bool) -> None:
    """Start Prefect, MLflow and the flows' runner, say where they are, and end them all on KeyboardInterrupt.

    with_service: the prediction service as well, and before them: it takes a second where they take ten.

    Raises:
        Refusal: a port is taken by a stranger, or a server ended by itself.
    """
    wanted = ("prefect", "mlflow", "flows", *(["service"] if with_service else []))
    if all(servers.ours(here, name) for name in wanted):
        out.print("The UIs are open already:")
        say_where(here, out)
        if with_service:
            say_where_service(here, out)
        return
    recovery.catch_up(here, "make up" if with_service else "make ui", out.print)
    prepare_store(here)
    with ExitStack() as stack:
        service = [open_service(here, out, stack)] if with_service else []
        out.print("Starting the UIs ...", style="dim")
        watched = [
            (server, stack.enter_context(servers.started(here, server)))
            for server in (ui_servers.prefect(here, here.prefect_port), ui_servers.mlflow(here, here.mlflow_port))
        ]
        for server, watcher in watched:
            servers.wait_until_ready(here, server, watcher)
        refuse_other_password(here)
        sweep_unless_at_work(here, out)
        runner = flows(here)
        watched.append((runner, stack.enter_context(servers.started(here, runner))))
        wait_until_published(here, *watched[-1])
        say_where(here, out)
        out.print("Ctrl-C ends them all." if with_service else "Ctrl-C ends both.", style="dim")
        watch(here, out, service + watched, stack)


def open_service(here: Places, out: Console, stack: ExitStack) -> RunningServer:
    """Start the prediction service, and say where it is once it answers."""
    expected_token(here)
    server = up.service(here, here.serve_port)
    watcher = stack.enter_context(servers.started(here, server))
    servers.wait_until_ready(here, server, watcher)
    say_where_service(here, out)
    return server, watcher


def watch(here: Places, out: Console, watched: list[RunningServer], stack: ExitStack) -> None:
    """Look after servers until KeyboardInterrupt.

    Raises:
        Refusal: one of ours ended by itself, and is not the prediction service.
    """
    while True:
        time.sleep(0.5)
        watched = [(server, still_up(here, out, server, watcher, stack)) for server, watcher in watched]


def say_where_service(here: Places, out: Console) -> None:
    out.print("Service  try a text and correct the answer; for programs: /docs")
    out.print(f"         http://{here.host}:{here.serve_port}")


def prepare_store(here: Places) -> None:
    """MLflow's server lays out its database where it will stay, so a kill could leave half of one.

    Where it asks for passwords, its users are kept below the state as well.
    """
    write_mlflow_users(here)
    from flows.registry.store import make_store

    path = mlflow_database()
    if path is not None:
        make_store(path)


def refuse_other_password(here: Places) -> None:
    """Raise where MLflow's administrator has another password than the one that is set: the first one stays.

    Raises:
        Refusal: they differ.
    """
    password = os.environ.get("MLFLOW_AUTH_ADMIN_PASSWORD")
    if not password or os.environ.get("MLFLOW_AUTH_CONFIG_PATH"):
        return
    user = administrator()
    me = f"http://{here.ui_address}:{here.mlflow_port}/api/2.0/mlflow/users/get?username={quote(user)}"
    if not servers.answers(me, f"{user}:{password}"):
        raise Refusal(
            "MLFLOW_AUTH_ADMIN_PASSWORD must be the password that MLflow keeps.",
            f"another one for {user}",
            f"Set the one it was first opened with; or remove {users(here)}, and with it all users made in MLflow.",
        )


def sweep_unless_at_work(here: Places, out: Console) -> None:
    """Close what a killed command left open in Prefect and MLflow, so that nobody ever sees a dead run as running."""
    os.environ["PREFECT_API_URL"] = f"http://{here.ui_address}:{here.prefect_port}/api"
    with suppress(Refusal), recovery.alone(here, "make ui", partial(out.print, style="dim")):
        from flows.runs import orphans

        orphans.close_orphans(here)
    os.environ.pop("PREFECT_API_URL")


def wait_until_published(here: Places, runner: Server, watcher: subprocess.Popen[bytes] | None) -> None:
    """Return when Prefect has the forms: a list that was opened before would stay empty.

    Raises:
        Refusal: their runner ended.
    """
    last = f"http://{here.ui_address}:{here.prefect_port}/api/deployments/name/optimise/optimise"
    deadline = time.monotonic() + servers.READY_SECONDS
    while not servers.answers(last, os.environ.get("PREFECT_API_AUTH_STRING", "")) and time.monotonic() < deadline:
        if watcher is not None and watcher.poll() is not None:
            raise Refusal(
                "The forms must be published.", f"{runner.name} ended", f"Its log: {here.logs / (runner.name + '.log')}"
            )
        time.sleep(0.1)


def say_where(here: Places, out: Console) -> None:
    """What each UI is for, and its page to begin at."""
    from flows.pages import links

    out.print("Prefect  every run of the loop; start one under Deployments")
    out.print(f"         {links.prefect(here, 'runs')}")
    out.print("MLflow   every model; what is live, and why")
    out.print(f"         {first_page(here)}")


def first_page(here: Places) -> str:
    """The registered model's page in MLflow; the list of experiments while there is none."""
    from flows.pages import links

    with suppress(Refusal):
        problem = settings.load(here.params).problem
        if ledger.read(here.ledger, problem):
            return links.model(here, problem)
    return links.mlflow(here, "experiments")


def still_up(
    here: Places, out: Console, server: Server, watcher: subprocess.Popen[bytes] | None, stack: ExitStack
) -> subprocess.Popen[bytes] | None:
    """The server's watcher; one that a run had started, and that ended with the run, is started anew.

    So is the prediction service, whatever ended it: others wait for its answers.

    Raises:
        Refusal: a server of ours ended by itself.
    """
    if watcher is None:
        return None if servers.ours(here, server.name) else stack.enter_context(servers.started(here, server))
    if watcher.poll() is not None:
        log = here.logs / f"{server.name}.log"
        if server.name == "service":
            out.print(f"The prediction service ended by itself, and is started again. Its log: {log}")
            time.sleep(AGAIN)
            return stack.enter_context(servers.started(here, server))
        raise Refusal(f"{server.name} must run until it is told to end.", "it ended", f"Its log: {log}")
    return watcher


def flows(here: Places) -> Server:
    """The runner of the deployments; looks for new runs every second (the default is ten)."""
    env = {
        "PREFECT_API_URL": f"http://{here.ui_address}:{here.prefect_port}/api",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    }
    os.environ.pop("PREFECT_API_URL", None)
    return Server("flows", (sys.executable, "-m", "flows.published.deployments"), None, "", env)


def service(here: Places, port: int) -> Server:
    """The prediction service."""
    return Server(
        "service", (sys.executable, "-m", "ratchet.serving", "flows.registry.follower"), port, "/v2/health/live",
        {"SERVE_PORT": str(port)}, host=here.host,
    )  # fmt: skip
