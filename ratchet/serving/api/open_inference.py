"""The Open Inference Protocol (V2), REST and JSON: health, metadata, infer. Texts are BYTES tensors.

One input `text` of shape [-1]; the outputs `label`, `score`, `probabilities` of shape [-1, labels], and `id`, by which
/feedback knows a prediction. Source: open-inference-protocol, specification/protocol/inference_rest.md.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ratchet.project.paths import project_version
from ratchet.serving.answering import requests
from ratchet.serving.answering.requests import RequestError
from ratchet.serving.answering.service import Answer, Live, Service

INPUT = "text"
OUTPUTS = ("label", "score", "probabilities", "id")
Size = Annotated[int, Meta(ge=0, le=10**9)]


def documented(**schema: object) -> Meta:
    """What the document says beyond the type; looked at by hand, so that the refusal says more than `wrong value`."""
    return Meta(extra_json_schema=schema)


STRINGS = documented(
    items={"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 1}]}
)


class Tensor(Struct):
    """The tensor `text`: datatype BYTES, shape [n] or [n, 1], and n strings in `data`, flat or each in a list."""

    name: Annotated[str, documented(const=INPUT)]
    shape: Annotated[list[Size], Meta(min_length=1, max_length=8)]
    datatype: Annotated[str, documented(const="BYTES")]
    data: Annotated[list[Any], STRINGS]
    parameters: dict[str, Any] | None = None


class Wish(Struct):
    """An output that the client wants."""

    name: Annotated[str, documented(enum=OUTPUTS)]
    parameters: dict[str, Any] | None = None


class Inference(Struct):
    """A request for inference."""

    inputs: Annotated[list[Tensor], documented(minItems=1, maxItems=1)]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[Wish] | None = None


class Output(Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class Inferred(Struct, omit_defaults=True):
    """The response; outputs in the order that was asked for."""

    model_name: str
    model_version: str
    outputs: list[Output]
    id: str | None = None


class TensorInfo(Struct):
    name: str
    datatype: str
    shape: list[int]


class ModelInfo(Struct):
    """What a model takes and gives. versions: those that answer now."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorInfo]
    outputs: list[TensorInfo]


class ServerInfo(Struct):
    name: str
    version: str
    extensions: list[str]


class Alive(Struct):
    live: bool


class Ready(Struct):
    ready: bool


class ModelReady(Struct):
    name: str
    ready: bool


class InferenceError(Struct):
    error: str


INFERENCE = msgspec.json.Decoder(Inference)


