"""Do the servers, databases and buckets of a run answer? Asked within seconds, before anything is trained."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request

from ratchet.project.errors import Refusal
from ratchet.project.faults import without_password
from ratchet.project.paths import LOG_VARIABLE, Places, artifact_root, prefect_database
from ratchet.servers.remote import postgres, s3

PATIENCE = 8
"""Seconds. A server that says nothing for so long is taken for one that hangs."""
STORES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks", "file")


def registry() -> None:
    """Raise unless what MLFLOW_TRACKING_URI names answers: MLflow's server or PostgreSQL; a file is not asked here.

    Raises:
        Refusal: it does not, or what the variable names is neither.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if uri and uri.partition(":")[0].partition("+")[0] not in STORES:  # MLflow takes a slip for the name of a folder
        raise Refusal(
            "MLFLOW_TRACKING_URI must begin with the kind of a server or a database.",
            without_password(uri),
            f"One of {', '.join(STORES)}; leave it out for a database of Ratchet's own.",
        )
    knock("MLflow", "MLFLOW_TRACKING_URI", "/health")
    postgres.require("MLFLOW_TRACKING_URI", uri, PATIENCE)


def log() -> None:
    """Raise unless PostgreSQL answers, where the log of predictions is in one.

    Raises:
        Refusal: it does not, or what the variable names is none.
    """
    address = os.environ.get(LOG_VARIABLE, "")
    if address and address.partition(":")[0].partition("+")[0] != "postgresql":
        raise Refusal(
            f"{LOG_VARIABLE} must name a PostgreSQL database.",
            without_password(address),
            "It reads postgresql://user:password@host:5432/name; leave it out for a file of Ratchet's own.",
        )
    postgres.require(LOG_VARIABLE, address, PATIENCE)


def prefect() -> None:
    """Raise unless the Prefect server that PREFECT_API_URL names answers; without it one of our own is used.

    Raises:
        Refusal: it does not, or our own server's database does not.
    """
    if os.environ.get("PREFECT_API_URL"):
        knock("Prefect", "PREFECT_API_URL", "/health")
    else:
        prefect_store()


def prefect_store() -> None:
    """Raise unless PostgreSQL answers, where Prefect's database is in one.

    Raises:
        Refusal: it does not.
    """
    variable, url = prefect_database()
    postgres.require(variable, url, PATIENCE)


def artifacts(here: Places) -> None:
    """Raise unless the bucket answers that new experiments put their files into, where it is one.

    Raises:
        Refusal: it does not.
    """
    root = artifact_root(here)
    if s3.is_bucket(root):
        s3.of_mlflow(root).require("MLFLOW_DEFAULT_ARTIFACT_ROOT")


def knock(server: str, variable: str, path: str) -> None:
    """Ask for `path`; any answer but a server's own error is one: a proxy may want a password that the tool has.

    Raises:
        Refusal: nobody answers, in time or at all.
    """
    url = os.environ.get(variable, "")
    if not url.startswith(("http://", "https://")):
        return
    said = refused(url.rstrip("/") + path)
    if said:
        raise Refusal(
            f"{server} must answer within {PATIENCE} s at the address that {variable} names.",
            f"{said} from {without_password(url)}",
            f"Start that server, mend the address, or leave {variable} out: Ratchet then uses its own.",
        )


def refused(url: str) -> str | None:
    """What stands instead of an answer; None where there is one."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE):
            return None
    except urllib.error.HTTPError as error:
        return f"status {error.code}" if error.code >= 500 else None
    except (http.client.HTTPException, OSError, ValueError) as error:
        return str(getattr(error, "reason", error)) or type(error).__name__
