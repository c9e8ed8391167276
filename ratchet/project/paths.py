"""Paths and ports of the project, and the defaults of its tools: the environment enters, Places leave.

The tool defaults keep all writes below the state folder and send no telemetry. The tools' own standard variables win
where the user has set them. Nothing here is read from a configuration file.
"""

from __future__ import annotations

import hashlib
import os
import socket
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ratchet.project.errors import Refusal

ROOT = Path(__file__).resolve().parents[2]

LOG_VARIABLE = "RATCHET_PREDICTIONS"
"""The variable with the PostgreSQL database of the prediction log; without it the log is a SQLite file."""
PLAN = Path("restoring") / "plan.json"
"""The plan of a restore, below the state; it exists while a restore moves files (ratchet/maintenance/backup.py)."""


@dataclass(frozen=True)
class Places:
    """Paths and addresses of one project.

    Attributes:
        root: folder of the project.
        state: folder of all that the project writes; RATCHET_STATE moves it.
        host: address on which the prediction service listens.
        prefect_port: of the Prefect UI.
        mlflow_port: of the MLflow UI.
        serve_port: of the prediction service.
        ui_host: address on which Prefect and MLflow listen.
    """

    root: Path
    state: Path
    host: str
    prefect_port: int
    mlflow_port: int
    serve_port: int
    ui_host: str = "127.0.0.1"

    @property
    def ui_address(self) -> str:
        """Address of both UIs from this machine; UIs that listen on every address are reached on 127.0.0.1."""
        return "127.0.0.1" if self.ui_host == "0.0.0.0" else self.ui_host

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def incoming(self) -> Path:
        """The next content of data/, beside it; it exists only while a command imports a table."""
        return self.root / "data.new"

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def ledger(self) -> Path:
        return self.state / "ledger.jsonl"

    @property
    def predictions(self) -> Path:
        return self.state / "predictions.db"

    @property
    def pace(self) -> Path:
        """State of automatic retraining, and the labels taken in (ratchet/monitoring/retrain_state.py)."""
        return self.state / "pace.json"

    @property
    def queue(self) -> Path:
        """The texts to be labelled next (ratchet/monitoring/label_queue.py)."""
        return self.state / "queue.json"

    @property
    def bundles(self) -> Path:
        """Models packed for the service, each in a folder named by its digest."""
        return self.state / "bundles"

    @property
    def lineup(self) -> Path:
        """Which bundles answer."""
        return self.bundles / "lineup.json"

    @property
    def quarantine(self) -> Path:
        return self.state / "quarantine"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def identity(self) -> str:
        """Digest of host and state folder; tells this project from others on the same MLflow server."""
        return hashlib.sha256(f"{socket.gethostname()}\n{self.state}".encode()).hexdigest()[:12]

    @property
    def backups(self) -> Path:
        """Archives, and copies of databases before an upgrade and of the state before a restore."""
        return self.state / "backups"

    @property
    def watch(self) -> Path:
        """Result of the last drift check (ratchet/monitoring/last_check.py)."""
        return self.state / "watch.json"

    @property
    def reports(self) -> Path:
        """HTML pages about the live model; the next drift check makes them anew."""
        return self.state / "reports"

    @property
    def work(self) -> Path:
        """Scratch space of the run in progress; the holder of the loop's lock may empty it."""
        return self.state / "work"


def places() -> Places:
    """The Places that the environment describes.

    Raises:
        Refusal: a variable holds no valid port.
    """
    env = os.environ
    return Places(
        root=Path(env.get("RATCHET_ROOT", ROOT)).resolve(),
        state=Path(env.get("RATCHET_STATE", Path(env.get("RATCHET_ROOT", ROOT)) / "state")).resolve(),
        host=env.get("RATCHET_HOST", "127.0.0.1"),
        prefect_port=port("PREFECT_PORT", 4200),
        mlflow_port=port("MLFLOW_PORT", 5000),
        serve_port=port("SERVE_PORT", 8000),
        ui_host=env.get("RATCHET_UI_HOST") or "127.0.0.1",
    )


def port(name: str, usual: int) -> int:
    """The port in the environment variable `name`, or the usual one.

    Raises:
        Refusal: the variable holds no valid port.
    """
    value = os.environ.get(name, "").strip() or str(usual)
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:6]) <= 65535):
        raise Refusal(f"{name} must be a port, from 1 to 65535.", value, f"Leave it out for {usual}, or name another.")
    return int(value)


def artifact_root(here: Places) -> str:
    """URI of the artifacts of new experiments: that of MLflow's own variable, else a folder below the state."""
    return os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT") or (here.state / "artifacts").as_uri()


def mlflow_database() -> Path | None:
    """MLflow's SQLite file; None where MLflow uses a server or another database."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def prefect_database() -> tuple[str, str]:
    """The variable that names Prefect's database, and its value; both empty where Prefect uses our own file."""
    for name in ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL"):
        if os.environ.get(name):
            return name, os.environ[name]
    return "", ""


def project_version() -> str:
    """The version in pyproject.toml; `unknown` if that cannot be read."""
    try:
        return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, KeyError, ValueError):
        return "unknown"


def tool_defaults(here: Places) -> dict[str, str]:
    """The variables by which each tool writes only below `state` and sends no telemetry."""
    state = here.state
    return {
        "MLFLOW_TRACKING_URI": f"sqlite:///{state / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_UV_AUTO_DETECT": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 1.8 GB and 8 s less (decisions/0004)
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # default 7: four minutes until MLflow gives up an unreachable server
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
        "PREFECT_API_REQUEST_TIMEOUT": "30",
        "PREFECT_HOME": str(state / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",  # a form on another site changes nothing (decisions/0025)
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(state / "prefect" / "ui"),
        "PREFECT_LOCAL_STORAGE_PATH": str(state / "prefect" / "results"),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "",
        "DO_NOT_TRACK": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "DVC_NO_ANALYTICS": "1",
        "DVC_SITE_CACHE_DIR": str(state / "dvc" / "site"),
        "DVC_GLOBAL_CONFIG_DIR": str(state / "dvc" / "global"),
        "DVC_SYSTEM_CONFIG_DIR": str(state / "dvc" / "system"),
        "KERAS_HOME": str(state / "keras"),
        "MPLCONFIGDIR": str(state / "matplotlib"),
        "MPLBACKEND": "Agg",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",
    } | own_password()


def own_password() -> dict[str, str]:
    """The variable with the password of our own Prefect server, for the loop's clients; no other server gets it."""
    password = os.environ.get("PREFECT_SERVER_API_AUTH_STRING")
    return {"PREFECT_API_AUTH_STRING": password} if password and not os.environ.get("PREFECT_API_URL") else {}


def settle(here: Places) -> None:
    """Make the state folders and set the tool defaults in the environment; variables that are set already stay.

    Raises:
        OSError: a folder cannot be made.
    """
    for folder in (here.state, here.logs, here.work, here.state / "dvc" / "tmp"):
        folder.mkdir(parents=True, exist_ok=True)
    for name, value in tool_defaults(here).items():
        os.environ.setdefault(name, value)
