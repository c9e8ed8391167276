"""The contract of a kind of problem: all that the rest of the project knows of what a row, an answer and a metric are.

A folder `ratchet/tasks/<kind>/` is a kind. Its `__init__.py` has three names:

    NAME         value of `task` in params.yaml
    SUMMARY      one sentence
    ABILITIES    which optional parts of the loop it has

and six modules: `columns` with a class `Columns`; and `rows`, `judging`, `answers`, `wire` and `signals`, each a
Protocol below. None imports Prefect, MLflow or Great Expectations; only `rows` imports polars, and none imports pandas.

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
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import polars as pl

    from ratchet.judging.metrics import Metric, Scores
    from ratchet.judging.pictures import Grid, Lines
    from ratchet.judging.slices import Masks

Floats = NDArray[np.float64]
Truth = NDArray[np.int64] | NDArray[np.float64]
"""The targets of n rows as numbers, shape (n,): indices of classes, or the numbers themselves."""
Labels = tuple[str, ...]
"""Names of a model's output columns, in their order."""

ColumnType = Literal["string", "double"]
"""A column's type, by its name in MLflow's signature."""

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

    A field's `description` is its comment in a new params.yaml.

    Attributes:
        UNIT: what an input is called in a sentence, e.g. `text`; its plural takes an s.
        CHOICES: fields that a person sets in params.yaml, which a next table does not change.
        label: column that the model predicts.
        group: column whose values are never split between train and holdout; None for no groups.
        slices: columns by whose values the scorecard is broken down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    UNIT: ClassVar[str] = "input"
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


class RowsFace(Protocol):
    """What a row of a table is: `ratchet/tasks/<kind>/rows.py`. Frames are polars'.

    The cache of prepared rows is keyed by the source of that one file, so what makes an input or a fact stands in it.
    """

    HAS_CLASSES: bool
    """Whether the target is one of few classes, whose numbers of rows are facts and have rules."""
    REASONS: Mapping[str, str]
    """The facts of `facts` that set a row aside -> the reason; the first that holds is given. Before them come
    `missing_text` (no input) and `missing_label`, which every kind has; a kind may word their reasons."""
    RULES: Sequence[RowRule]
    """The checks of raw rows by these facts, besides those of every kind (expectations/raw.py)."""

    def inputs(self, table: pl.DataFrame, data: Any) -> pl.Series:
        """The inputs of an owner's table, which has all of `data.inputs`; null for a row without one."""
        ...

    def owned(self, inputs: pl.Series, data: Any) -> pl.DataFrame:
        """Inputs under the owner's column names, so that rows that are set aside can be mended: undoes `inputs`."""
        ...

    def facts(self) -> Sequence[pl.Expr]:
        """Facts of a row, each expression named; Boolean ones are never null.

        They are made of the row's columns `text`, `label` and `_key` (the text in the form in which inputs are
        compared); those of REASONS of `text` and `label` alone.
        """
        ...

    def guess(self, table: pl.DataFrame, source: str, named: Mapping[str, str]) -> Data:
        """The columns that are known, and a guess for the others.

        Args:
            table: all columns of type String.
            source: what the person typed as SOURCE, for the command in a refusal.
            named: what the person typed as TEXT, LABEL and GROUP, by `text`, `label` and `group`; and those columns of
                the last version that the table still has, by the keys of `Data.named`, where nothing was typed.

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

    def usual_metric(self, targets: pl.Series) -> str:
        """The metric that suits the targets of the valid rows, for a new params.yaml."""
        ...

    def misfit(self, data: Any, metric: str | None, targets: Iterable[str | None]) -> tuple[str, str, str] | None:
        """Why params.yaml does not fit the targets: rule, what was received, what to do; None where it fits.

        Args:
            metric: the metric that decides; None for a table that is only about to come, whose columns alone must fit.
        """
        ...


class JudgingFace(Protocol):
    """How outputs are held against the truth: `ratchet/tasks/<kind>/judging.py`. Pure; numpy alone."""

    METRICS: Mapping[str, Metric]
    """What `evaluate.metric` may name; the first is the default."""
    FIGURES: Mapping[str, str]
    """The figures of a scorecard, in their order: names in MLflow -> words. The metrics are among them."""
    COMPARED: Sequence[str]
    """The metrics by which candidates are shown, besides the one that decides."""
    BASELINE: str
    """What the baseline does, as part of a sentence: `always giving the most frequent class`."""

    def labels(self, targets: Iterable[str]) -> Labels:
        """The names of the output columns of a model of rows with these distinct targets."""
        ...

    def listed(self, labels: Labels) -> str:
        """What a model with these outputs may answer, as part of a sentence of the model card: `` `bad`, `good` ``."""
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
        """The figures that get an interval, each as a metric; the metrics are among them."""
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
        """Named parts of the holdout by its inputs, as masks; those of few rows are left out by the caller."""
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
    SOUND: str
    """What it must give for them, as part of a sentence: `odd texts with probabilities that sum to 1`."""
    ONE_COLUMN: bool
    """Whether a data frame of inputs has one column, of strings. Otherwise it has columns of any names and types, which
    MLflow's signature leaves open."""

    def read_record(self, record: Mapping[str, Any]) -> str:
        """The input of a row of a data frame, by its columns; None is a missing value, and may stand for an empty one.

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
        """Why the outputs for ODD are none that may go live, as what was received; empty where they are sound."""
        ...

    def answers(self, outputs: Floats, labels: Labels) -> tuple[list[str], list[float]]:
        """The answer to each input, and the confidence in it: from 0 to 1; 0 where the kind states none."""
        ...

    def columns(self, labels: Labels) -> Sequence[tuple[str, ColumnType]]:
        """The columns of a table of answers, each with its type in MLflow's signature."""
        ...

    def table(self, outputs: Floats, labels: Labels) -> dict[str, Any]:
        """A table of answers by the names of `columns`, in their order: lists or arrays with one entry an input."""
        ...

    def outputs(self, table: Mapping[str, Any], labels: Labels) -> Floats:
        """The outputs that such a table was made of, shape (n, k), in the order of these labels: undoes `table`.

        The model may have had other labels: an output that it lacks is 0.
        """
        ...


