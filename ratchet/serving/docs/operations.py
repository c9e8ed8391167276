"""The table of operations: of each route its parameters, bodies, answer and refusals.

The types are the Structs that the handlers decode requests into and encode answers from; some are those of the kind of
problem. The document at /openapi.json is made from this table alone.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ratchet import tasks
from ratchet.serving.answering import requests
from ratchet.serving.answering.requests import JSON
from ratchet.serving.api import mlflow_scoring, open_inference, predict
from ratchet.serving.pages import try_page
from ratchet.serving.pages.html import MEDIA as HTML
from ratchet.serving.pages.try_page import FORM
from ratchet.tasks import Task
from ratchet.tasks.bodies import key_description

CSV = "text/csv"
METRICS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
EXAMPLE_ID = "0" * 32
"""Stands for the id of a prediction."""


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
        example: what /docs fills in.
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
        section: of the document, one of `sections`.
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
MLFLOW_ERROR = Content(JSON, mlflow_scoring.ScoringError)
OIP_ERROR = Content(JSON, open_inference.InferenceError)

OWN, MLFLOW, OIP, PEOPLE = (
    "Predictions and feedback",
    "MLflow scoring",
    "Open Inference Protocol",
    "For people and monitors",
)


def sections(task: Task) -> dict[str, str]:
    """The sections of the document, with their descriptions."""
    takes = ", under which /feedback takes the right label" if task.can("feedback") else ""
    return {
        OWN: f"Every answer has an id{takes}.",
        MLFLOW: "What `mlflow models serve` takes and gives for the same model.",
        OIP: f"Version 2, REST and JSON. {task.unit.capitalize()}s are a BYTES tensor.",
        PEOPLE: "Pages, and what Prometheus reads.",
    }


def canary_key(task: Task) -> Parameter:
    return Parameter("ratchet-key", "header", key_description(task.unit))


@dataclass(frozen=True)
class DocumentedModel:
    """The model that the examples are about.

    Attributes:
        problem: name of the model.
        version: empty where nothing is live.
        labels: none where nothing is live.
        task: the kind of problem.
    """

    problem: str
    version: str = ""
    labels: tuple[str, ...] = ()
    task: Task = field(default_factory=lambda: tasks.get("classify"))


def operations(model: DocumentedModel) -> tuple[Operation, ...]:
    """The whole table."""
    return (
        *own_operations(model),
        *mlflow_operations(model.task),
        *inference_operations(model),
        *page_operations(model),
    )


def own_operations(model: DocumentedModel) -> tuple[Operation, ...]:
    task, wire = model.task, model.task.wire
    explain = Parameter(
        "explain",
        "query",
        f"`true` tells the words that moved each answer, of {predict.MAX_EXPLAINED_TEXTS} {task.unit}s and "
        f"{predict.MAX_EXPLAINED_CHARACTERS:,} characters at most.",
        (("type", "string"), ("enum", ["true", "false"]), ("default", "false")),
        "true",
    )
    parameters = (*([explain] if task.can("explanation") else []), canary_key(task))
    question = Content(JSON, wire.Question, ((f"{task.unit}s", wire.question(wire.EXAMPLES)),))
    target = example_target(model)
    correction = Content(JSON, wire.Correction, (("correction", wire.correction(EXAMPLE_ID, target)),))
    feedback = Operation(
        "post", "/feedback", OWN, "feedback", f"Say which label is right for a {task.unit} that was predicted",
        Content(JSON, predict.Thanks, (("thanks", {"id": EXAMPLE_ID, "label": target}),)), (correction,), (404, 422),
    )  # fmt: skip
    return (
        Operation(
            "post", "/predict", OWN, "predict", wire.SUMMARY, Content(JSON, predictions_type(task),
            (example_answer(model),)), (question,), (422,), parameters=parameters,
        ),
        *([feedback] if task.can("feedback") else []),
    )  # fmt: skip


def predictions_type(task: Task) -> type:
    """`predict.Predictions`, with the Prediction of a kind of problem."""
    fields = [("model", str), ("version", str), ("predictions", list[task.wire.Prediction])]  # type: ignore[name-defined]
    return msgspec.defstruct(predict.Predictions.__name__, fields, namespace={"__doc__": predict.Predictions.__doc__})


def example_answer(model: DocumentedModel) -> tuple[str, dict[str, Any]]:
    """An answer to the first example, with made-up numbers."""
    prediction = msgspec.to_builtins(model.task.wire.example(EXAMPLE_ID, model.labels)[0])
    return "answer", {"model": model.problem, "version": model.version or "1", "predictions": [prediction]}


def example_target(model: DocumentedModel) -> str:
    """The right label of the first example."""
    return model.task.wire.example(EXAMPLE_ID, model.labels)[1]


def mlflow_operations(task: Task) -> tuple[Operation, ...]:
    one_form = Meta(extra_json_schema={"oneOf": [{"required": [form]} for form in mlflow_scoring.FORMS]})
    invocation: Any = task.wire.Invocation
    forms = Annotated[invocation, one_form]
    bodies = (
        Content(JSON, forms, mlflow_forms(task)),
        Content(CSV, task.wire.Lines, (("csv", example_csv(task)),)),
    )
    return (
        Operation(
            "post", "/invocations", MLFLOW, "invocations", task.wire.SUMMARY,
            Content(JSON, mlflow_scoring.Scores), bodies, (415,), MLFLOW_ERROR, (canary_key(task),),
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


def mlflow_forms(task: Task) -> tuple[tuple[str, Any], ...]:
    """The examples in MLflow's four forms."""
    examples = list(task.wire.EXAMPLES)
    records = [task.wire.record(example) for example in examples]
    frame = {"columns": list(records[0]), "data": [list(record.values()) for record in records]}
    return (
        ("dataframe_split", {"dataframe_split": frame}),
        ("dataframe_records", {"dataframe_records": records}),
        ("inputs", {"inputs": examples}),
        ("instances", {"instances": records[:1]}),
    )


