"""The contract of a kind of problem: all that the rest of the project knows of what a row, an answer and a metric are.

A folder `ratchet/tasks/<kind>/` is a kind. Its `__init__.py` has three names:

    NAME         value of `task` in params.yaml
    SUMMARY      one sentence
    ABILITIES    which optional parts of the loop it has

and six modules: `columns` with a class `Columns`; and `rows`, `judging`, `answers`, `wire` and `signals`, each a Protocol
below. None imports Prefect, MLflow or Great Expectations; only `rows` imports polars, and none imports pandas.

Every kind speaks of the same four things:

    input    one string a row, in the column `text`: a text itself, or a row of several columns as JSON. So the split,
             the log, the queue of labels and the feedback hold any kind. Two inputs are the same where their strings
             are, but for case and white space.
    target   the right answer to an input, one string, in the column `label`.
    outputs  what a model gives for n inputs: an array of shape (n, k), float64. The k columns have names, `labels`.
    answer   what a caller gets for an input: one string, and the model's confidence in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from random import Random

    import polars as pl

    from models.text.explanation import Explanation
    from ratchet.judging.metrics import Metric, Scores
    from ratchet.judging.slices import Masks

Floats = NDArray[np.float64]
Truth = NDArray[np.int64] | NDArray[np.float64]
"""The targets of n rows as numbers, shape (n,): indices of classes, or the numbers themselves."""
Labels = tuple[str, ...]
"""Names of a model's output columns, in their order."""

Ability = Literal["feedback", "must", "right_or_wrong", "confidence", "explanation"]
"""An optional part of the loop.

- feedback: people may correct answers, and the corrections are learned.
- must: data/must.csv may demand answers.
- right_or_wrong: an answer is right or wrong, so there is an accuracy on live traffic, and a canary by it.
- confidence: an answer has a probability, by which doubtful inputs are chosen to be labelled, implausible corrections
  are counted, and the accuracy is estimated without labels.
- explanation: the words of an input that moved the answer can be told (models/text/explanation.py).
"""


class Data(BaseModel):
    """The section `data` of params.yaml; a kind's `Columns` adds the columns of its input.

    Attributes:
        label: column that the model predicts.
        group: column whose values are never split between train and holdout; None for no groups.
        slices: columns by whose values the scorecard is broken down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str = Field(min_length=1)
    group: str | None = None
    slices: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The owner's columns that make an input."""
        raise NotImplementedError

    @property
    def question(self) -> str:
        """What the problem asks, e.g. `which verdict does a quote have`; without a question mark."""
        raise NotImplementedError

    @property
    def columns(self) -> tuple[str, ...]:
        """All of the owner's columns that the problem uses, each once."""
        group = (self.group,) if self.group else ()
        return tuple(dict.fromkeys((*self.inputs, self.label, *group, *self.slices)))

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
        allowed: share of the rows that may break it before the rule fails.
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
        data: what is drawn, one of the classes that flows/pages/charts.py knows; None for no picture.
    """

    key: str
    title: str
    sentence: str
    data: Any = None


class RowsFace(Protocol):
    """What a row of a table is: `ratchet/tasks/<kind>/rows.py`. Frames are polars'."""

    HAS_CLASSES: bool
    """Whether the target is one of few classes, whose numbers of rows are facts and have rules."""
    REASONS: Mapping[str, str]
    """The facts of `facts` that set a row aside -> the reason; the first that holds is given."""
    RULES: Sequence[RowRule]
    """The checks of raw rows by these facts, besides those of every kind (expectations/raw.py)."""

    def inputs(self, table: pl.DataFrame, data: Any) -> pl.Series:
        """The inputs of an owner's table, which has all of `data.columns`; null for a row without one."""
        ...

    def owned(self, inputs: pl.Series, data: Any) -> pl.DataFrame:
        """Inputs under the owner's column names, so that rows that are set aside can be mended: undoes `inputs`."""
        ...

    def facts(self) -> Sequence[pl.Expr]:
        """Facts of a row by its columns `text` and `label` alone, each expression named; Boolean ones are never null.

        One is called `characters`: the length of the input.
        """
        ...

    def guess(self, table: pl.DataFrame, source: str, named: Mapping[str, str]) -> Data:
        """The columns that a person named, and a guess for the others.

        Args:
            table: all columns of type String.
            source: what the person typed as SOURCE, for the command in a refusal.
            named: by role (`text`, `label`, `group`), those that were typed.

        Raises:
            Refusal: the table lacks a named column, or there is not exactly one candidate for another.
        """
        ...

    def clean(self, frame: pl.DataFrame, data: Any, command: str, merge: bool) -> tuple[pl.DataFrame, list[str]]:
        """The owner's rows with targets in one spelling, and lines that say what was done.

        Args:
            command: the command that merges spellings, for the refusal.
            merge: whether spellings may be merged.

        Raises:
            Refusal: a target has several spellings, and `merge` is False.
        """
        ...

    def preview(self, frame: pl.DataFrame, data: Any) -> list[str]:
        """Lines about the owner's inputs and targets, before anything is pinned."""
        ...

    def params(self, data: Any, targets: pl.Series) -> tuple[list[str], str]:
        """The lines below `data:` of a new params.yaml, and the metric that suits the targets of the valid rows."""
        ...

    def misfit(self, data: Any, metric: str, targets: Iterable[str | None]) -> tuple[str, str, str] | None:
        """Why params.yaml does not fit the targets: rule, what was received, what to do; None where it fits."""
        ...


