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
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from random import Random

    import polars as pl

    from models.text.explanation import Explanation
    from ratchet.judging.metrics import Floats, Metric, Scores, Truth
    from ratchet.judging.slices import Masks
    from ratchet.tasks.values import Answered, ColumnType, Data, Figure, Labels, RowRule, Signal

Ability = Literal["feedback", "must", "right_or_wrong", "confidence", "explanation"]
"""An optional part of the loop.

- feedback: people may correct answers, and the corrections are learned.
- must: data/must.csv may demand answers.
- right_or_wrong: an answer is right or wrong, so there is an accuracy on live traffic, and a canary by it.
- confidence: an answer has a probability, by which doubtful inputs are chosen to be labelled, implausible corrections
  are counted, and the accuracy is estimated without labels.
- explanation: the words of an input that moved the answer can be told (models/text/explanation.py).
"""


class RowsFace(Protocol):
    """What a row of a table is: `ratchet/tasks/<kind>/rows.py`. Frames are polars'.

    The cache of prepared rows is keyed by the source of that one file, so what makes an input or a fact stands in it.
    """

    HAS_CLASSES: bool
    """Whether the target is one of few classes, whose numbers of rows are facts and have rules."""
    ONE_TARGET: bool
    """Whether an input has one right target: then inputs with several are left out. Otherwise, as among measurements,
    only rows with the same input and the same target are copies."""
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

        They are made of the row's columns `text`, `label` and `_key` (the form in which rows are compared); those of
        REASONS of `text` and `label` alone.
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
    """What callers of the service send and get: `ratchet/tasks/<kind>/wire.py`. msgspec; the service imports it.

    A kind that needs no other may take `Invocation` and `Lines` from ratchet/tasks/bodies.py.
    """

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
