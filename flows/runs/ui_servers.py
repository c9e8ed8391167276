"""The two servers whose pages a person opens, as ratchet/servers/servers.py starts them: Prefect and MLflow."""

from __future__ import annotations

import os
import sys

from ratchet.project.paths import Places, artifact_root, prefect_database
from ratchet.servers.access import asks_for_password, mlflow_access, refuse_open_uis
from ratchet.servers.servers import Server


def prefect(here: Places, port: int) -> Server:
    """The Prefect server with its UI. Called without its command line tool, which starts slower and forks.

    Its pages ask the address that they came from, so that no other origin need be let in
    (flows/runs/prefect_server.py).

    Raises:
        Refusal: others are to reach it, and it or MLflow asks for no password.
    """
    refuse_open_uis(here)
    own = f"http://127.0.0.1:{port},http://localhost:{port}"
    return Server(
        "prefect",
        (sys.executable, "-m", "uvicorn", "--factory", "flows.runs.prefect_server:create_app",
         "--host", here.ui_host, "--port", str(port), "--log-level", "warning"),
        port,
        "/api/health",
        {
            "PREFECT_UI_API_URL": "/api",
            "PREFECT_API_URL": f"http://{here.ui_address}:{port}/api",
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": os.environ.get("PREFECT_SERVER_CORS_ALLOWED_ORIGINS") or own,
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            "PREFECT_SERVER_UI_V2_ENABLED": "false",  # its address opens the UI whose logs name the task that spoke
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        },
        None if prefect_database()[1] else here.state / "prefect" / "prefect.db",
        here.ui_host,
    )  # fmt: skip


def mlflow(here: Places, port: int) -> Server:
    """The MLflow server with its UI, on the store that the flows write to, in one worker (1.8 GB less).

    The store is named in its environment: a command line, with a password in it, is there for everybody to read.

    Raises:
        Refusal: others are to reach it, and it or Prefect asks for no password.
    """
    refuse_open_uis(here)
    protected = ("--app-name", "basic-auth") if asks_for_password() else ()
    return Server(
        "mlflow",
        (sys.executable, "-m", "mlflow", "server", "--host", here.ui_host, "--port", str(port), "--workers", "1",
         *protected),
        port,
        "/health",
        {
            "MLFLOW_BACKEND_STORE_URI": os.environ["MLFLOW_TRACKING_URI"],
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": artifact_root(here),
            **mlflow_access(here, port),
        },
        host=here.ui_host,
    )  # fmt: skip
