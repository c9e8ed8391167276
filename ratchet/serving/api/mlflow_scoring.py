"""MLflow's scoring protocol: /invocations in its four JSON forms and in CSV, /ping, /version.

Requests and responses are those of MLflow's own server for the same model; no data frame is made in between. Source:
the pages "Inference Server" of MLflow's documentation, and `mlflow.pyfunc.scoring_server`, against which it is tested.
"""

from __future__ import annotations

import csv
import io
from importlib.metadata import version
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ratchet.serving.answering import requests
from ratchet.serving.answering.requests import RequestError
from ratchet.serving.answering.service import Answer, Service

COLUMN = "text"
FORMS = ("dataframe_split", "dataframe_records", "inputs", "instances")
CODES = {404: "RESOURCE_DOES_NOT_EXIST", 503: "TEMPORARILY_UNAVAILABLE", 500: "INTERNAL_ERROR"}


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


OneForm = Annotated[Invocation, Meta(extra_json_schema={"oneOf": [{"required": [form]} for form in FORMS]})]


class Scores(Struct):
    """One object a text: `label`, `score`, and `p_<label>` for every class."""

    predictions: list[dict[str, str | float]]


class ScoringError(Struct):
    error_code: str
    message: str


INVOCATION = msgspec.json.Decoder(Invocation)
csv.field_size_limit(2**31 - 1)


def routes(service: Service) -> list[Route]:
    async def invocations(request: Request) -> Response:
        try:
            raw = await requests.read_body(request, service.settings.limits)
            texts = read_texts(raw, request.headers.get("content-type", ""))
            requests.check_texts(texts, service.settings.limits)
            answer = await service.answer(texts, requests.canary_key(request), "invocations")
        except RequestError as error:
            return error_response(request, error)
        return Response(encode_scores(answer), media_type=requests.JSON, headers=version_header(answer))

    async def ping(request: Request) -> Response:
        return Response("\n", 200 if service.champion is not None else 404, media_type=requests.JSON)

    async def mlflow_version(request: Request) -> Response:
        return Response(version("mlflow"), media_type=requests.JSON)

    return [
        Route("/invocations", invocations, methods=["POST"]),
        Route("/ping", ping),
        Route("/version", mlflow_version),
    ]


def version_header(answer: Answer) -> dict[str, str]:
    """The version that answered, as a header: the protocol's body has no place for it."""
    return {"ratchet-version": str(answer.live.version)}


def error_response(request: Request, error: RequestError) -> Response:
    """The protocol's error body."""
    body = ScoringError(CODES.get(error.status, "BAD_REQUEST"), error.detail)
    return Response(msgspec.json.encode(body), error.status, error.headers, requests.JSON)


def encode_scores(answer: Answer) -> bytes:
    """The predictions as pandas' records."""
    names = [f"p_{label}" for label in answer.live.bundle.labels]
    texts = zip(answer.labels, answer.scores, answer.rows, strict=True)
    records = [{"label": label, "score": score, **dict(zip(names, row, strict=True))} for label, score, row in texts]
    return msgspec.json.encode({"predictions": records})


def read_texts(raw: bytes, content_type: str) -> list[str]:
    """Read the texts of a request body.

    Raises:
        RequestError: another content type (415), or no texts in the body (400).
    """
    kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
    if any(parameter not in ("charset=utf-8", 'charset="utf-8"', "") for parameter in parameters):
        raise RequestError(415, f"The charset must be UTF-8. Received: {content_type:.100}.")
    if kind == "text/csv":
        return read_csv(raw)
    if kind == "application/json":
        return read_json(raw)
    raise RequestError(
        415, f"The content type must be application/json or text/csv. Received: {content_type[:100] or 'none'}."
    )


def read_json(raw: bytes) -> list[str]:
    """Read the texts of the four JSON forms."""
    try:
        invocation = requests.decode(raw, INVOCATION)
    except RequestError as error:
        raise RequestError(400, error.detail) from None
    forms = [form for form in FORMS if getattr(invocation, form) is not msgspec.UNSET]
    if len(forms) != 1:
        raise RequestError(
            400, f"The body must have exactly one of {', '.join(FORMS)}. Received: {', '.join(forms) or 'none'}."
        )
    (form,) = forms
    value = getattr(invocation, form)
    if isinstance(value, Split):
        return texts_of_rows(value.data, value.columns)
    if form == "dataframe_records":
        return [as_text(text_field(record)) for record in value]
    if isinstance(value, dict):
        return texts_of_column(text_field(value))
    if isinstance(value, str):
        return [value]
    return [as_text(text_field(row) if isinstance(row, dict) else single_value(row)) for row in value]


def texts_of_rows(rows: list[list[Any]], columns: list[Any]) -> list[str]:
    """The texts of a frame with a column `text`, or with a single column without a name."""
    if columns in ([0], []):
        return [as_text(single_value(row)) for row in rows]
    if COLUMN not in columns:
        raise missing_column(columns)
    index = columns.index(COLUMN)
    if any(len(row) != len(columns) for row in rows):
        raise RequestError(400, f"Every row must have {len(columns)} values, one for each column.")
    return [as_text(row[index]) for row in rows]


def texts_of_column(value: Any) -> list[str]:
    """The texts of `{"text": [...]}`, or the single one of `{"text": "..."}`."""
    return [as_text(single_value(row)) for row in value] if isinstance(value, list) else [as_text(value)]


def text_field(record: dict[str, Any]) -> Any:
    if COLUMN not in record:
        raise missing_column(list(record))
    return record[COLUMN]


def missing_column(columns: list[Any]) -> RequestError:
    received = ", ".join(map(requests.abbreviate, columns[:20])) or "no columns"
    return RequestError(
        400, f"The input must have a column {COLUMN!r}. Received: {received}. Rename the column of texts."
    )


def single_value(row: Any) -> Any:
    """The value of a row that is a value, or a list of one."""
    if isinstance(row, list):
        if len(row) != 1:
            raise RequestError(400, f"A row must be a text, or hold one. Received: {len(row)} values.")
        return row[0]
    return row


def as_text(value: Any) -> str:
    """The value as a text; a missing one is empty."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RequestError(400, f"Every text must be a string. Received: {requests.abbreviate(value)}.")
    return value


def read_csv(raw: bytes) -> list[str]:
    """Read the column `text` of a CSV with a header. A single column of another name is refused, as by MLflow."""
    try:
        rows = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True)
        header = next(rows, None)
        if header is None:
            raise RequestError(400, "A CSV must begin with the names of its columns. Received: nothing.")
        if COLUMN not in header:
            raise missing_column(header)
        index = header.index(COLUMN)
        texts = []
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise RequestError(400, f"Line {rows.line_num} must have {len(header)} fields. Received: {len(row)}.")
            texts.append(row[index])
    except (UnicodeDecodeError, csv.Error) as error:
        raise RequestError(400, f"The body must be CSV in UTF-8. {error}.") from None
    return texts