class WireFace(Protocol):
    """The bodies of /predict and /feedback: `ratchet/tasks/<kind>/wire.py`. msgspec; the service imports it."""

    Question: type
    """The body of /predict, a Struct; its field `key` identifies the caller for the canary."""
    Prediction: type
    """The answer to one input, a Struct with the field `id`."""
    Correction: type
    """The body of /feedback, a Struct with the fields `id` and `label`."""

    def read_question(self, question: Any) -> list[str]:
        """The inputs of a decoded Question.

        Raises:
            ValueError: one is no input; the message is a sentence for the caller.
        """
        ...

    def read_label(self, value: Any, labels: Labels) -> str:
        """The target that a correction gives, or that a person typed on a page.

        Raises:
            ValueError: no model with these outputs can give it; the message is a sentence for the caller.
        """
        ...

    def prediction(self, name: str, answer: str, confidence: float, row: Sequence[float], labels: Labels) -> Any:
        """The Prediction of one input; `name` is its id, `row` are its outputs."""
        ...

    def choices(self, labels: Labels) -> Sequence[str]:
        """The targets among which a person chooses; none where a person types the target."""
        ...


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


class SignalsFace(Protocol):
    """What drift compares: `ratchet/tasks/<kind>/signals.py`.

    Both functions get at least one row, and give the same signals for any rows.
    """

    HAS_TEXTS: bool
    """Whether an input is a text: then its words are compared too, and the log can redact it."""

    def of_answers(self, answered: Answered) -> Sequence[Signal]:
        """The signals of answers; classes are also compared with the first answers since the version went live."""
        ...

    def of_inputs(self, inputs: Sequence[str]) -> Sequence[Signal]:
        """The signals of inputs besides their words, compared where the log keeps them."""
        ...