class JudgingFace(Protocol):
    """How outputs are held against the truth: `ratchet/tasks/<kind>/judging.py`. Pure; numpy."""

    METRICS: Mapping[str, Metric]
    """What `evaluate.metric` may name; the first is the default."""
    FIGURES: Mapping[str, str]
    """The figures of a scorecard, in their order: names in MLflow -> words. The metrics are among them."""
    BASELINE: str
    """What the baseline does, as part of a sentence: `always giving the most frequent class`."""
    BASELINE_MODEL: str
    """The model in models/ that does the same."""

    def labels(self, targets: Iterable[str]) -> Labels:
        """The names of the output columns of a model of rows with these distinct targets."""
        ...

    def truth(self, targets: Sequence[str], labels: Labels) -> Truth:
        """The targets as numbers.

        Raises:
            ValueError: a target is none that a model with these outputs can give.
        """
        ...

    def metric(self, name: str, labels: Labels, data: Any) -> Metric:
        """A metric, as it is for these outputs and this section `data`."""
        ...

    def intervals(self, labels: Labels, data: Any) -> Sequence[Metric]:
        """The figures that get an interval, each as a metric."""
        ...

    def score(self, truth: Truth, outputs: Floats, labels: Labels, data: Any) -> Scores:
        """All figures of outputs.

        Raises:
            ValueError: there is no row, the shape does not fit, or an output is not a number.
        """
        ...

    def baseline(self, counts: Mapping[str, int], labels: Labels) -> Floats:
        """The baseline's output for any input, shape (k,), from the number of training rows of each target."""
        ...

    def slices(self, inputs: pl.Series) -> Masks:
        """Named parts of the holdout by its inputs, as masks."""
        ...

    def findings(self, truth: Truth, outputs: Floats, labels: Labels, champion: Floats | None) -> Sequence[Figure]:
        """Findings about outputs on the holdout, beside the champion's on the same rows where there are any."""
        ...

    def limits(self, truth: Truth, labels: Labels) -> Sequence[str]:
        """Sentences about what the holdout cannot measure, and what no model of this kind does."""
        ...

    def loss(self, answer: str, target: str) -> float:
        """How wrong an answer is; 0 for a right one. The canary and the audit compare answers by it."""
        ...


class AnswersFace(Protocol):
    """What a model takes and gives: `ratchet/tasks/<kind>/answers.py`. numpy alone: whoever answers imports it."""

    EXAMPLE: str
    """An input, made up: no row of anybody's table."""
    ODD: Sequence[str]
    """Inputs that every model must answer before it goes live."""
    ONE_COLUMN: bool
    """Whether a data frame of inputs has one column, of strings. Otherwise it has columns of any names and types, which
    MLflow's signature leaves open."""

    def read_record(self, record: Mapping[str, Any]) -> str:
        """The input of a row of a data frame, by its columns; a missing value may stand for an empty one.

        Raises:
            ValueError: a column is missing, or a value is of another type; the message is a sentence for the caller.
        """
        ...

    def read_value(self, value: Any) -> str:
        """The input that a single value stands for: a text itself, or the stored form of a row.

        Raises:
            ValueError: it is none; the message is a sentence for the caller.
        """
        ...

    def fault(self, outputs: Floats, labels: Labels) -> str:
        """Why outputs are none that may go live; empty where they are sound."""
        ...

    def answers(self, outputs: Floats, labels: Labels) -> tuple[list[str], list[float]]:
        """The answer to each input, and the confidence in it: from 0 to 1; 0 where the kind states none."""
        ...

    def columns(self, labels: Labels) -> Sequence[tuple[str, Literal["string", "double"]]]:
        """The columns of a table of answers, each with its type in MLflow's signature; the first is the answer."""
        ...

    def table(self, outputs: Floats, labels: Labels) -> dict[str, Any]:
        """A table of answers by the names of `columns`: lists or arrays with one entry an input."""
        ...


