"""What the registry holds of a problem, as plain values: versions, who holds an alias, where a version comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
PROMOTE = "promote"
STATE, TURN, BUILD = "state", "turn", "build"
"""Tags: which state folder a run was made from, on every run; the turn of the loop that a version was made in; the
number of the build, on a build's run, its candidates' and a version."""
EVIDENCE = "evaluation.json"
"""The artifact of a judged version's run that holds what its decision stands on."""
CORRECTED = "holdout_corrected"
"""The tag of a version that says its deciding figure less its luck."""
NOTE, PARENT = "mlflow.note.content", "mlflow.parentRunId"
"""MLflow's own tags: the description of a run or an experiment; the run that a run belongs to."""


def fate(decision: str) -> str:
    """What a decision, as its verdict or its tag, means for the version that was judged: `promoted`, `not promoted`."""
    return {PROMOTE: "promoted", "kept champion": "not promoted"}.get(decision.lower(), decision.lower())


@dataclass(frozen=True)
class Version:
    """A version of the problem's registered model, as the registry shows it."""

    problem: str
    number: int
    run_id: str
    tags: Mapping[str, str]
    description: str
    created: float

    @classmethod
    def of(cls, entity: Any) -> Version:
        """From MLflow's own ModelVersion."""
        return cls(
            entity.name,
            int(entity.version),
            entity.run_id,
            dict(entity.tags),
            entity.description or "",
            entity.creation_timestamp / 1000,
        )

    @property
    def model(self) -> str:
        return self.tags.get("model", "unknown")

    @property
    def uri(self) -> str:
        return f"models:/{self.problem}/{self.number}"


@dataclass(frozen=True)
class Origin:
    """The run that a version was made in. parent: the build's run. experiment: its id."""

    metrics: Mapping[str, float]
    parent: str
    experiment: str


@dataclass(frozen=True)
class RegistrySnapshot:
    """All that the registry holds of a problem. versions: newest first. held: alias -> number of the version.

    experiment: the id of the problem's experiment.
    """

    versions: tuple[Version, ...]
    held: Mapping[str, int]
    experiment: str


def number(version: Version | None) -> str:
    """A version's number as a tag says it; `none` where there is no version."""
    return str(version.number) if version else "none"
