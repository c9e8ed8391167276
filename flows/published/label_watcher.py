"""Looks all the while whether enough labels wait for a turn, and has Prefect begin one where they do."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException

from flows.next_turn import TURN
from ratchet.monitoring import retrain_state
from ratchet.project import settings
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.project.settings import Settings
from ratchet.state import ledger, lock

EVERY = 0.5
"""Seconds between two looks."""


def watch(here: Places) -> None:
    """Look until the process ends; what goes wrong is said once, and tried again."""
    said = ""
    while True:
        time.sleep(EVERY)
        trouble = looked(here)
        if trouble and trouble != said:
            logging.getLogger("prefect.ratchet").warning("Labels are not looked for: %s", trouble)
        said = trouble


def looked(here: Places) -> str:
    """One look, whatever comes of it; what went wrong, empty where nothing did."""
    try:
        look(here)
    except Refusal as refusal:
        return str(refusal)
    except Exception as error:  # a thread that ends is missed by nobody, and no label would ask for a turn again
        return f"{type(error).__name__}: {error}"
    return ""


def look(here: Places) -> None:
    """One look. While the loop is at work nothing is started: labels are none the worse for waiting."""
    current = settings.load(here.params)
    if not retrain_state.is_due(here, current) or lock.holder(here.state) is not None:
        return
    with get_client(sync_client=True) as client:
        if is_under_way(client, retrain_state.read(here, current.problem).run):
            return
        deployment = client.read_deployment_by_name(TURN)
        if deployment.paused:
            return
        words = {"trigger": f"{retrain_state.waiting(here, current):,} new labels", "learn": True} | refreshed(
            here, current
        )
        with retrain_state.beginning(here, current.problem) as noted:
            noted(str(client.create_flow_run_from_deployment(deployment.id, parameters=words).id))


def refreshed(here: Places, current: Settings) -> dict[str, str]:
    """The champion's own kind of model, which more labels of the same world refresh; others wait."""
    moves = ledger.read(here.ledger, current.problem)
    model = moves[-1].evidence.get("model") if moves else None
    return {"model": model} if model in current.build.candidates else {}


def is_under_way(client: object, run: str) -> bool:
    """Whether a flow run has not ended; one that nobody knows any more has."""
    if not run:
        return False
    with suppress(PrefectException):
        state = client.read_flow_run(run).state  # type: ignore[attr-defined]
        return state is not None and not state.is_final()
    return False
