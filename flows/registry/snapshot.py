"""What the registry holds of a problem, as plain values: versions, who holds an alias, where a version comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
STATE, TURN, BUILD = "state", "turn", "build"
"""Tags: which state folder a run was made from, on every run; the turn of the loop that a version was made in; the
number of the build, on a build's run, its candidates' and a version."""
EVIDENCE = "evaluation.json"
"""The artifact of a judged version's run that holds what its decision stands on."""
CORRECTED = "holdout_corrected"
"""The tag of a version that says its deciding figure less its luck."""
NOTE, PARENT = "mlflow.note.content", "mlflow.parentRunId"
"""MLflow's own tags: the description of a run or an experiment; the run that a run belongs to."""


class Standing(StrEnum):
    """What was decided on a version: its tag `decision`.

    A version begins as UNJUDGED. *Evaluate* makes it PROMOTE, KEPT_OUT or REFUSED, and may do so again. A trial on
    live traffic may make a version that was to be promoted SENT_BACK.
    """

    UNJUDGED = "waiting for evaluate"
    PROMOTE = "promote"
    KEPT_OUT = "kept champion"
    REFUSED = "refused"
    SENT_BACK = "refused on live traffic"

    @property
    def words(self) -> str:
        """What it means for the version, e.g. `promoted`."""
        return {Standing.PROMOTE: "promoted", Standing.KEPT_OUT: "not promoted"}.get(self, self.value)


JUDGED = frozenset({Standing.PROMOTE, Standing.KEPT_OUT, Standing.REFUSED})
NEXT: Mapping[Standing, frozenset[Standing]] = {
    Standing.UNJUDGED: JUDGED,
    Standing.PROMOTE: JUDGED | {Standing.SENT_BACK},
    Standing.KEPT_OUT: JUDGED,
    Standing.REFUSED: JUDGED,
    Standing.SENT_BACK: JUDGED,
}
"""What each standing may become."""


class Approval(StrEnum):
    """Whether a person has let a version through: its tag `approval`, which only versions that have to wait have."""

    WAITS = "waits for approval"
    GIVEN = "given"


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
    def standing(self) -> Standing:
        """What was decided on it; UNJUDGED where a person wrote something else into the tag."""
        found = self.tags.get("decision", "")
        return Standing(found) if found in set(Standing) else Standing.UNJUDGED

    @property
    def awaits_approval(self) -> bool:
        """Whether it passed the gate and waits for a person."""
        return self.standing is Standing.PROMOTE and self.tags.get("approval") == Approval.WAITS

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
