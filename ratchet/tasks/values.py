"""The values that a kind of problem and the rest of the project exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from ratchet.judging.metrics import Floats
    from ratchet.judging.pictures import Grid, Lines

Labels = tuple[str, ...]
"""Names of a model's output columns, in their order."""

ColumnType = Literal["string", "double"]
"""A column's type, by its name in MLflow's signature."""


class Data(BaseModel):
    """The section `data` of params.yaml; a kind's `Columns` adds the columns of its input.

    A field's `description` is its comment in a new params.yaml.

    Attributes:
        UNIT: what an input is called in a sentence, e.g. `text`; its plural takes an s.
        CHOICES: fields that a person sets in params.yaml, which a next table does not change.
        label: column that the model predicts.
        group: column whose values are never split between train and holdout; None for no groups.
        slices: columns by whose values the scorecard is broken down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    UNIT: ClassVar[str] = "row"
    CHOICES: ClassVar[tuple[str, ...]] = ("slices",)

    label: str = Field(min_length=1, description="the column to predict")
    group: str | None = Field(default=None, description="rows of one group never straddle train and holdout")
    slices: tuple[str, ...] = Field(default=(), description="scored apart in every scorecard")

    @property
    def inputs(self) -> tuple[str, ...]:
        """The owner's columns that make an input."""
        raise NotImplementedError

    @property
    def question(self) -> str:
        """What the problem asks, e.g. `which verdict does a quote have`; without a question mark."""
        raise NotImplementedError

    @property
    def marked_question(self) -> str:
        """The question in Markdown, with the columns between backticks."""
        return self.question

    @property
    def columns(self) -> tuple[str, ...]:
        """All of the owner's columns that the problem uses, each once."""
        group = (self.group,) if self.group else ()
        return tuple(dict.fromkeys((*self.inputs, self.label, *group, *self.slices)))

    def named(self) -> dict[str, str]:
        """The owner's columns of inputs, label and group, by where they stand below `data` in params.yaml.

        A key is `text`, or `numbers[0]` for the first of a list.
        """
        fields = type(self).model_fields
        own = [key for key in fields if key not in Data.model_fields and key not in self.CHOICES]
        names: dict[str, str] = {}
        for key in (*own, "label", "group"):
            value = getattr(self, key)
            columns = (
                {f"{key}[{at}]": name for at, name in enumerate(value)} if isinstance(value, tuple) else {key: value}
            )
            names |= {key: name for key, name in columns.items() if name}
        return names

    def roles(self) -> dict[str, str | None]:
        """The columns by their role, as the ledger keeps them of each data version."""
        raise NotImplementedError

    @classmethod
    def of_roles(cls, roles: Mapping[str, str | None]) -> Data | None:
        """The columns of an earlier data version; None where the ledger's roles are of another kind."""
        raise NotImplementedError


@dataclass(frozen=True)
class RowRule:
    """A check of raw rows: a Boolean fact that must not hold.

    Attributes:
        fact: name of the fact, one of those of `RowsFace.facts`.
        sentence: the rule for a person.
        action: what follows from a row that breaks it.
        allowed: share of the rows that may break it before the rule fails. A rule that sets rows aside needs none: for
            all of those one limit holds (expectations/rules.py).
    """

    fact: str
    sentence: str
    action: Literal["refuse", "set aside", "flag"]
    allowed: float = 0.0


@dataclass(frozen=True)
class Figure:
    """A finding about a model's outputs on the holdout, for the model card, the artifacts and the run's pictures.

    Attributes:
        key: name of the picture and of the artifact, e.g. `confusion-matrix`.
        title: its heading in the model card, e.g. `Mistakes`.
        sentence: the finding.
        data: what is drawn (ratchet/judging/pictures.py); None for no picture.
    """

    key: str
    title: str
    sentence: str
    data: Grid | Lines | None = None


@dataclass(frozen=True)
class Answered:
    """Answers as columns, one entry a row: what the log keeps of each even where it keeps no input.

    Attributes:
        characters: length of each input.
        answers: the answers.
        confidences: the confidence in each; 0 where the kind states none.
    """

    characters: Floats
    answers: NDArray[np.str_]
    confidences: Floats

    def __len__(self) -> int:
        return len(self.answers)


@dataclass(frozen=True)
class Signal:
    """A quantity whose distribution drift compares.

    Attributes:
        what: what it is, in words: `text length`.
        values: numbers or classes, one a row.
        median: format of the median of numbers.
    """

    what: str
    values: Floats | NDArray[np.str_]
    median: str = ".3g"
