"""Looks every second whether enough labels wait for a turn, and has Prefect run `optimise` where they do."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException

from ratchet import lock, pace, settings
from ratchet.places import Places
from ratchet.refusal import Refusal

EVERY = 1.0
"""Seconds between two looks."""
LOOK = "optimise/optimise"
"""The deployment that takes the labels in."""


def watch(here: Places) -> None:
    """Look until the process ends; what goes wrong is said once, and tried again."""
    said, asked = "", ""
    while True:
        time.sleep(EVERY)
        try:
            asked, trouble = look(here, asked), ""
        except (Refusal, PrefectException, httpx.HTTPError, OSError) as error:
            trouble = str(error)
        if trouble and trouble != said:
            logging.getLogger("prefect.ratchet").warning("Labels are not looked for: %s", trouble)
        said = trouble


def look(here: Places, asked: str) -> str:
    """One look. asked: the flow run that was started last, which is waited for; the same, or that of a new one.

    While the loop is at work nothing is started: labels are none the worse for waiting.
    """
    current = settings.load(here.params)
    if not pace.is_due(here, current) or lock.holder(here.state) is not None:
        return asked
    with get_client(sync_client=True) as client:
        if is_under_way(client, asked) or is_under_way(client, pace.read(here, current.problem).run):
            return asked
        deployment = client.read_deployment_by_name(LOOK)
        if deployment.paused:
            return asked
        words = {"trigger": f"{pace.waiting(here, current):,} new labels"}
        return str(client.create_flow_run_from_deployment(deployment.id, parameters=words).id)


def is_under_way(client: object, run: str) -> bool:
    """Whether a flow run has not ended; one that nobody knows any more has."""
    if not run:
        return False
    with suppress(PrefectException):
        state = client.read_flow_run(run).state  # type: ignore[attr-defined]
        return state is not None and not state.is_final()
    return False
