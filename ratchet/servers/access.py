"""Access to the servers: RATCHET_TOKEN for the prediction service, the tools' own passwords for both UIs."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

import psutil

from ratchet.project.errors import Refusal
from ratchet.project.paths import Places

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})
"""Names by which only this machine itself reaches a server."""


def expected_token(here: Places) -> str:
    """The token that callers must send; empty if none is set.

    Raises:
        Refusal: none is set, and RATCHET_HOST is no loopback address.
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
    """Raise if other machines can reach Prefect and MLflow, and one of them asks for no password.

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
    """Whether our MLflow server asks for a password: its authentication is on once its administrator has one."""
    return bool(os.environ.get("MLFLOW_AUTH_ADMIN_PASSWORD") or os.environ.get("MLFLOW_AUTH_CONFIG_PATH"))


def mlflow_access(here: Places, port: int) -> dict[str, str]:
    """The variables that tell MLflow's server which host names and origins to answer; those already set win.

    On loopback only the names of this machine are allowed. MLflow's own default would take any name that begins like a
    private address, such as 10.example.com. On another address MLflow asks for a password, so any host name is allowed;
    the origins must still be the server's own.
    """
    if here.ui_host in LOOPBACK:
        variables = {"MLFLOW_SERVER_ALLOWED_HOSTS": "localhost,127.0.0.1,localhost:*,127.0.0.1:*"}
    else:
        pages = ",".join(f"http://{name}:{port}" for name in names_of(here.ui_host))
        variables = {"MLFLOW_SERVER_ALLOWED_HOSTS": "*", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": pages}
    if asks_for_password():
        variables |= {
            "MLFLOW_AUTH_CONFIG_PATH": str(mlflow_config(here)),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),  # for its form of a new user, until it ends
        }
    return {name: os.environ.get(name) or value for name, value in variables.items()}


def names_of(host: str) -> list[str]:
    """The host names by which a browser may reach a server that listens on `host`."""
    if host != "0.0.0.0":
        return [host]
    addresses = {
        entry.address
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family == socket.AF_INET
    }
    return sorted(addresses | {socket.gethostname(), socket.getfqdn()})


def administrator() -> str:
    """The name of MLflow's first user."""
    return os.environ.get("MLFLOW_AUTH_ADMIN_USERNAME") or "admin"


def users(here: Places) -> Path:
    """The database of MLflow's users; MLflow stores the administrator's password when it makes the file."""
    return here.state / "mlflow-users.db"


def mlflow_config(here: Places) -> Path:
    """The configuration file of MLflow's authentication."""
    return here.state / "mlflow-users.ini"


def write_mlflow_users(here: Places) -> None:
    """Write MLflow's authentication file if passwords are on: MLflow's default place of users is its working folder."""
    if asks_for_password():
        place = str(users(here)).replace("%", "%%")
        mlflow_config(here).write_text(
            f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{place}\nadmin_username = admin\n",
            encoding="utf-8",
        )
