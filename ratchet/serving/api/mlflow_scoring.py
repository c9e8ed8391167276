"""MLflow's scoring protocol: /invocations in its four JSON forms and in CSV, /ping, /version.

Requests and responses are those of MLflow's own server for the same model; no data frame is made in between. Source:
the pages "Inference Server" of MLflow's documentation, and `mlflow.pyfunc.scoring_server`, against which it is tested.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ratchet.serving.answering import requests
from ratchet.serving.answering.requests import RequestError
from ratchet.serving.answering.service import Answer, Service
from ratchet.tasks import Task

FORMS = ("dataframe_split", "dataframe_records", "inputs", "instances")
CODES = {404: "RESOURCE_DOES_NOT_EXIST", 503: "TEMPORARILY_UNAVAILABLE", 500: "INTERNAL_ERROR"}


class Scores(Struct):
    """One object an input."""

    predictions: list[dict[str, str | float]]


class ScoringError(Struct):
    error_code: str
    message: str


csv.field_size_limit(2**31 - 1)


def routes(service: Service) -> list[Route]:
    reader = Reader(service.task)
    unit = service.task.unit

    async def invocations(request: Request) -> Response:
        try:
            raw = await requests.read_body(request, service.settings.limits, unit)
            inputs = reader.read(raw, request.headers.get("content-type", ""))
            requests.check_inputs(inputs, service.settings.limits, unit)
            answer = await service.answer(inputs, requests.canary_key(request), "invocations")
        except RequestError as error:
            return error_response(request, error)
        return Response(encode_scores(answer, service.task), media_type=requests.JSON, headers=version_header(answer))

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


def encode_scores(answer: Answer, task: Task) -> bytes:
    """The predictions as pandas' records."""
    labels = answer.live.bundle.labels
    table = task.answers.table(np.asarray(answer.rows, dtype=np.float64).reshape(-1, len(labels)), labels)
    columns = [column.tolist() if isinstance(column, np.ndarray) else column for column in table.values()]
    records = [dict(zip(table, row, strict=True)) for row in zip(*columns, strict=True)]
    return msgspec.json.encode({"predictions": records})


class Reader:
    """Reads the inputs of request bodies.

    Args:
        task: the kind of problem, which knows what an input is.
    """

    def __init__(self, task: Task) -> None:
        self._unit = task.unit
        self._has_strings = task.answers.ONE_COLUMN
        self._columns_of = task.wire.columns
        self._read_record = task.answers.read_record
        self._read_value = task.answers.read_value
        self._invocations: msgspec.json.Decoder[Any] = msgspec.json.Decoder(task.wire.Invocation)

    def read(self, raw: bytes, content_type: str) -> list[str]:
        """Read the inputs of a request body.

        Raises:
            RequestError: another content type (415), or no inputs in the body (400).
        """
        kind, *parameters = (part.strip().lower() for part in content_type.split(";"))
        if any(parameter not in ("charset=utf-8", 'charset="utf-8"', "") for parameter in parameters):
            raise RequestError(415, f"The charset must be UTF-8. Received: {content_type:.100}.")
        if kind not in ("text/csv", "application/json"):
            received = content_type[:100] or "none"
            raise RequestError(415, f"The content type must be application/json or text/csv. Received: {received}.")
        try:
            return self._csv(raw) if kind == "text/csv" else self._json(raw)
        except ValueError as error:
            raise RequestError(400, str(error)) from None

    def _json(self, raw: bytes) -> list[str]:
        """Read the inputs of the four JSON forms."""
        try:
            invocation = requests.decode(raw, self._invocations)
        except RequestError as error:
            raise RequestError(400, error.detail) from None
        forms = [form for form in FORMS if getattr(invocation, form) is not msgspec.UNSET]
        if len(forms) != 1:
            raise RequestError(
                400, f"The body must have exactly one of {', '.join(FORMS)}. Received: {', '.join(forms) or 'none'}."
            )
        (form,) = forms
        value = getattr(invocation, form)
        if form == "dataframe_split":
            return self._split(value.data, value.columns)
        if form == "dataframe_records":
            return [self._read_record(record) for record in value]
        if isinstance(value, dict):
            return self._columns(value)
        if isinstance(value, str):
            return [self._read_value(value)]
        return [self._read_record(row) if isinstance(row, dict) else self._single(row) for row in value]

    def _split(self, rows: list[list[Any]], names: list[Any]) -> list[str]:
        """The inputs of a frame with named columns, or with a single column without a name."""
        if names in ([0], []):
            return [self._single(row) for row in rows]
        columns = self._columns_of(names)
        if any(len(row) != len(names) for row in rows):
            raise RequestError(400, f"Every row must have {len(names)} values, one for each column.")
        return self._records(columns, names, rows)

    def _columns(self, frame: dict[str, Any]) -> list[str]:
        """The inputs of `{"rooms": [...], "size": [...]}`, or the single one of `{"rooms": 3, "size": 70}`."""
        columns = self._columns_of(list(frame))
        values = [frame[column] for column in columns]
        if not any(isinstance(value, list) for value in values):
            return [self._read_record(dict(zip(columns, values, strict=True)))]
        lengths = {len(value) if isinstance(value, list) else 0 for value in values}
        if len(lengths) > 1:
            raise RequestError(400, "Every column must have as many values as the others.")
        cells = [[self._single_value(cell) for cell in value] for value in values]
        return [self._read_record(dict(zip(columns, row, strict=True))) for row in zip(*cells, strict=True)]

    def _csv(self, raw: bytes) -> list[str]:
        """The inputs of a CSV with a header. A single column of another name is refused, as by MLflow."""
        try:
            lines = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True)
            header = next(lines, None)
            if header is None:
                raise RequestError(400, "A CSV must begin with the names of its columns. Received: nothing.")
            columns = self._columns_of(header)
            rows: list[list[Any]] = []
            for row in lines:
                if not row:
                    continue
                if len(row) != len(header):
                    raise RequestError(
                        400, f"Line {lines.line_num} must have {len(header)} fields. Received: {len(row)}."
                    )
                rows.append(row if self._has_strings else list(map(typed, row)))
        except (UnicodeDecodeError, csv.Error) as error:
            raise RequestError(400, f"The body must be CSV in UTF-8. {error}.") from None
        return self._records(columns, header, rows)

    def _records(self, columns: Sequence[str], names: list[Any], rows: Iterable[list[Any]]) -> list[str]:
        """The inputs of rows with these columns; of two columns with one name the first counts."""
        read = self._read_record
        if len(columns) == 1:
            (column,), place = columns, names.index(columns[0])
            return [read({column: row[place]}) for row in rows]
        places = [names.index(column) for column in columns]
        return [read({column: row[place] for column, place in zip(columns, places, strict=True)}) for row in rows]

    def _single(self, row: Any) -> str:
        """The input of a row that is a value, or a list of one."""
        return self._read_value(self._single_value(row))

    def _single_value(self, row: Any) -> Any:
        if isinstance(row, list):
            if len(row) != 1:
                raise RequestError(400, f"A row must be a {self._unit}, or hold one. Received: {len(row)} values.")
            return row[0]
        return row


def typed(cell: str) -> float | str | None:
    """A cell of a CSV as pandas reads it for MLflow: a number where it is one, None where it is empty."""
    try:
        return float(cell)
    except ValueError:
        return cell or None
