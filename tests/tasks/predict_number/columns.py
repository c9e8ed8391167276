"""The section `data` of params.yaml for numbers to a number."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import Field

from ratchet.tasks.values import Data


class Columns(Data):
    """The columns of a table of numbers. numbers: those that the model reads."""

    numbers: tuple[str, ...] = Field(min_length=1)

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.numbers

    @property
    def question(self) -> str:
        return f"which {self.label} goes with {' and '.join(self.numbers)}"

    def roles(self) -> dict[str, str | None]:
        return {"numbers": json.dumps(self.numbers), "label": self.label, "group": self.group}

    @classmethod
    def of_roles(cls, roles: Mapping[str, str | None]) -> Columns | None:
        numbers, label = roles.get("numbers"), roles.get("label")
        if not numbers or not label:
            return None
        return cls(numbers=tuple(json.loads(numbers)), label=label, group=roles.get("group"))
