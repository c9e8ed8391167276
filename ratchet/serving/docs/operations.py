"""The table of operations: of each route its parameters, bodies, answer and refusals.

The types are the Structs that the handlers decode requests into and encode answers from. The document at /openapi.json
and the page at /docs are made from this table alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ratchet.serving.answering import requests
from ratchet.serving.answering.requests import JSON
from ratchet.serving.api import mlflow_scoring, open_inference, predict
from ratchet.serving.pages import try_page
from ratchet.serving.pages.html import MEDIA as HTML
from ratchet.serving.pages.try_page import FORM

CSV = "text/csv"
METRICS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
EXAMPLE_TEXT = "Thank you, this works very well."
SECOND_TEXT = "It broke after two days."
EXAMPLE_ID = "0" * 32
"""Stands for the id of a prediction; the commands of /docs put a real one in its place."""


@dataclass(frozen=True)
class Content:
    """The body of a request or an answer.

    Attributes:
        media: its media type.
        type: a Struct or a type with a schema; None for a body that is not checked.
        examples: by name, one of each form that the body may have.
    """

    media: str
    type: Any
    examples: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Parameter:
    """A part of the address, or a header.

    Attributes:
        name: of the parameter.
        place: `path`, `query` or `header`.
        description: for people.
        schema: items of its JSON schema.
        example: used in the commands of /docs.
    """

    name: str
    place: str
    description: str
    schema: tuple[tuple[str, Any], ...] = (("type", "string"),)
    example: str | None = None


@dataclass(frozen=True)
class Operation:
    """A method of a route.

    Attributes:
        method: in lower case.
        path: with its parameters in braces.
        section: of the document, one of SECTIONS.
        name: the operationId.
        summary: a phrase without a full stop.
        answer: the body of a success; None where the status is the whole answer.
        bodies: the request bodies to choose from.
        refusals: statuses besides ANY_REQUEST and ANY_BODY.
        errors: the body of a refusal, unless `other` has bodies for its status.
        parameters: of the address and the headers.
        other: further answers, each with its status.
        is_open: whether it needs no token.
        status: of a success.
    """

    method: str
    path: str
    section: str
    name: str
    summary: str
    answer: Content | None
    bodies: tuple[Content, ...] = ()
    refusals: tuple[int, ...] = ()
    errors: Content = Content(requests.DETAILS, requests.Details)
    parameters: tuple[Parameter, ...] = ()
    other: tuple[tuple[int, Content], ...] = ()
    is_open: bool = False
    status: int = 200


ANY_REQUEST = (403, 503)
"""Refusals of the guard, which checks access and room before anything else."""
ANY_BODY = (400, 408, 413)
"""Refusals of a request with a body."""
KEY = Parameter("ratchet-key", "header", predict.KEY_DESCRIPTION)
MLFLOW_ERROR = Content(JSON, mlflow_scoring.ScoringError)
OIP_ERROR = Content(JSON, open_inference.InferenceError)

OWN, MLFLOW, OIP, PEOPLE = (
    "Predictions and feedback",
    "MLflow scoring",
    "Open Inference Protocol",
    "For people and monitors",
)
SECTIONS = {
    OWN: "Every answer has an id, under which /feedback takes the right label.",
    MLFLOW: "What `mlflow models serve` takes and gives for the same model.",
    OIP: "Version 2, REST and JSON. Texts are a BYTES tensor.",
    PEOPLE: "Pages, and what Prometheus reads.",
}


def mlflow_forms() -> tuple[tuple[str, Any], ...]:
    return (
        ("dataframe_split", {"dataframe_split": {"columns": ["text"], "data": [[EXAMPLE_TEXT], [SECOND_TEXT]]}}),
        ("dataframe_records", {"dataframe_records": [{"text": EXAMPLE_TEXT}, {"text": SECOND_TEXT}]}),
        ("inputs", {"inputs": [EXAMPLE_TEXT, SECOND_TEXT]}),
        ("instances", {"instances": [{"text": EXAMPLE_TEXT}]}),
    )


@dataclass(frozen=True)
class DocumentedModel:
    """The model that the examples are about.

    Attributes:
        problem: name of the model.
        version: empty where nothing is live.
        labels: none where nothing is live.
    """

    problem: str
    version: str = ""
    labels: tuple[str, ...] = ()


def operations(model: DocumentedModel) -> tuple[Operation, ...]:
    """The whole table."""
    return (
        *own_operations(model),
        *mlflow_operations(),
        *inference_operations(model),
        *page_operations(model.labels),
    )


def own_operations(model: DocumentedModel) -> tuple[Operation, ...]:
    explain = Parameter(
        "explain",
        "query",
        f"`true` tells the words that moved each answer, of {predict.MAX_EXPLAINED_TEXTS} texts and "
        f"{predict.MAX_EXPLAINED_CHARACTERS:,} characters at most.",
        (("type", "string"), ("enum", ["true", "false"]), ("default", "false")),
        "true",
    )
    question = Content(JSON, predict.Question, (("texts", {"texts": [EXAMPLE_TEXT, SECOND_TEXT]}),))
    correction = Content(JSON, predict.Correction, (("correction", example_correction(model.labels)),))
    return (
        Operation(
            "post", "/predict", OWN, "predict", "Classify texts", Content(JSON, predict.Predictions,
            (example_answer(model),)), (question,), (422,), parameters=(explain, KEY),
        ),
        Operation(
            "post", "/feedback", OWN, "feedback", "Say which label is right for a text that was predicted",
            Content(JSON, predict.Thanks, (("thanks", example_correction(model.labels)),)), (correction,), (404, 422),
        ),
    )  # fmt: skip


def example_answer(model: DocumentedModel) -> tuple[str, dict[str, Any]]:
    """An answer to EXAMPLE_TEXT, with made-up numbers."""
    labels = model.labels or ("label", "another")
    rest = 0.1 / max(1, len(labels) - 1)
    shares = {label: 0.9 if label == labels[0] else rest for label in labels}
    prediction = {"id": EXAMPLE_ID, "label": labels[0], "score": 0.9, "probabilities": shares}
    return "answer", {"model": model.problem, "version": model.version or "1", "predictions": [prediction]}


def example_correction(labels: tuple[str, ...]) -> dict[str, str]:
    """A correction of that answer."""
    return {"id": EXAMPLE_ID, "label": labels[0] if labels else "label"}


def mlflow_operations() -> tuple[Operation, ...]:
    csv = Content(CSV, mlflow_scoring.Lines, (("csv", f'text\n"{EXAMPLE_TEXT}"\n{SECOND_TEXT}\n'),))
    return (
        Operation(
            "post", "/invocations", MLFLOW, "invocations", "Classify texts",
            Content(JSON, mlflow_scoring.Scores), (Content(JSON, mlflow_scoring.OneForm, mlflow_forms()), csv), (415,),
            MLFLOW_ERROR, (KEY,),
        ),
        Operation(
            "get", "/ping", MLFLOW, "ping", "Whether a version is live: an empty line",
            Content(JSON, None), other=((404, Content(JSON, None)),), is_open=True,
        ),
        Operation(
            "get", "/version", MLFLOW, "version", "MLflow's version, without quotes around it, as MLflow gives it",
            Content(JSON, None),
        ),
    )  # fmt: skip


def inference_operations(model: DocumentedModel) -> tuple[Operation, ...]:
    name = Parameter("name", "path", "The problem that params.yaml names.", example=model.problem)
    version = Parameter(
        "version",
        "path",
        "A version that answers now; `GET /v2/models/{name}` lists them.",
        example=model.version or "1",
    )
    ready = Content(JSON, open_inference.Ready)
    server = (
        Operation(
            "get", "/v2", OIP, "server", "The name and version of this server",
            Content(JSON, open_inference.ServerInfo), errors=OIP_ERROR,
        ),
        Operation(
            "get", "/v2/health/live", OIP, "live", "Whether the service runs",
            Content(JSON, open_inference.Alive), errors=OIP_ERROR, is_open=True,
        ),
        Operation(
            "get", "/v2/health/ready", OIP, "ready", "Whether a version is live",
            ready, errors=OIP_ERROR, other=((503, ready), (503, OIP_ERROR)), is_open=True,
        ),
    )  # fmt: skip
    return (
        *server,
        *model_operations("/v2/models/{name}", "", (name,)),
        *model_operations("/v2/models/{name}/versions/{version}", "_version", (name, version)),
    )


def model_operations(path: str, suffix: str, parameters: tuple[Parameter, ...]) -> tuple[Operation, ...]:
    tensor = {"name": open_inference.INPUT, "shape": [2], "datatype": "BYTES", "data": [EXAMPLE_TEXT, SECOND_TEXT]}
    body = Content(
        JSON,
        open_inference.Inference,
        (("texts", {"inputs": [tensor]}), ("labels alone", {"inputs": [tensor], "outputs": [{"name": "label"}]})),
    )
    return (
        Operation(
            "get", path, OIP, f"model{suffix}", "What the model takes and gives",
            Content(JSON, open_inference.ModelInfo), (), (404,), OIP_ERROR, parameters,
        ),
        Operation(
            "get", f"{path}/ready", OIP, f"model_ready{suffix}", "Whether the model answers",
            Content(JSON, open_inference.ModelReady), (), (404,), OIP_ERROR, parameters,
        ),
        Operation(
            "post", f"{path}/infer", OIP, f"infer{suffix}", "Classify texts",
            Content(JSON, open_inference.Inferred), (body,), (404,), OIP_ERROR, (*parameters, KEY),
        ),
    )  # fmt: skip


def page_operations(labels: tuple[str, ...]) -> tuple[Operation, ...]:
    lang = Parameter("lang", "query", "`en` or `zh`; anything else leaves the choice to the browser's Accept-Language.")
    shown_id = Parameter("id", "query", "A prediction whose text is kept: the page shows its answer again.")
    thanks = Parameter("thanks", "query", "A label: the page says that it was taken.")
    after = Parameter("after", "query", "The id of a text that was skipped: the page shows the next.")
    offered_id = Parameter("id", "query", "A text that was offered lately: the page shows it again.")
    labelled_id = Parameter("said", "query", "The id of a text that was labelled: the page says so.")
    page = Content(HTML, str)
    attempt = Content(FORM, try_page.Attempt, (("text", {"text": EXAMPLE_TEXT}),))
    correction = Content(FORM, try_page.Verdict, (("verdict", example_correction(labels)),))
    return (
        Operation(
            "get", "/", PEOPLE, "page", "A page to try a text and correct the answer", page, (), (404,),
            page, (shown_id, thanks, lang),
        ),
        Operation(
            "post", "/", PEOPLE, "try", "What the page's form sends; leads to the answer, at an address of its own",
            None, (attempt,), (415, 422), page, (lang, KEY), ((200, page),), status=303,
        ),
        Operation(
            "post", "/correct", PEOPLE, "correct", "What the page's buttons send; leads back to the answer",
            None, (correction,), (404, 415, 422), page, (lang,), status=303,
        ),
        Operation(
            "get", "/label", PEOPLE, "label", "A page that asks which label a text has, one text at a time", page,
            errors=page, parameters=(after, offered_id, labelled_id, lang),
        ),
        Operation(
            "post", "/label", PEOPLE, "labelled", "What that page's buttons send; leads to the next text",
            None, (correction,), (404, 415, 422), page, (lang,), status=303,
        ),
        Operation(
            "get", "/metrics", PEOPLE, "metrics", "What the service counts, for Prometheus", Content(METRICS_TEXT, str)
        ),
        Operation("get", "/docs", PEOPLE, "docs", "This document as a page", Content(HTML, str)),
        Operation("get", "/openapi.json", PEOPLE, "openapi", "This document", Content(JSON, dict[str, Any])),
    )  # fmt: skip
