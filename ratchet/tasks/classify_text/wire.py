"""The bodies of requests and answers for texts to classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from ratchet.tasks.bodies import Id, key_description
from ratchet.tasks.classify_text.answers import COLUMN, missing_column

if TYPE_CHECKING:
    from random import Random

    from models.text import explanation
    from ratchet.tasks.values import Labels

SUMMARY = "Classify texts"
TABLE = "`label`, `score`, and `p_<label>` for every class"
EXAMPLES = ("Thank you, this works very well.", "It broke after two days.")
MAX_NAMED = 20
"""Labels that a refusal names."""


class Question(Struct, forbid_unknown_fields=True):
    """Texts to be classified."""

    texts: Annotated[list[str], Meta(min_length=1, description="One or more texts, in any language.")]
    key: Annotated[str, Meta(max_length=1000, description=key_description("text"))] | None = None


class WordWeight(Struct):
    """What a word adds to the log-odds of the label against the second likeliest."""

    word: str
    start: Annotated[int, Meta(description="Position of the word's first code point in the text.")]
    end: Annotated[int, Meta(description="Position after the word's last code point.")]
    weight: float


class Explanation(Struct):
    """Which words moved the answer."""

    against: Annotated[str | None, Meta(description="The second likeliest label; null where there is only one label.")]
    method: Annotated[
        str, Meta(description="`exact` (the linear model's terms) or `occlusion` (each word left out in turn).")
    ]
    log_odds: Annotated[
        float,
        Meta(description="Of the label against `against`. An exact one is the sum of the weights and the bias."),
    ]
    bias: float | None
    words: list[WordWeight]
    left_out: Annotated[int, Meta(description="Words without a weight, because the text has too many.")]


class Prediction(Struct, omit_defaults=True):
    """The answer to one text."""

    id: Annotated[str, Meta(description="For /feedback.")]
    label: str
    score: Annotated[float, Meta(description="The probability of the label.")]
    probabilities: dict[str, float]
    explanation: Explanation | None = None


class Correction(Struct, forbid_unknown_fields=True):
    """The right label of a text that was predicted earlier."""

    id: Id
    label: Annotated[str, Meta(max_length=1000)]


TEXT = {"type": ["string", "null"]}
"""The JSON schema of a text; a missing one is empty."""
CELL = {"anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 1}]}
RECORD = {"type": "object", "properties": {COLUMN: TEXT}, "required": [COLUMN]}
Record = Annotated[dict[str, Any], Meta(extra_json_schema=RECORD)]
Many = Annotated[list[Any], Meta(extra_json_schema={"items": {"anyOf": [*CELL["anyOf"], RECORD]}})]
Columns = Annotated[
    dict[str, Any],
    Meta(
        extra_json_schema={
            "properties": {COLUMN: {"anyOf": [TEXT, {"type": "array", "items": CELL}]}},
            "required": [COLUMN],
        }
    ),
]
Row = Annotated[list[Any], Meta(extra_json_schema={"items": TEXT, "minItems": 1, "maxItems": 1})]
Names = Annotated[list[Any], Meta(extra_json_schema={"enum": [[COLUMN], [0], []]})]
Lines = Annotated[
    str,
    Meta(
        description="A header with a column `text`, and a row a text. The pattern is that of a single column.",
        pattern=r'^text((\r\n|\r|\n)([^",\r\n][^,\r\n]*|"([^"]|"")*")?)*$',
    ),
]


class Split(Struct):
    """A frame in pandas' orientation `split`, with a column `text`, or one column without a name.

    There may be other columns, with a value in every row; the schema is that of a single one.
    """

    data: list[Row]
    columns: Names = []
    index: list[Any] | None = None


class Invocation(Struct):
    """Exactly one of the four forms."""

    dataframe_split: Split | msgspec.UnsetType = msgspec.UNSET
    dataframe_records: list[Record] | msgspec.UnsetType = msgspec.UNSET
    inputs: Many | Columns | str | msgspec.UnsetType = msgspec.UNSET
    instances: Many | Columns | str | msgspec.UnsetType = msgspec.UNSET
    params: Annotated[
        dict[str, Any] | None, Meta(description="Accepted and ignored, as by MLflow for these models.")
    ] = None


def question(inputs: Sequence[str]) -> dict[str, Any]:
    return {"texts": list(inputs)}


def read_question(question: Question) -> list[str]:
    return question.texts


def record(stored: str) -> dict[str, Any]:
    return {COLUMN: stored}


def columns(names: Sequence[Any]) -> list[str]:
    if COLUMN not in names:
        raise missing_column(names)
    return [COLUMN]


def prediction(name: str, answer: str, confidence: float, row: Sequence[float], labels: Labels) -> Prediction:
    return Prediction(name, answer, confidence, dict(zip(labels, row, strict=True)))


def explain(prediction: Prediction, text: str, found: explanation.Explanation) -> None:
    words = [WordWeight(text[word.start : word.end], word.start, word.end, word.weight) for word in found.words]
    prediction.explanation = Explanation(found.against, found.method, found.log_odds, found.bias, words, found.left_out)


def choices(labels: Labels) -> Sequence[str]:
    return labels


def read_label(value: str, labels: Labels) -> str:
    if value not in labels:
        names = ", ".join(labels[:MAX_NAMED])
        raise ValueError(f"A label must be one of: {names}. Received: {value!s:.100}.")
    return value


def correction(name: str, target: str) -> dict[str, str]:
    return {"id": name, "label": target}


def example(name: str, labels: Labels) -> tuple[Prediction, str]:
    shown = labels or ("label", "another")
    rest = 0.1 / max(1, len(shown) - 1)
    return prediction(name, shown[0], 0.9, [0.9, *[rest] * (len(shown) - 1)], shown), shown[0]


def made_up(inputs: Sequence[str], chance: Random) -> str:
    """Two of the texts, joined."""
    return f"{chance.choice(inputs)} {chance.choice(inputs)}"
