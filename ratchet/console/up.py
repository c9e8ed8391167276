"""`make up`, `make ui` and `make serve`: run both UIs with the flows, the prediction service, or all of them."""

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
from ratchet.problem import settings
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places, mlflow_database
from ratchet.servers import servers
from ratchet.servers.access import administrator, expected_token, users, write_mlflow_users
from ratchet.servers.servers import Server
from ratchet.state import ledger

RunningServer = tuple[Server, "subprocess.Popen[bytes] | None"]
"""A server and its watcher; None for a watcher that another command started."""
RESTART_SECONDS = 1.0
"""Pause before the prediction service is started again, so that a failing start is not repeated without a break."""


def serve(here: Places, out: Console) -> None:
    """Run the prediction service alone until KeyboardInterrupt.

    Raises:
        Refusal: another program listens on its port, it needs a token and has none, or it ended by itself.
    """
    if servers.running_record(here, "service"):
        out.print("The prediction service is open already:")
        print_service_address(here, out)
        return
    recovery.catch_up(here, "make serve", out.print)
    with ExitStack() as stack:
        running = [open_service(here, out, stack)]
        out.print("Ctrl-C ends it.", style="dim")
        watch(here, out, running, stack)


def until_interrupted(here: Places, out: Console, with_service: bool) -> None:
    """Start Prefect, MLflow and the runner of the flows, print their addresses, and end them on KeyboardInterrupt.

    Args:
        with_service: start the prediction service as well, and first: it takes a second, the others take ten.

    Raises:
        Refusal: another program listens on a port, or a server ended by itself.
    """
    names = ("prefect", "mlflow", "flows", *(["service"] if with_service else []))
    if all(servers.running_record(here, name) for name in names):
        out.print("The UIs are open already:")
        print_ui_addresses(here, out)
        if with_service:
            print_service_address(here, out)
        return
    recovery.catch_up(here, "make up" if with_service else "make ui", out.print)
    prepare_store(here)
    with ExitStack() as stack:
        services = [open_service(here, out, stack)] if with_service else []
        out.print("Starting the UIs ...", style="dim")
        running: list[RunningServer] = [
            (server, stack.enter_context(servers.started(here, server)))
            for server in (ui_servers.prefect(here, here.prefect_port), ui_servers.mlflow(here, here.mlflow_port))
        ]
        for server, watcher in running:
            servers.wait_until_ready(here, server, watcher)
        refuse_other_password(here)
        close_orphans_unless_busy(here, out)
        runner = flows(here)
        running.append((runner, stack.enter_context(servers.started(here, runner))))
        wait_until_published(here, *running[-1])
        print_ui_addresses(here, out)
        out.print("Ctrl-C ends them all." if with_service else "Ctrl-C ends both.", style="dim")
        watch(here, out, services + running, stack)


def open_service(here: Places, out: Console, stack: ExitStack) -> RunningServer:
    """Start the prediction service, and print its address once it answers."""
    expected_token(here)
    server = service(here, here.serve_port)
    watcher = stack.enter_context(servers.started(here, server))
    servers.wait_until_ready(here, server, watcher)
    print_service_address(here, out)
    return server, watcher


def watch(here: Places, out: Console, running: list[RunningServer], stack: ExitStack) -> None:
    """Watch the servers until KeyboardInterrupt.

    Raises:
        Refusal: a server other than the prediction service ended by itself.
    """
    while True:
        time.sleep(0.5)
        running = [(server, ensure_running(here, out, server, watcher, stack)) for server, watcher in running]


def print_service_address(here: Places, out: Console) -> None:
    out.print("Service  try a text and correct the answer; for programs: /docs")
    out.print(f"         http://{here.host}:{here.serve_port}")


def prepare_store(here: Places) -> None:
    """Create MLflow's database before its server starts, and the file of its users.

    MLflow's server creates the database in its final place, so a kill could leave half of one.
    """
    write_mlflow_users(here)
    from flows.registry.store import make_store

    path = mlflow_database()
    if path is not None:
        make_store(path)


def refuse_other_password(here: Places) -> None:
    """Raise if MLflow's administrator has another password than the variable: MLflow keeps the first one.

    Raises:
        Refusal: they differ.
    """
    password = os.environ.get("MLFLOW_AUTH_ADMIN_PASSWORD")
    if not password or os.environ.get("MLFLOW_AUTH_CONFIG_PATH"):
        return
    user = administrator()
    url = f"http://{here.ui_address}:{here.mlflow_port}/api/2.0/mlflow/users/get?username={quote(user)}"
    if not servers.answers(url, f"{user}:{password}"):
        raise Refusal(
            "MLFLOW_AUTH_ADMIN_PASSWORD must be the password that MLflow keeps.",
            f"another one for {user}",
            f"Set the one it was first opened with; or remove {users(here)}, and with it all users made in MLflow.",
        )


def close_orphans_unless_busy(here: Places, out: Console) -> None:
    """Close the runs that a killed command left open in Prefect and MLflow, unless a loop turns."""
    os.environ["PREFECT_API_URL"] = f"http://{here.ui_address}:{here.prefect_port}/api"
    with suppress(Refusal), recovery.alone(here, "make ui", partial(out.print, style="dim")):
        from flows.runs import orphans

        orphans.close_orphans(here)
    os.environ.pop("PREFECT_API_URL")


def wait_until_published(here: Places, runner: Server, watcher: subprocess.Popen[bytes] | None) -> None:
    """Return when Prefect has the deployments: a page opened earlier would list none.

    Raises:
        Refusal: the runner of the flows ended.
    """
    last_deployment = f"http://{here.ui_address}:{here.prefect_port}/api/deployments/name/optimise/optimise"
    deadline = time.monotonic() + servers.READY_SECONDS
    while (
        not servers.answers(last_deployment, os.environ.get("PREFECT_API_AUTH_STRING", ""))
        and time.monotonic() < deadline
    ):
        if watcher is not None and watcher.poll() is not None:
            raise Refusal(
                "The forms must be published.", f"{runner.name} ended", f"Its log: {here.logs / (runner.name + '.log')}"
            )
        time.sleep(0.1)


def print_ui_addresses(here: Places, out: Console) -> None:
    """Print what each UI is for, and its first page."""
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


def ensure_running(
    here: Places, out: Console, server: Server, watcher: subprocess.Popen[bytes] | None, stack: ExitStack
) -> subprocess.Popen[bytes] | None:
    """The watcher of a server that runs.

    A server of another command that ended with it is started anew. The prediction service is always started anew,
    because clients wait for its answers.

    Raises:
        Refusal: another server of this command ended by itself.
    """
    if watcher is None:
        return None if servers.running_record(here, server.name) else stack.enter_context(servers.started(here, server))
    if watcher.poll() is not None:
        log = here.logs / f"{server.name}.log"
        if server.name == "service":
            out.print(f"The prediction service ended by itself, and is started again. Its log: {log}")
            time.sleep(RESTART_SECONDS)
            return stack.enter_context(servers.started(here, server))
        raise Refusal(f"{server.name} must run until it is told to end.", "it ended", f"Its log: {log}")
    return watcher


def flows(here: Places) -> Server:
    """The runner of the deployments; it polls for new runs every second (Prefect's default: ten)."""
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
