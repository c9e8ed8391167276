"""Where to read on: the pages of both UIs about a version, a run, a comparison, as addresses. Pure but for the tools'
own variables, which say where a shared server is.

The pages answer while `make ui` runs. MLflow opens in a mode for chat models unless its address says otherwise.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from urllib.parse import quote

from ratchet.project.paths import Places

MODE = "workflowType=machine_learning"
CANDIDATES = "candidates"
"""The name of the view of all candidates with their scores, kept with the experiment (flows/registry/registry.py)."""


def mlflow(here: Places, path: str) -> str:
    """A page of the MLflow UI: of the server that MLFLOW_TRACKING_URI names, or ours."""
    named = os.environ.get("MLFLOW_TRACKING_URI", "")
    base = named.rstrip("/") if named.startswith("http") else f"http://{here.ui_address}:{here.mlflow_port}"
    return f"{base}/#/{path}{'&' if '?' in path else '?'}{MODE}"


def prefect(here: Places, path: str) -> str:
    """A page of the Prefect UI: of the server that PREFECT_UI_URL names, or ours."""
    ours = f"http://{here.ui_address}:{here.prefect_port}"
    return f"{(os.environ.get('PREFECT_UI_URL') or ours).rstrip('/')}/{path}"


def model(here: Places, problem: str) -> str:
    return mlflow(here, f"models/{quote(problem)}")


def version(here: Places, problem: str, number: int) -> str:
    return mlflow(here, f"models/{quote(problem)}/versions/{number}")


def candidates(here: Places, experiment: str) -> str:
    return mlflow(here, f"experiments/{experiment}/runs?viewStateShareKey={CANDIDATES}")


def built_on(here: Places, experiment: str, data: str) -> str:
    """All builds on a data version."""
    asked = quote(f"tags.data_version = '{data}'")
    return mlflow(here, f"experiments/{experiment}/runs?searchFilter={asked}")


def run(here: Places, experiment: str, run_id: str) -> str:
    return mlflow(here, f"experiments/{experiment}/runs/{run_id}")


def artifact(here: Places, experiment: str, run_id: str, path: str) -> str:
    return mlflow(here, f"experiments/{experiment}/runs/{run_id}/artifacts/{path}")


def comparison(here: Places, experiment: str, first: str, second: str) -> str:
    """Two runs side by side."""
    runs, of = (quote(json.dumps(ids)) for ids in ([first, second], [experiment]))
    return mlflow(here, f"compare-runs?runs={runs}&experiments={of}")


def flow_run(here: Places, run_id: str) -> str:
    return prefect(here, f"runs/flow-run/{run_id}")


def markdown(pages: Mapping[str, str]) -> str:
    """Named links in one line."""
    return " · ".join(f"[{name}]({address})" for name, address in pages.items())
