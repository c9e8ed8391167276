"""The current problem: params.yaml and data.dvc enter, a Problem leaves."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from ratchet.problem import data_pin, settings
from ratchet.problem.data_pin import SplitSpec
from ratchet.problem.settings import Settings
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places, places
from ratchet.tasks import Task


@dataclass(frozen=True)
class Problem:
    """What a stage needs to know before it starts; read once and passed on.

    Attributes:
        here: paths and addresses of the project.
        settings: of params.yaml.
        pin: the pinned data version.
    """

    here: Places
    settings: Settings
    pin: data_pin.Pin

    @property
    def name(self) -> str:
        return self.settings.problem

    @property
    def task(self) -> Task:
        """The kind of problem."""
        return self.settings.kind

    @property
    def split(self) -> SplitSpec:
        """How the pinned data is split; part of the data version.

        Raises:
            Refusal: data/ holds no readable split.json.
        """
        path = self.here.data / data_pin.SPLIT
        try:
            return SplitSpec.from_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError, KeyError, json.JSONDecodeError) as error:
            raise Refusal("data/split.json says how rows are split.", str(error), "Fetch it: make data") from None

    @property
    def lineage(self) -> str:
        """Digest of split and group column: versions of one lineage share holdout rows, so they can be compared."""
        grouped_by = self.settings.data.group or ""
        return hashlib.sha256(f"{self.split.to_json()}\n{grouped_by}".encode()).hexdigest()[:12]


def load() -> Problem:
    """The problem that params.yaml and data.dvc describe.

    Raises:
        Refusal: one of the two is missing or damaged.
    """
    here = places()
    return Problem(here, settings.load(here.params), data_pin.pinned(here))
