"""What a model could be found to be, for the pages that tell it: versions, moves, scores, mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from flows.pages.model_card import Findings
from flows.registry.snapshot import Origin, RegistrySnapshot, Version
from ratchet.judging.gate import Decision
from ratchet.problem.data_pin import Pin
from ratchet.problem.problem import Problem
from ratchet.problem.settings import Settings
from ratchet.project.paths import Places
from ratchet.state.ledger import Move
from ratchet.tasks.classify_text import judging
from tests.support.project import SMALL

HERE = Places(Path("/p"), Path("/p/state"), "127.0.0.1", 4200, 5000, 8000)
PROBLEM = Problem(HERE, Settings.model_validate(yaml.safe_load(SMALL)), Pin("6291fb1b" + "0" * 24, 10, "table t.csv"))
LABELS = ("bad", "good")


def version(number: int, model: str = "linear", **tags: str) -> Version:
    return Version("reviews", number, f"run{number}", {"model": model, "data_version": "6291fb1b00", **tags}, "", 0.0)


def move(after: int, at: str, before: int | None = None) -> Move:
    return Move("reviews", "promoted", before, after, "tests", "why", at=f"2026-01-{at}:00+00:00")


def holdings(*versions: Version, **held: int) -> RegistrySnapshot:
    return RegistrySnapshot(tuple(versions), held, "1")


def findings(counts: list[list[int]], confidence: float = 0.8, **other: object) -> Findings:
    """What a model that made these mistakes would be found to be; as sure as told of every answer."""
    table = np.array(counts)
    true, taken = (np.repeat(place.ravel(), table.ravel()) for place in np.indices(table.shape))
    probabilities = np.full((len(true), len(table)), (1 - confidence) / (len(table) - 1))
    probabilities[np.arange(len(true)), taken] = confidence
    known: dict[str, object] = {
        "version": version(2, "lstm", prefect_flow_run_id="f1", git_commit="c" * 40, trigger="make run"),
        "decision": Decision(False, "Kept champion", "it is no better, so v1 stays.", -0.01, (-0.02, 0.0), ()),
        "scores": PROBLEM.task.judging.score(true, probabilities, LABELS, PROBLEM.settings.data),
        "intervals": {"accuracy": (0.7, 0.9)},
        "slices": {},
        "figures": judging.findings(true, probabilities, LABELS, None),
        "limits": judging.limits(true, LABELS),
        "seconds": 2.0,
        "against": version(1),
        "origin": Origin({"train_seconds": 3.25}, "parent", "1"),
        "digest": "d" * 64,
    }
    return Findings(**(known | other))  # type: ignore[arg-type]


class Prepared:
    """As much of prepared rows as a card asks for."""

    labels = LABELS

    def __len__(self) -> int:
        return 100

    def count(self, side: str) -> int:
        return {"train": 80, "validation": 10, "holdout": 10}[side]
