"""Where things are: the project, its state, its ports; and the quiet, local defaults of the tools it uses.

Nothing here is read from a file. The tools' own standard variables, where the user has set them, win.
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
"""Names the PostgreSQL database that the log of predictions is in, where it is in one."""
PLAN = Path("restoring") / "plan.json"
"""Below the state: there while a restore moves things (ratchet/maintenance/backup.py)."""


@dataclass(frozen=True)
class Places:
    """Paths and addresses of one project: all below `state` may be moved with RATCHET_STATE.

    host: where the prediction service listens. ui_host: where Prefect and MLflow do.
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
        """Where this machine meets both UIs: what listens on every address is met on this one."""
        return "127.0.0.1" if self.ui_host == "0.0.0.0" else self.ui_host

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def incoming(self) -> Path:
        """Data on its way in; beside data/, and there only while a command brings it."""
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
        """How the loop turns by itself, and which labels it has taken in (ratchet/monitoring/retrain_state.py)."""
        return self.state / "pace.json"

    @property
    def queue(self) -> Path:
        """Which texts people are to label next (ratchet/monitoring/label_queue.py)."""
        return self.state / "queue.json"

    @property
    def bundles(self) -> Path:
        """Models as the service reads them, each in a folder named by its digest."""
        return self.state / "bundles"

    @property
    def lineup(self) -> Path:
        """Which of them are to answer."""
        return self.bundles / "lineup.json"

    @property
    def quarantine(self) -> Path:
        return self.state / "quarantine"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def identity(self) -> str:
        """Tells this state folder from others that write to the same MLflow server."""
        return hashlib.sha256(f"{socket.gethostname()}\n{self.state}".encode()).hexdigest()[:12]

    @property
    def backups(self) -> Path:
        """Archives, and the copies kept before a database was upgraded or a state replaced."""
        return self.state / "backups"

    @property
    def watch(self) -> Path:
        """What the last look at live traffic came to (ratchet/monitoring/last_check.py)."""
        return self.state / "watch.json"

    @property
    def reports(self) -> Path:
        """Pages about what is live, for a browser; each is made anew by the next look."""
        return self.state / "reports"

    @property
    def work(self) -> Path:
        """Scratch space of the run in progress; whoever holds the loop's lock may empty it."""
        return self.state / "work"


def places() -> Places:
    """The places as the environment has them now.

    Raises:
        Refusal: a port is none.
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
    """The port that the environment names, or the usual one.

    Raises:
        Refusal: what it names is no port.
    """
    typed = os.environ.get(name, "").strip() or str(usual)
    if not (typed.isascii() and typed.isdigit() and 1 <= int(typed[:6]) <= 65535):
        raise Refusal(f"{name} must be a port, from 1 to 65535.", typed, f"Leave it out for {usual}, or name another.")
    return int(typed)


def artifact_root(here: Places) -> str:
    """Where models and files of new experiments go: as MLflow's server has it, else below the state."""
    return os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT") or (here.state / "artifacts").as_uri()


def mlflow_database() -> Path | None:
    """The SQLite file that MLflow keeps everything in; None where a server or another database does."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def prefect_database() -> tuple[str, str]:
    """The variable that names Prefect's database and the address in it; both empty where it is our own file."""
    for name in ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL"):
        if os.environ.get(name):
            return name, os.environ[name]
    return "", ""


def project_version() -> str:
    """The version of this project's code, as pyproject.toml states it; `unknown` where that cannot be read."""
    try:
        return str(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, KeyError, ValueError):
        return "unknown"


def tool_defaults(here: Places) -> dict[str, str]:
    """What each tool is told so that it writes below `state` alone and calls nobody."""
    state = here.state
    return {
        "MLFLOW_TRACKING_URI": f"sqlite:///{state / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_UV_AUTO_DETECT": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 1.8 GB and 8 s less (decisions/0004)
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # 7 by default: four minutes until an unreachable server is given up
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
        "PREFECT_API_REQUEST_TIMEOUT": "30",
        "PREFECT_HOME": str(state / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",  # no form of another site's changes anything (decisions/0025)
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(state / "prefect" / "ui"),
        "PREFECT_LOCAL_STORAGE_PATH": str(state / "prefect" / "results"),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "",
        "DO_NOT_TRACK": "1",
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
    """The password of our own Prefect server, where it has one, for the loop's own clients; no other server gets it."""
    password = os.environ.get("PREFECT_SERVER_API_AUTH_STRING")
    return {"PREFECT_API_AUTH_STRING": password} if password and not os.environ.get("PREFECT_API_URL") else {}


def settle(here: Places) -> None:
    """Make the state folder and hand the tools their defaults; a variable that is set already stays as it is.

    Raises:
        OSError: the folder cannot be made.
    """
    for folder in (here.state, here.logs, here.work, here.state / "dvc" / "tmp"):
        folder.mkdir(parents=True, exist_ok=True)
    for name, value in tool_defaults(here).items():
        os.environ.setdefault(name, value)