def routes(service: Service) -> list[Route]:
    def told(handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def respond(request: Request) -> Response:
            try:
                return requests.as_json(await handler(request))
            except RequestError as problem:
                return as_error(problem)

        return respond

    async def server(request: Request) -> ServerInfo:
        return ServerInfo("ratchet", project_version(), [])

    async def live(request: Request) -> Alive:
        return Alive(True)

    async def ready(request: Request) -> Response:
        up = service.champion is not None
        return Response(msgspec.json.encode(Ready(up)), 200 if up else 503, media_type=requests.JSON)

    async def model(request: Request) -> ModelInfo:
        found = at(service, request)
        versions = [str(number) for number in sorted(service.versions())]
        return info(found, versions)

    async def model_ready(request: Request) -> ModelReady:
        at(service, request)
        return ModelReady(service.problem, True)

    async def infer(request: Request) -> Inferred:
        found = at(service, request)
        question = requests.read(await requests.body(request, service.settings.limits), INFERENCE)
        texts = texts_of(question)
        wished = outputs_of(question)
        requests.check(texts, service.settings.limits)
        version = found.version if "version" in request.path_params else None
        answer = await service.answer(texts, requests.key(request), "infer", version)
        return inferred(answer, wished, question.id)

    paths = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
    of_model = [
        route
        for path in paths
        for route in (
            Route(f"{path}/infer", told(infer), methods=["POST"]),
            Route(f"{path}/ready", told(model_ready)),
            Route(path, told(model)),
        )
    ]
    return [
        Route("/v2", told(server)),
        Route("/v2/health/live", told(live)),
        Route("/v2/health/ready", ready),
        *of_model,
    ]


def as_error(problem: RequestError) -> Response:
    """The protocol's error body; what does not fit is a bad request in its words (400)."""
    status = 400 if problem.status == 422 else problem.status
    return Response(msgspec.json.encode(InferenceError(problem.detail)), status, problem.headers, requests.JSON)


def at(service: Service, request: Request) -> Live:
    """The model that a path names.

    Raises:
        Problem: there is no such model, or version (404); or none is live (503).
    """
    name, version = request.path_params["name"], request.path_params.get("version")
    if name != service.problem:
        raise RequestError(404, f"The model here is {service.problem}. Received: {name:.100}.")
    if service.champion is None:
        raise RequestError(503, "No version is live yet.", 1)
    if version is None:
        return service.champion
    for live in (service.champion, service.challenger):
        if live is not None and str(live.version) == version:
            return live
    raise RequestError(404, f"The versions that answer are {service.versions()}. Received: {version:.20}.")


def texts_of(question: Inference) -> list[str]:
    """The texts of a request.

    Raises:
        Problem: there is another tensor than the one of texts, or its shape or an element is another.
    """
    if [tensor.name for tensor in question.inputs] != [INPUT]:
        received = ", ".join(tensor.name for tensor in question.inputs[:20]) or "none"
        raise RequestError(422, f"The inputs must be one tensor named {INPUT!r}. Received: {received:.200}.")
    (tensor,) = question.inputs
    if tensor.datatype != "BYTES":
        raise RequestError(422, f"The datatype of {INPUT!r} must be BYTES. Received: {tensor.datatype:.20}.")
    texts = flat(tensor.data)
    if prod(tensor.shape) != len(texts) or max(tensor.shape[1:], default=1) > 1:
        raise RequestError(
            422, f"The shape must be [n] or [n, 1] with n elements. Received: {tensor.shape}, {len(texts)}."
        )
    for text in texts:
        if not isinstance(text, str):
            raise RequestError(422, f"Every element must be a string. Received: {requests.shown(text)}.")
    return texts


def flat(data: list[Any]) -> list[Any]:
    """The elements of a list that may hold lists of one element each."""
    return [element[0] if isinstance(element, list) and len(element) == 1 else element for element in data]


def outputs_of(question: Inference) -> tuple[str, ...]:
    """The outputs that are wanted.

    Raises:
        Problem: there is none of that name.
    """
    if not question.outputs:
        return OUTPUTS
    names = tuple(wish.name for wish in question.outputs)
    for name in names:
        if name not in OUTPUTS:
            raise RequestError(422, f"An output must be one of {', '.join(OUTPUTS)}. Received: {name:.100}.")
    return names


def inferred(answer: Answer, wished: tuple[str, ...], name: str | None) -> Inferred:
    rows, labels = len(answer.rows), len(answer.live.bundle.labels)
    outputs = {
        "label": lambda: Output("label", [rows], "BYTES", answer.labels),
        "score": lambda: Output("score", [rows], "FP64", answer.scores),
        "probabilities": lambda: Output(
            "probabilities", [rows, labels], "FP64", [each for row in answer.rows for each in row]
        ),
        "id": lambda: Output("id", [rows], "BYTES", answer.ids),
    }
    facts = answer.live.bundle.facts
    return Inferred(facts.problem, str(facts.version), [outputs[output]() for output in wished], name)


def info(live: Live, versions: list[str]) -> ModelInfo:
    labels = len(live.bundle.labels)
    outputs = [
        TensorInfo("label", "BYTES", [-1]),
        TensorInfo("score", "FP64", [-1]),
        TensorInfo("probabilities", "FP64", [-1, labels]),
        TensorInfo("id", "BYTES", [-1]),
    ]
    platform = f"ratchet_{live.bundle.facts.model}"
    return ModelInfo(live.bundle.facts.problem, versions, platform, [TensorInfo(INPUT, "BYTES", [-1])], outputs)
