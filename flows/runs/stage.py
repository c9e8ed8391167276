"""What the stages of the loop share: each is a Prefect flow that takes its turn alone, on swept ground."""

from __future__ import annotations

import functools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import Any, ParamSpec, TypeVar, cast

import httpx
from prefect import Flow, Task, flow, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.events.worker import EventsWorker
from prefect.exceptions import PrefectException
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Failed, State
from prefect.task_runners import ThreadPoolTaskRunner

import models
from flows.registry.registry import Registry
from flows.runs import orphans, recovery
from flows.runs.run_names import rename_failed_run, run_name
from ratchet.data import examples
from ratchet.data.incoming import must_file
from ratchet.project import faults, problem
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places, places, settle
from ratchet.project.problem import Problem
from ratchet.project.progress import UNHEARD

Asked = ParamSpec("Asked")
Result = TypeVar("Result")

Model = StrEnum("Model", {name: name for name in models.names()})  # type: ignore[misc]
Example = StrEnum("Example", {name: name for name in examples.names()})  # type: ignore[misc]
"""The models and the example data sets, as the run forms offer them."""


class RefusalFilter(logging.Filter):
    """Keeps the traceback of a refusal out of a run's log: its sentence stands there already."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], Refusal))


TOLD = RefusalFilter()


def stage(function: Callable[Asked, Result]) -> Flow[Asked, Result]:
    """A flow named as the function: one at a time on this state, its docstring the description.

    Where it fails, the state's message is the sentence that says what to do, and its data the refusal, which the
    caller gets raised.
    """

    @functools.wraps(function)
    def alone(*args: Asked.args, **kwargs: Asked.kwargs) -> Result | State[Any]:
        here = places()
        settle(here)
        end_with_runner()
        logging.getLogger("prefect.flow_runs").addFilter(TOLD)
        try:
            with orphans.noted(here):
                return in_turn(here, *args, **kwargs)
        except Exception as error:
            refusal = faults.explain(error, here, function.__name__)
            if refusal is not error:
                get_run_logger().error("What was met:", exc_info=error)
            log_quietly(str(refusal), logging.ERROR)
            with suppress(httpx.HTTPError, PrefectException, OSError):  # where Prefect itself is what failed
                rename_failed_run(str(refusal))
            return Failed(message=str(refusal), data=refusal)

    def in_turn(here: Places, *args: Asked.args, **kwargs: Asked.kwargs) -> Result:
        with recovery.alone(here, function.__name__, say):
            if runtime.flow_run.parent_flow_run_id is None:
                orphans.close_orphans(here)
            must_file.take_in(here, say)
            return function(*args, **kwargs)

    made = flow(
        name=function.__name__,
        flow_run_name=run_name,
        task_runner=cast("Any", ThreadPoolTaskRunner(max_workers=(os.cpu_count() or 1) + 1)),
        persist_result=False,
    )(alone)
    return cast("Flow[Asked, Result]", made)


def end_with_runner() -> None:
    """In a process that a form's runner started: end when the runner dies, however it dies.

    Prefect gives such a process a session of its own, so it outlives its runner. It could do no good alone: its server
    is gone as well, and it would hold the loop's lock until it has noticed.
    """
    if "PREFECT__FLOW_RUN_ID" in os.environ and runtime.flow_run.parent_flow_run_id is None:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def step(name: str, run_as: str | None = None) -> Callable[[Callable[Asked, Result]], Task[Asked, Result]]:
    """A task in plain words; its inputs are never hashed, for a cache is keyed by the data version alone."""
    return task(name=name, task_run_name=run_as or name, cache_policy=NO_CACHE, persist_result=False)


def flow_run_id() -> str:
    return str(runtime.flow_run.id or "")


def at_hand() -> tuple[Problem, Registry]:
    """The problem that params.yaml describes, and what MLflow knows of it."""
    current = problem.load()
    return current, Registry(current.name, current.here)


@contextmanager
def attended() -> Iterator[None]:
    """For flows that run in the process of a command: quick to end, and nothing left unsaid when the server stops.

    No heartbeats: each flow run would wait up to a second for its heartbeat to end, and a killed run is closed by the
    next (flows/runs/orphans.py). At the end the logs and events that wait are handed over; a server that stopped before
    that left the process hanging for 75 s.
    """
    try:
        with temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield
    finally:
        for worker in (EventsWorker, APILogWorker):
            worker.drain_all(timeout=10)


def say(sentence: str) -> None:
    """One sentence for the run's log in Prefect, and for the terminal where one listens (terminal.py)."""
    get_run_logger().info(sentence)


def log_quietly(sentence: str, level: int = logging.INFO) -> None:
    """The same for the run's log alone, where the terminal says it in its own way."""
    get_run_logger().log(level, sentence, extra={UNHEARD: True})
