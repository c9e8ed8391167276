"""The section `data` of params.yaml for texts to classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from ratchet.tasks.values import Data


class Columns(Data):
    """The columns of a table of texts.

    Attributes:
        text: column that the model reads.
        positive: class of which precision, recall and F1 are computed; None for macro averages.
    """

    UNIT: ClassVar[str] = "text"
    CHOICES: ClassVar[tuple[str, ...]] = ("slices", "positive")

    text: str = Field(min_length=1, description="the column to read")
    positive: str | None = Field(default=None, description="the class that precision, recall and F1 speak of")

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.text,)

    @property
    def question(self) -> str:
        return f"which {self.label} does a {self.text} have"

    @property
    def marked_question(self) -> str:
        return f"which `{self.label}` does a `{self.text}` have"

    def roles(self) -> dict[str, str | None]:
        return {"text": self.text, "label": self.label, "group": self.group}

    @classmethod
    def of_roles(cls, roles: Mapping[str, str | None]) -> Columns | None:
        text, label = roles.get("text"), roles.get("label")
        return cls(text=text, label=label, group=roles.get("group")) if text and label else None