class WireFace(Protocol):
    """What callers of the service send and get: `ratchet/tasks/<kind>/wire.py`. msgspec; the service imports it.

    A kind that needs no other may take `Invocation` and `Lines` from ratchet/tasks/bodies.py.
    """

    UNIT: str
    """What an input is called, for messages and pages: `text`. It begins with a consonant; its plural ends in s."""
    SUMMARY: str
    """What the model does, as a phrase without a full stop: `Classify texts`."""
    TABLE: str
    """The columns of `AnswersFace.table`, as part of a sentence."""
    EXAMPLES: Sequence[str]
    """Two inputs, made up, for the commands of the documentation."""
    Question: type
    """The body of /predict, a Struct; its field `key` identifies the caller for the canary."""
    Prediction: type
    """The answer to one input, a Struct with the field `id`; `label` is its answer where one is right or wrong."""
    Correction: type
    """The body of /feedback, a Struct with the fields `id` and `label`."""
    Invocation: type
    """The body of /invocations, a Struct with the fields of `bodies.Invocation`."""
    Lines: Any
    """The type of a CSV for /invocations: a string with a description."""

    def question(self, inputs: Sequence[str]) -> Any:
        """The body of /predict that asks about these inputs, as JSON has it: a dict."""
        ...

    def read_question(self, question: Any) -> list[str]:
        """The inputs of a decoded Question.

        Raises:
            ValueError: one is no input; the message is a sentence for the caller.
        """
        ...

    def record(self, stored: str) -> dict[str, Any]:
        """The row of a data frame that an input stands for: undoes `AnswersFace.read_record`."""
        ...

    def columns(self, names: Sequence[Any]) -> Sequence[str]:
        """Those columns of a data frame that `AnswersFace.read_record` reads.

        Raises:
            ValueError: one is missing; the message is a sentence for the caller.
        """
        ...

    def prediction(self, name: str, answer: str, confidence: float, row: Sequence[float], labels: Labels) -> Any:
        """The Prediction of one input; `name` is its id, `row` are its outputs."""
        ...

    def explain(self, prediction: Any, text: str, found: Explanation) -> None:
        """Complete a Prediction with the words that moved it; called for kinds with the ability `explanation` alone."""
        ...

    def choices(self, labels: Labels) -> Sequence[str]:
        """The targets among which a person chooses; none where a person types the target."""
        ...

    def read_label(self, value: Any, labels: Labels) -> str:
        """The target that a Correction gives, or that a person typed on a page.

        Raises:
            ValueError: no model with these outputs can give it; the message is a sentence for the caller.
        """
        ...

    def correction(self, name: str, target: str) -> Any:
        """The body of /feedback that gives a target for the prediction with the id `name`, as JSON has it: a dict."""
        ...

    def example(self, name: str, labels: Labels) -> tuple[Any, str]:
        """A Prediction of the first example, made up, and its right target.

        `labels` is empty where nothing is live.
        """
        ...

    def made_up(self, inputs: Sequence[str], chance: Random) -> str:
        """A new input, whose target is that of all of these."""
        ...


class SignalsFace(Protocol):
    """What drift compares: `ratchet/tasks/<kind>/signals.py`."""

    HAS_TEXTS: bool
    """Whether the words of inputs are compared too."""

    def numbers(self, inputs: Sequence[str], answers: Sequence[str], confidences: Floats) -> Mapping[str, Floats]:
        """Numbers of each row by what they are, in words: `text length`."""
        ...

    def classes(self, answers: Sequence[str]) -> Mapping[str, NDArray[np.str_]]:
        """Classes of each row by what they are, in words: `predicted label`."""
        ...
