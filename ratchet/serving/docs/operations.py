"""What can be asked of the service, in one table: each address, what goes in, what comes out, which refusals it gives.

The types are the very Structs that requests are read into and answers are written from; the document at /openapi.json
and the page at /docs are made of this table alone.
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

CSV, TEXT = "text/csv", "text/plain; version=0.0.4; charset=utf-8"
SAID = "Thank you, this works very well."
ALSO = "It broke after two days."
SOME_ID = "0" * 32
"""Stands for the id of a prediction."""


@dataclass(frozen=True)
class Content:
    """A body: its media type, what it is made of (None: not to be checked), and an example of each of its forms."""

    media: str
    type: Any
    examples: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Parameter:
    """A part of the address or a header. place: `path`, `query` or `header`."""

    name: str
    place: str
    words: str
    schema: tuple[tuple[str, Any], ...] = (("type", "string"),)
    example: str | None = None


@dataclass(frozen=True)
class Operation:
    """One way to ask. errors: the body of a refusal, unless `other` has bodies for its status.

    answer: None where the status says it all. status: of the answer.
    refusals: statuses beside those that any request can meet (`ANY`) and that any body can meet (`BODY`).
    """

    method: str
    path: str
    part: str
    name: str
    summary: str
    answer: Content | None
    takes: tuple[Content, ...] = ()
    refusals: tuple[int, ...] = ()
    errors: Content = Content(requests.DETAILS, requests.Details)
    parameters: tuple[Parameter, ...] = ()
    other: tuple[tuple[int, Content], ...] = ()
    open: bool = False
    status: int = 200


ANY = (403, 503)
"""Who may ask, and whether there is room: looked at before anything else."""
BODY = (400, 408, 413)
KEY = Parameter("ratchet-key", "header", predict.KEY)
MLFLOW_ERROR = Content(JSON, mlflow_scoring.ScoringError)
OIP_ERROR = Content(JSON, open_inference.InferenceError)

OWN, MLFLOW, OIP, PEOPLE = (
    "Predictions and feedback",
    "MLflow scoring",
    "Open Inference Protocol",
    "For people and monitors",
)
PARTS = {
    OWN: "Every answer has an id, by which people can say what would have been right.",
    MLFLOW: "What `mlflow models serve` takes and gives for the same model.",
    OIP: "Version 2, REST and JSON. Texts are a BYTES tensor.",
    PEOPLE: "Pages, and what Prometheus reads.",
}


def mlflow_forms() -> tuple[tuple[str, Any], ...]:
    return (
        ("dataframe_split", {"dataframe_split": {"columns": ["text"], "data": [[SAID], [ALSO]]}}),
        ("dataframe_records", {"dataframe_records": [{"text": SAID}, {"text": ALSO}]}),
        ("inputs", {"inputs": [SAID, ALSO]}),
        ("instances", {"instances": [{"text": SAID}]}),
    )


@dataclass(frozen=True)
class Answering:
    """What answers, for the examples. version: empty, and labels: none, where nothing is live."""

    problem: str
    version: str = ""
    labels: tuple[str, ...] = ()


def operations(model: Answering) -> tuple[Operation, ...]:
    """The table."""
    return (*of_own(model), *of_mlflow(), *of_inference(model), *of_people(model.labels))


def of_own(model: Answering) -> tuple[Operation, ...]:
    explain = Parameter(
        "explain",
        "query",
        f"`true` tells the words that moved each answer, of {predict.MOST_EXPLAINED} texts and "
        f"{predict.MOST_CHARACTERS:,} characters at most.",
        (("type", "string"), ("enum", ["true", "false"]), ("default", "false")),
        "true",
    )
    question = Content(JSON, predict.Question, (("texts", {"texts": [SAID, ALSO]}),))
    correction = Content(JSON, predict.Correction, (("correction", verdict(model.labels)),))
    return (
        Operation(
            "post", "/predict", OWN, "predict", "Classify texts", Content(JSON, predict.Predictions,
            (answered(model),)), (question,), (422,), parameters=(explain, KEY),
        ),
        Operation(
            "post", "/feedback", OWN, "feedback", "Say which label is right for a text that was predicted",
            Content(JSON, predict.Thanks, (("thanks", verdict(model.labels)),)), (correction,), (404, 422),
        ),
    )  # fmt: skip


def answered(model: Answering) -> tuple[str, dict[str, Any]]:
    """An answer to SAID as it may be, with made-up numbers."""
    labels = model.labels or ("label", "another")
    rest = 0.1 / max(1, len(labels) - 1)
    shares = {label: 0.9 if label == labels[0] else rest for label in labels}
    told = {"id": SOME_ID, "label": labels[0], "score": 0.9, "probabilities": shares}
    return "answer", {"model": model.problem, "version": model.version or "1", "predictions": [told]}


def verdict(labels: tuple[str, ...]) -> dict[str, str]:
    """What somebody says of a prediction."""
    return {"id": SOME_ID, "label": labels[0] if labels else "label"}


def of_mlflow() -> tuple[Operation, ...]:
    csv = Content(CSV, mlflow_scoring.Lines, (("csv", f'text\n"{SAID}"\n{ALSO}\n'),))
    return (
        Operation(
            "post", "/invocations", MLFLOW, "invocations", "Classify texts",
            Content(JSON, mlflow_scoring.Scores), (Content(JSON, mlflow_scoring.OneForm, mlflow_forms()), csv), (415,),
            MLFLOW_ERROR, (KEY,),
        ),
        Operation(
            "get", "/ping", MLFLOW, "ping", "Whether a version is live: an empty line",
            Content(JSON, None), other=((404, Content(JSON, None)),), open=True,
        ),
        Operation(
            "get", "/version", MLFLOW, "version", "MLflow's version, without quotes around it, as MLflow gives it",
            Content(JSON, None),
        ),
    )  # fmt: skip


def of_inference(model: Answering) -> tuple[Operation, ...]:
    name = Parameter("name", "path", "The problem that params.yaml names.", example=model.problem)
    version = Parameter(
        "version", "path", "One that answers now; `GET /v2/models/{name}` lists them.", example=model.version or "1"
    )
    ready = Content(JSON, open_inference.Ready)
    server = (
        Operation("get", "/v2", OIP, "server", "What serves", Content(JSON, open_inference.ServerInfo),
        errors=OIP_ERROR), Operation(
            "get", "/v2/health/live", OIP, "live", "Whether the service runs",
            Content(JSON, open_inference.Alive), errors=OIP_ERROR, open=True,
        ),
        Operation(
            "get", "/v2/health/ready", OIP, "ready", "Whether a version is live",
            ready, errors=OIP_ERROR, other=((503, ready), (503, OIP_ERROR)), open=True,
        ),
    )  # fmt: skip
    return (
        *server,
        *of_model("/v2/models/{name}", "", (name,)),
        *of_model("/v2/models/{name}/versions/{version}", "_version", (name, version)),
    )


def of_model(path: str, suffix: str, parameters: tuple[Parameter, ...]) -> tuple[Operation, ...]:
    tensor = {"name": open_inference.INPUT, "shape": [2], "datatype": "BYTES", "data": [SAID, ALSO]}
    takes = Content(
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
            Content(JSON, open_inference.Inferred), (takes,), (404,), OIP_ERROR, (*parameters, KEY),
        ),
    )  # fmt: skip


def of_people(labels: tuple[str, ...]) -> tuple[Operation, ...]:
    lang = Parameter("lang", "query", "en or zh; anything else leaves it to what the browser prefers.")
    seen = Parameter("id", "query", "A prediction whose text is kept: the page shows its answer again.")
    thanks = Parameter("thanks", "query", "A label: the page says that it was taken.")
    after = Parameter("after", "query", "The id of a text that was skipped: the page shows the next.")
    offered = Parameter("id", "query", "A text that was offered lately: the page shows it again.")
    given = Parameter("said", "query", "The id of a text that was labelled: the page says so.")
    shown, attempt = Content(HTML, str), Content(FORM, try_page.Attempt, (("text", {"text": SAID}),))
    pressed = Content(FORM, try_page.Verdict, (("verdict", verdict(labels)),))
    return (
        Operation(
            "get", "/", PEOPLE, "page", "A page to try a text and correct the answer", shown, (), (404,),
            shown, (seen, thanks, lang),
        ),
        Operation(
            "post", "/", PEOPLE, "try", "What the page's form sends; leads to the answer, at an address of its own",
            None, (attempt,), (415, 422), shown, (lang, KEY), ((200, shown),), status=303,
        ),
        Operation(
            "post", "/correct", PEOPLE, "correct", "What the page's buttons send; leads back to the answer",
            None, (pressed,), (404, 415, 422), shown, (lang,), status=303,
        ),
        Operation(
            "get", "/label", PEOPLE, "label", "A page that asks which label a text has, one text at a time", shown,
            errors=shown, parameters=(after, offered, given, lang),
        ),
        Operation(
            "post", "/label", PEOPLE, "labelled", "What that page's buttons send; leads to the next text",
            None, (pressed,), (404, 415, 422), shown, (lang,), status=303,
        ),
        Operation("get", "/metrics", PEOPLE, "metrics", "What the service counts, for Prometheus", Content(TEXT, str)),
        Operation("get", "/docs", PEOPLE, "docs", "This document as a page", Content(HTML, str)),
        Operation("get", "/openapi.json", PEOPLE, "openapi", "This document", Content(JSON, dict[str, Any])),
    )  # fmt: skip
