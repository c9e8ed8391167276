"""Watches whether enough labels wait for a turn, and has Prefect begin one where they do."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException

from flows.next_turn import TURN
from ratchet.monitoring import retrain_state
from ratchet.problem import settings
from ratchet.problem.settings import Settings
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.state import ledger, lock

INTERVAL = 0.5
"""Seconds between two checks."""


def watch(here: Places) -> None:
    """Check until the process ends; an error that lasts is logged once, and the check is tried again."""
    last_problem = ""
    while True:
        time.sleep(INTERVAL)
        problem = check_safely(here)
        if problem and problem != last_problem:
            logging.getLogger("prefect.ratchet").warning("Labels are not looked for: %s", problem)
        last_problem = problem


def check_safely(here: Places) -> str:
    """Check once, and return what went wrong; empty where nothing did."""
    try:
        check(here)
    except Refusal as refusal:
        return str(refusal)
    except Exception as error:  # nobody would notice the end of this thread, and no label would start a turn again
        return f"{type(error).__name__}: {error}"
    return ""


def check(here: Places) -> None:
    """Begin a turn where enough labels wait. While the loop runs nothing is begun, and the labels wait."""
    current = settings.load(here.params)
    if not retrain_state.is_due(here, current) or lock.holder(here.state) is not None:
        return
    with get_client(sync_client=True) as client:
        if is_under_way(client, retrain_state.read(here, current.problem).run):
            return
        deployment = client.read_deployment_by_name(TURN)
        if deployment.paused:
            return
        trigger = f"{retrain_state.count_waiting_labels(here, current):,} new labels"
        parameters = {"trigger": trigger, "learn": True} | model_parameter(here, current)
        with retrain_state.record_start(here, current.problem) as record_run:
            record_run(str(client.create_flow_run_from_deployment(deployment.id, parameters=parameters).id))


def model_parameter(here: Places, current: Settings) -> dict[str, str]:
    """Return the parameter that trains the champion's kind of model alone: more labels of the same kind refresh it."""
    moves = ledger.read(here.ledger, current.problem)
    model = moves[-1].evidence.get("model") if moves else None
    return {"model": model} if model in current.build.candidates else {}


def is_under_way(client: object, run: str) -> bool:
    """Whether a flow run has not ended; a run that the server no longer has counts as ended."""
    if not run:
        return False
    with suppress(PrefectException):
        state = client.read_flow_run(run).state  # type: ignore[attr-defined]
        return state is not None and not state.is_final()
    return False
