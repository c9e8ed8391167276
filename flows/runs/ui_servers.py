"""The two servers with a UI, Prefect and MLflow, as ratchet/servers/servers.py starts them."""

from __future__ import annotations

import os
import sys

from ratchet.project.paths import Places, artifact_root, prefect_database
from ratchet.servers.access import asks_for_password, mlflow_access, refuse_open_uis
from ratchet.servers.servers import Server


def prefect(here: Places, port: int) -> Server:
    """Return the Prefect server with its UI, called without its command line tool, which starts slower and forks.

    Its pages call the address that they came from, so no other origin need be allowed (flows/runs/prefect_server.py).

    Raises:
        Refusal: It would be open to other machines, and it or MLflow asks for no password.
    """
    refuse_open_uis(here)
    origins = f"http://127.0.0.1:{port},http://localhost:{port}"
    return Server(
        "prefect",
        (sys.executable, "-m", "uvicorn", "--factory", "flows.runs.prefect_server:create_app",
         "--host", here.ui_host, "--port", str(port), "--log-level", "warning"),
        port,
        "/api/health",
        {
            "PREFECT_UI_API_URL": "/api",
            "PREFECT_API_URL": f"http://{here.ui_address}:{port}/api",
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": os.environ.get("PREFECT_SERVER_CORS_ALLOWED_ORIGINS") or origins,
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            "PREFECT_SERVER_UI_V2_ENABLED": "false",  # the address then opens the UI whose logs name the task
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        },
        None if prefect_database()[1] else here.state / "prefect" / "prefect.db",
        here.ui_host,
    )  # fmt: skip


def mlflow(here: Places, port: int) -> Server:
    """Return the MLflow server with its UI, on the store that the flows write to, in one worker (1.8 GB less).

    The store is passed in the environment: a command line, with a password in it, is readable by everybody.

    Raises:
        Refusal: It would be open to other machines, and it or Prefect asks for no password.
    """
    refuse_open_uis(here)
    auth = ("--app-name", "basic-auth") if asks_for_password() else ()
    return Server(
        "mlflow",
        (sys.executable, "-m", "mlflow", "server", "--host", here.ui_host, "--port", str(port), "--workers", "1",
         *auth),
        port,
        "/health",
        {
            "MLFLOW_BACKEND_STORE_URI": os.environ["MLFLOW_TRACKING_URI"],
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": artifact_root(here),
            **mlflow_access(here, port),
        },
        host=here.ui_host,
    )  # fmt: skip
