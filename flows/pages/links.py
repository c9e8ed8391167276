"""Addresses of pages in both UIs: of a version, a run, a comparison. Pure but for the tools' own variables.

MLFLOW_TRACKING_URI and PREFECT_UI_URL say where a shared server is. The pages answer while `make ui` runs. MLflow opens
in a mode for chat models unless its address says otherwise.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from urllib.parse import quote

from ratchet.project.paths import Places

MODE = "workflowType=machine_learning"
CANDIDATES = "candidates"
"""The name of the saved view of all candidates with their scores (flows/pages/registry_pages.py)."""


def mlflow(here: Places, path: str) -> str:
    """Return a page of the MLflow UI: on the server that MLFLOW_TRACKING_URI names, or on our own."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    base = uri.rstrip("/") if uri.startswith("http") else f"http://{here.ui_address}:{here.mlflow_port}"
    return f"{base}/#/{path}{'&' if '?' in path else '?'}{MODE}"


def prefect(here: Places, path: str) -> str:
    """Return a page of the Prefect UI: on the server that PREFECT_UI_URL names, or on our own."""
    local = f"http://{here.ui_address}:{here.prefect_port}"
    return f"{(os.environ.get('PREFECT_UI_URL') or local).rstrip('/')}/{path}"


def model(here: Places, problem: str) -> str:
    return mlflow(here, f"models/{quote(problem)}")


def version(here: Places, problem: str, number: int) -> str:
    return mlflow(here, f"models/{quote(problem)}/versions/{number}")


def candidates(here: Places, experiment: str) -> str:
    return mlflow(here, f"experiments/{experiment}/runs?viewStateShareKey={CANDIDATES}")


def built_on(here: Places, experiment: str, data: str) -> str:
    """Return the list of all builds on a data version."""
    query = quote(f"tags.data_version = '{data}'")
    return mlflow(here, f"experiments/{experiment}/runs?searchFilter={query}")


def run(here: Places, experiment: str, run_id: str) -> str:
    return mlflow(here, f"experiments/{experiment}/runs/{run_id}")


def artifact(here: Places, experiment: str, run_id: str, path: str) -> str:
    return mlflow(here, f"experiments/{experiment}/runs/{run_id}/artifacts/{path}")


def comparison(here: Places, experiment: str, first: str, second: str) -> str:
    """Return the page of two runs side by side."""
    runs, experiments = (quote(json.dumps(ids)) for ids in ([first, second], [experiment]))
    return mlflow(here, f"compare-runs?runs={runs}&experiments={experiments}")


def flow_run(here: Places, run_id: str) -> str:
    return prefect(here, f"runs/flow-run/{run_id}")


def markdown(pages: Mapping[str, str]) -> str:
    """Return named links in one line of Markdown."""
    return " · ".join(f"[{name}]({address})" for name, address in pages.items())
