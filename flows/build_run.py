"""A build under way: what every part of it needs to know, and what it writes on every run that it makes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.pages import registry_pages
from flows.registry.registry import Registry
from flows.registry.snapshot import BUILD, TURN
from flows.runs.stage import flow_run_id
from ratchet.data.prepare.rows import Ready
from ratchet.data.versions import git
from ratchet.project.problem import Problem
from ratchet.state import ledger
from ratchet.state.turn import cause


@dataclass(frozen=True)
class Round:
    """run_id: the build's own MLflow run, whose candidates are its children. trigger: what set the build off.

    folder: where candidates are trained, named by all that they are made from. number: of the build, from 1.
    """

    problem: Problem
    registry: Registry
    trigger: str
    run_id: str
    tags: Mapping[str, str]
    folder: Path
    number: int

    def log_data(self, run_id: str, ready: Ready) -> None:
        """The data version as the dataset of a run."""
        data, pin = self.problem.settings.data, self.problem.pin
        self.registry.log_data(run_id, pin.version, pin.source, {"text": data.text, "label": data.label}, len(ready))


@contextmanager
def open_round(problem: Problem, registry: Registry, trigger: str, turn: str | None = None) -> Iterator[Round]:
    """A build is under way while the block runs; its MLflow run fails where the block does.

    What was trained is kept for the next build with the same cause until one ends well.
    """
    folder = problem.here.work / f"build-{cause(problem.here)[:16]}"
    registry.experiment(registry_pages.experiment(problem, registry.champion()))
    number = registry.next_build()
    tags = {
        "data_version": problem.pin.version,
        "git_commit": git.code_version(problem.here),
        "trigger": trigger,
        "prefect_flow_run_id": flow_run_id(),
        "lineage": problem.lineage,
        BUILD: str(number),
    } | ({TURN: turn} if turn else {})
    with registry.run(
        f"{number:03} build {problem.pin.short}", tags | shown(trigger) | {"model": "all candidates"}
    ) as run_id:
        yield Round(problem, registry, trigger, run_id, tags, folder, number)
    shutil.rmtree(folder, ignore_errors=True)


def shown(trigger: str) -> dict[str, str]:
    """Tags that MLflow shows as who made a run, and from what."""
    return {"mlflow.user": ledger.person(), "mlflow.source.name": trigger}