def example_csv(task: Task) -> str:
    """The examples as a CSV."""
    records = [task.wire.record(example) for example in task.wire.EXAMPLES]
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerows([list(records[0]), *(list(record.values()) for record in records)])
    return lines.getvalue()


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
        *model_operations(model.task, "/v2/models/{name}", "", (name,)),
        *model_operations(model.task, "/v2/models/{name}/versions/{version}", "_version", (name, version)),
    )


def model_operations(task: Task, path: str, suffix: str, parameters: tuple[Parameter, ...]) -> tuple[Operation, ...]:
    examples = list(task.wire.EXAMPLES)
    tensor = {"name": open_inference.INPUT, "shape": [len(examples)], "datatype": "BYTES", "data": examples}
    forms = (
        (f"{task.unit}s", {"inputs": [tensor]}),
        ("labels alone", {"inputs": [tensor], "outputs": [{"name": "label"}]}),
    )
    body = Content(JSON, open_inference.Inference, forms)
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
            "post", f"{path}/infer", OIP, f"infer{suffix}", task.wire.SUMMARY,
            Content(JSON, open_inference.Inferred), (body,), (404,), OIP_ERROR, (*parameters, canary_key(task)),
        ),
    )  # fmt: skip


def page_operations(model: DocumentedModel) -> tuple[Operation, ...]:
    unit = model.task.unit
    lang = Parameter("lang", "query", "`en` or `zh`; anything else leaves the choice to the browser's Accept-Language.")
    shown_id = Parameter("id", "query", f"A prediction whose {unit} is kept: the page shows its answer again.")
    thanks = Parameter("thanks", "query", "A label: the page says that it was taken.")
    page = Content(HTML, str)
    attempt = Content(FORM, try_page.Attempt, (("text", {"text": model.task.wire.EXAMPLES[0]}),))
    correction = Content(FORM, try_page.Verdict, (("verdict", {"id": EXAMPLE_ID, "label": example_target(model)}),))
    takes_feedback = model.task.can("feedback")
    summary = f"A page to try a {unit}" + (" and correct the answer" if takes_feedback else "")
    correct = Operation(
        "post", "/correct", PEOPLE, "correct", "What the page's buttons send; leads back to the answer",
        None, (correction,), (404, 415, 422), page, (lang,), status=303,
    )  # fmt: skip
    return (
        Operation("get", "/", PEOPLE, "page", summary, page, (), (404,), page, (shown_id, thanks, lang)),
        Operation(
            "post", "/", PEOPLE, "try", "What the page's form sends; leads to the answer, at an address of its own",
            None, (attempt,), (415, 422), page, (lang, canary_key(model.task)), ((200, page),), status=303,
        ),
        *([correct, *label_operations(unit, page, correction, lang)] if takes_feedback else []),
        Operation(
            "get", "/metrics", PEOPLE, "metrics", "What the service counts, for Prometheus", Content(METRICS_TEXT, str)
        ),
        Operation("get", "/docs", PEOPLE, "docs", "This document as a page", Content(HTML, str)),
        Operation("get", "/openapi.json", PEOPLE, "openapi", "This document", Content(JSON, dict[str, Any])),
    )  # fmt: skip


def label_operations(unit: str, page: Content, correction: Content, lang: Parameter) -> tuple[Operation, ...]:
    after = Parameter("after", "query", f"The id of a {unit} that was skipped: the page shows the next.")
    offered_id = Parameter("id", "query", f"A {unit} that was offered lately: the page shows it again.")
    labelled_id = Parameter("said", "query", f"The id of a {unit} that was labelled: the page says so.")
    return (
        Operation(
            "get", "/label", PEOPLE, "label", f"A page that asks which label a {unit} has, one {unit} at a time", page,
            errors=page, parameters=(after, offered_id, labelled_id, lang),
        ),
        Operation(
            "post", "/label", PEOPLE, "labelled", "What that page's buttons send; leads to the next " + unit,
            None, (correction,), (404, 415, 422), page, (lang,), status=303,
        ),
    )  # fmt: skip
