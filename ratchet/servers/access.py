"""Who may reach what listens here: the prediction service by RATCHET_TOKEN, both UIs by the tools' own passwords."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

import psutil

from ratchet.project.errors import Refusal
from ratchet.project.paths import Places

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})
"""Names of this machine that nobody else can reach it by."""


def expected_token(here: Places) -> str:
    """The token that callers must have; empty where none is set.

    Raises:
        Refusal: none is set, and the service is to be reached from outside this machine.
    """
    token = os.environ.get("RATCHET_TOKEN", "")
    if not token and here.host not in LOOPBACK:
        raise Refusal(
            "A service that others can reach needs a token.",
            f"RATCHET_HOST={here.host} and no RATCHET_TOKEN",
            'Set one: export RATCHET_TOKEN="$(openssl rand -hex 16)"; or leave RATCHET_HOST out.',
        )
    return token


def refuse_open_uis(here: Places) -> None:
    """Raise where others are to reach Prefect and MLflow, and one of them asks for no password.

    Raises:
        Refusal: RATCHET_UI_HOST is no loopback address, and a password is not set.
    """
    missing = [
        name
        for name, is_set in (
            ("PREFECT_SERVER_API_AUTH_STRING", bool(os.environ.get("PREFECT_SERVER_API_AUTH_STRING"))),
            ("MLFLOW_AUTH_ADMIN_PASSWORD", asks_for_password()),
        )
        if not is_set
    ]
    if missing and here.ui_host not in LOOPBACK:
        raise Refusal(
            "UIs that others can reach need a password each, for whoever reaches Prefect runs code.",
            f"RATCHET_UI_HOST={here.ui_host} and no {' and no '.join(missing)}",
            'Set them: export PREFECT_SERVER_API_AUTH_STRING="admin:$(openssl rand -hex 16)"'
            ' MLFLOW_AUTH_ADMIN_PASSWORD="$(openssl rand -hex 16)"; or leave RATCHET_UI_HOST out.',
        )


def asks_for_password() -> bool:
    """Whether our MLflow server does: its own authentication is on once its administrator's password is set."""
    return bool(os.environ.get("MLFLOW_AUTH_ADMIN_PASSWORD") or os.environ.get("MLFLOW_AUTH_CONFIG_PATH"))


def mlflow_access(here: Places, port: int) -> dict[str, str]:
    """Whom MLflow's server answers: what its own variables say, else this machine's own pages and names alone.

    Its own default takes any name that begins like a private address, such as 10.example.com, for one of this machine.
    Whoever opens it is asked for a password, so any name will do then; pages must still be its own.
    """
    if here.ui_host in LOOPBACK:
        found = {"MLFLOW_SERVER_ALLOWED_HOSTS": "localhost,127.0.0.1,localhost:*,127.0.0.1:*"}
    else:
        pages = ",".join(f"http://{name}:{port}" for name in names_of(here.ui_host))
        found = {"MLFLOW_SERVER_ALLOWED_HOSTS": "*", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": pages}
    if asks_for_password():
        found |= {
            "MLFLOW_AUTH_CONFIG_PATH": str(mlflow_config(here)),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),  # for its form of a new user, until it ends
        }
    return {name: os.environ.get(name) or value for name, value in found.items()}


def names_of(host: str) -> list[str]:
    """What a browser may call a server that listens there."""
    if host != "0.0.0.0":
        return [host]
    addresses = {
        each.address for them in psutil.net_if_addrs().values() for each in them if each.family == socket.AF_INET
    }
    return sorted(addresses | {socket.gethostname(), socket.getfqdn()})


def administrator() -> str:
    """MLflow's first user."""
    return os.environ.get("MLFLOW_AUTH_ADMIN_USERNAME") or "admin"


def users(here: Places) -> Path:
    """Where our MLflow server keeps its users; it takes the administrator's password when it makes the file."""
    return here.state / "mlflow-users.db"


def mlflow_config(here: Places) -> Path:
    """What our MLflow server is told of its users."""
    return here.state / "mlflow-users.ini"


def write_mlflow_users(here: Places) -> None:
    """Have MLflow keep its users below the state, where it asks for passwords; its default is where it is started."""
    if asks_for_password():
        place = str(users(here)).replace("%", "%%")
        mlflow_config(here).write_text(
            f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{place}\nadmin_username = admin\n",
            encoding="utf-8",
        )
