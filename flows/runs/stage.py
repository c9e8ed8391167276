"""What the stages of the loop share: each is a Prefect flow that holds the loop's lock, after repairing a killed run.

Also its tasks (`step`), its log (`say`), and the problem with its registry.
"""

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
from ratchet.problem import problem
from ratchet.problem.problem import Problem
from ratchet.project import faults
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places, places, settle
from ratchet.project.progress import LOG_ONLY

Params = ParamSpec("Params")
Result = TypeVar("Result")

Model = StrEnum("Model", {name: name for name in models.names()})  # type: ignore[misc]
Example = StrEnum("Example", {name: name for name in examples.names()})  # type: ignore[misc]
"""The models and the example data sets, as the run forms offer them."""


class RefusalFilter(logging.Filter):
    """Drops the traceback of a refusal from a run's log, which already has the refusal's sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], Refusal))


REFUSAL_FILTER = RefusalFilter()


def stage(function: Callable[Params, Result]) -> Flow[Params, Result]:
    """Make a flow of a function, with its name and docstring; one flow at a time runs on this state.

    When it fails, the state's message is the sentence that says what to do. The state's data is the refusal, which is
    raised for the caller.
    """

    @functools.wraps(function)
    def run_stage(*args: Params.args, **kwargs: Params.kwargs) -> Result | State[Any]:
        here = places()
        settle(here)
        end_with_runner()
        logging.getLogger("prefect.flow_runs").addFilter(REFUSAL_FILTER)
        try:
            with orphans.marked_open(here):
                return run_locked(here, *args, **kwargs)
        except Exception as error:
            refusal = faults.explain(error, here, function.__name__)
            if refusal is not error:
                get_run_logger().error("The error:", exc_info=error)
            log_quietly(str(refusal), logging.ERROR)
            with suppress(httpx.HTTPError, PrefectException, OSError):  # Prefect itself may be what failed
                rename_failed_run(str(refusal))
            return Failed(message=str(refusal), data=refusal)

    def run_locked(here: Places, *args: Params.args, **kwargs: Params.kwargs) -> Result:
        with recovery.alone(here, function.__name__, say):
            if runtime.flow_run.parent_flow_run_id is None:
                orphans.close_orphans(here)
            must_file.take_in(here, say)
            return function(*args, **kwargs)

    stage_flow = flow(
        name=function.__name__,
        flow_run_name=run_name,
        task_runner=cast("Any", ThreadPoolTaskRunner(max_workers=(os.cpu_count() or 1) + 1)),
        persist_result=False,
    )(run_stage)
    return cast("Flow[Params, Result]", stage_flow)


def end_with_runner() -> None:
    """In a process that a runner of the Prefect UI started, end this process when the runner dies.

    Prefect gives such a process a session of its own, so it outlives its runner. Alone it would do no good: its server
    is gone as well, and it would hold the loop's lock until it noticed.
    """
    if "PREFECT__FLOW_RUN_ID" in os.environ and runtime.flow_run.parent_flow_run_id is None:
        threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def step(name: str, run_as: str | None = None) -> Callable[[Callable[Params, Result]], Task[Params, Result]]:
    """Make a task with a name in plain words, `run_as` as the name of its run.

    Its inputs are never hashed: caches are keyed by the data version alone.
    """
    return task(name=name, task_run_name=run_as or name, cache_policy=NO_CACHE, persist_result=False)


def flow_run_id() -> str:
    return str(runtime.flow_run.id or "")


def problem_and_registry() -> tuple[Problem, Registry]:
    """Return the problem that params.yaml describes, and its registry in MLflow."""
    current = problem.load()
    return current, Registry(current.name, current.here)


@contextmanager
def attended() -> Iterator[None]:
    """Run flows in the process of a command, without heartbeats, and send all logs before the server stops.

    Each flow run would wait up to a second for its heartbeat to end; the next command closes a killed run
    (flows/runs/orphans.py). Queued logs and events are sent at the end of the block: a server that stopped before that
    left the process hanging for 75 s.
    """
    try:
        with temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield
    finally:
        for worker in (EventsWorker, APILogWorker):
            worker.drain_all(timeout=10)


def say(sentence: str) -> None:
    """Log a sentence in the run's log in Prefect, and on the terminal where one is attached (terminal.py)."""
    get_run_logger().info(sentence)


def log_quietly(sentence: str, level: int = logging.INFO) -> None:
    """Log a sentence in the run's log alone, where the terminal shows it in another form."""
    get_run_logger().log(level, sentence, extra={LOG_ONLY: True})
