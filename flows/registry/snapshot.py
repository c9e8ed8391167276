"""What the registry holds of a problem, as plain values: versions, aliases, and the runs that versions came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
STATE, TURN, BUILD = "state", "turn", "build"
"""Names of tags.

STATE: on every run, the state folder that it was made from.
TURN: on a version, the turn of the loop that it was made in.
BUILD: on a build's run, its candidates' runs and a version, the number of the build.
"""
EVIDENCE = "evaluation.json"
"""The artifact with the evidence of a decision, on the run of the judged version."""
CORRECTED = "holdout_corrected"
"""The tag of a version with its deciding figure corrected for selection bias."""
DETAILS = "details"
"""The tag of a version with those tags that only this project reads, as one JSON object. MLflow's table of versions
shows every tag of every version, so they would fill it; a run has each as a tag of its own."""
IN_DETAILS = frozenset({
    BUILD, TURN, CORRECTED, "lineage", "decided_against", "gate", "holdout", "predictions_digest",
})  # fmt: skip
NOTE, PARENT = "mlflow.note.content", "mlflow.parentRunId"
"""MLflow's own tags: the description of a run or an experiment; the id of a run's parent."""


class Standing(StrEnum):
    """The decision on a version: its tag `decision`.

    A version begins as UNJUDGED. *Evaluate* makes it PROMOTE, KEPT_OUT or REFUSED, and may do so again. A canary may
    turn PROMOTE into SENT_BACK.
    """

    UNJUDGED = "waiting for evaluate"
    PROMOTE = "promote"
    KEPT_OUT = "kept champion"
    REFUSED = "refused"
    SENT_BACK = "refused on live traffic"

    @property
    def words(self) -> str:
        """The standing as the pages show it, e.g. `promoted`."""
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
    """The state of a person's approval: the tag `approval`, which only versions that have to wait have."""

    WAITS = "waits for approval"
    GIVEN = "given"


@dataclass(frozen=True)
class Version:
    """A version of the problem's registered model, as the registry shows it; `tags` has the details as tags."""

    problem: str
    number: int
    run_id: str
    tags: Mapping[str, str]
    description: str
    created: float

    @classmethod
    def of(cls, entity: Any) -> Version:
        """Make one from MLflow's own ModelVersion."""
        return cls(
            entity.name,
            int(entity.version),
            entity.run_id,
            unpacked(entity.tags),
            entity.description or "",
            entity.creation_timestamp / 1000,
        )

    @property
    def model(self) -> str:
        return self.tags.get("model", "unknown")

    @property
    def standing(self) -> Standing:
        """The decision on this version; UNJUDGED where a person wrote something else into the tag."""
        tag = self.tags.get("decision", "")
        return Standing(tag) if tag in set(Standing) else Standing.UNJUDGED

    @property
    def awaits_approval(self) -> bool:
        """Whether the version passed the gate and waits for a person."""
        return self.standing is Standing.PROMOTE and self.tags.get("approval") == Approval.WAITS

    @property
    def uri(self) -> str:
        return f"models:/{self.problem}/{self.number}"


def packed(tags: Mapping[str, str], earlier: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return tags as MLflow is to keep them: the details as one tag, before the others.

    Args:
        tags: The tags to write. Without a detail among them that tag is not written.
        earlier: The version's tags so far, as `unpacked` returns them, whose details stay.
    """
    rest = {name: value for name, value in tags.items() if name not in IN_DETAILS}
    if len(rest) == len(tags):
        return rest
    details = {name: value for name, value in {**(earlier or {}), **tags}.items() if name in IN_DETAILS}
    return {DETAILS: json.dumps(details, ensure_ascii=False, sort_keys=True), **rest}


def unpacked(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a version in MLflow with its details as tags.

    A detail that has a tag of its own, as in earlier versions or by hand, is as that tag says.
    """
    try:
        found = json.loads(tags.get(DETAILS, "{}"))
        details = {name: value for name, value in found.items() if name in IN_DETAILS and isinstance(value, str)}
    except (ValueError, AttributeError, RecursionError):  # written by hand
        details = {}
    return details | {name: value for name, value in tags.items() if name != DETAILS}


@dataclass(frozen=True)
class Origin:
    """The run that a version was made in.

    Attributes:
        metrics: The run's metrics.
        parent: The id of the build's run; empty where there is none.
        experiment: The id of the run's experiment.
    """

    metrics: Mapping[str, float]
    parent: str
    experiment: str


@dataclass(frozen=True)
class RegistrySnapshot:
    """All versions and aliases of a problem at one moment.

    Attributes:
        versions: Newest first.
        aliases: The number of the version that each alias points to.
        experiment: The id of the problem's experiment.
    """

    versions: tuple[Version, ...]
    aliases: Mapping[str, int]
    experiment: str


def number(version: Version | None) -> str:
    """Return a version's number as tags have it; `none` where there is no version."""
    return str(version.number) if version else "none"
