"""The Open Inference Protocol (V2), REST and JSON: health, metadata, infer. Inputs are BYTES tensors.

Input: `text`, shape [-1], inputs in their stored form.
Outputs: `label`, `score` and `id`, shape [-1]; `probabilities`, shape [-1, labels], for kinds of problems without
confidence called `outputs`. /feedback takes the id.
Source: open-inference-protocol, specification/protocol/inference_rest.md.
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
from ratchet.tasks import Task

INPUT = "text"
Size = Annotated[int, Meta(ge=0, le=10**9)]


def documented(**schema: object) -> Meta:
    """A constraint that only the OpenAPI document states; our own check gives a better message than the decoder's."""
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
    """A requested output."""

    name: Annotated[str, documented(enum=())]  # those of the kind of problem: `output_names`
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
    """The response; the outputs stand in the order of the request."""

    model_name: str
    model_version: str
    outputs: list[Output]
    id: str | None = None


class TensorInfo(Struct):
    name: str
    datatype: str
    shape: list[int]


class ModelInfo(Struct):
    """The inputs and outputs of a model."""

    name: str
    versions: Annotated[list[str], Meta(description="The versions that answer now.")]
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


def output_names(task: Task) -> tuple[str, ...]:
    """What /infer gives; the third is the matrix of the model's outputs."""
    return ("label", "score", "probabilities" if task.can("confidence") else "outputs", "id")


def routes(service: Service) -> list[Route]:
    task = service.task
    unit = task.unit

    def responding(handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def respond(request: Request) -> Response:
            try:
                return requests.json_response(await handler(request))
            except RequestError as error:
                return error_response(request, error)

        return respond

    async def server(request: Request) -> ServerInfo:
        return ServerInfo("ratchet", project_version(), [])

    async def health_live(request: Request) -> Alive:
        return Alive(True)

    async def health_ready(request: Request) -> Response:
        is_ready = service.champion is not None
        return Response(msgspec.json.encode(Ready(is_ready)), 200 if is_ready else 503, media_type=requests.JSON)

    async def model(request: Request) -> ModelInfo:
        live = find_model(service, request)
        return model_info(live, task, [str(version) for version in sorted(service.versions())])

    async def model_ready(request: Request) -> ModelReady:
        find_model(service, request)
        return ModelReady(service.problem, True)

    async def infer(request: Request) -> Inferred:
        live = find_model(service, request)
        inference = requests.decode(await requests.read_body(request, service.settings.limits, unit), INFERENCE)
        inputs = read_inputs(inference, task)
        outputs = requested_outputs(inference, output_names(task))
        requests.check_inputs(inputs, service.settings.limits, unit)
        version = live.version if "version" in request.path_params else None
        answer = await service.answer(inputs, requests.canary_key(request), "infer", version)
        return inferred(answer, outputs, inference.id)

    paths = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
    model_routes = [
        route
        for path in paths
        for route in (
            Route(f"{path}/infer", responding(infer), methods=["POST"]),
            Route(f"{path}/ready", responding(model_ready)),
            Route(path, responding(model)),
        )
    ]
    return [
        Route("/v2", responding(server)),
        Route("/v2/health/live", responding(health_live)),
        Route("/v2/health/ready", health_ready),
        *model_routes,
    ]


def error_response(request: Request, error: RequestError) -> Response:
    """The protocol's error body. It knows no status 422; a body of another shape is a bad request (400)."""
    status = 400 if error.status == 422 else error.status
    return Response(msgspec.json.encode(InferenceError(error.detail)), status, error.headers, requests.JSON)


def find_model(service: Service, request: Request) -> Live:
    """The model that the path names.

    Raises:
        RequestError: there is no such model or version (404), or none is live (503).
    """
    name = request.path_params["name"]
    version = request.path_params.get("version")
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


def read_inputs(inference: Inference, task: Task) -> list[str]:
    """The inputs of a request.

    Raises:
        RequestError: there is not one tensor `text` of BYTES, or its shape or an element does not fit (422).
    """
    if [tensor.name for tensor in inference.inputs] != [INPUT]:
        received = ", ".join(tensor.name for tensor in inference.inputs[:20]) or "none"
        raise RequestError(422, f"The inputs must be one tensor named {INPUT!r}. Received: {received:.200}.")
    (tensor,) = inference.inputs
    if tensor.datatype != "BYTES":
        raise RequestError(422, f"The datatype of {INPUT!r} must be BYTES. Received: {tensor.datatype:.20}.")
    values = flatten(tensor.data)
    if prod(tensor.shape) != len(values) or max(tensor.shape[1:], default=1) > 1:
        raise RequestError(
            422, f"The shape must be [n] or [n, 1] with n elements. Received: {tensor.shape}, {len(values)}."
        )
    for value in values:
        if not isinstance(value, str):
            raise RequestError(422, f"Every element must be a string. Received: {requests.abbreviate(value)}.")
    try:
        return list(map(task.answers.read_value, values))
    except ValueError as error:
        raise RequestError(422, str(error)) from None


def flatten(data: list[Any]) -> list[Any]:
    """The elements of a list, in which each may stand in a list of its own."""
    return [element[0] if isinstance(element, list) and len(element) == 1 else element for element in data]


def requested_outputs(inference: Inference, possible: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the requested outputs; all of them where the request names none.

    Raises:
        RequestError: a name is unknown (422).
    """
    if not inference.outputs:
        return possible
    names = tuple(output.name for output in inference.outputs)
    for name in names:
        if name not in possible:
            raise RequestError(422, f"An output must be one of {', '.join(possible)}. Received: {name:.100}.")
    return names


def inferred(answer: Answer, names: tuple[str, ...], request_id: str | None) -> Inferred:
    """The response, with the outputs of these names."""
    facts = answer.live.bundle.facts
    count = len(answer.rows)
    columns: dict[str, tuple[str, list[Any]]] = {
        "label": ("BYTES", answer.labels),
        "score": ("FP64", answer.scores),
        "id": ("BYTES", answer.ids),
    }

    def output(name: str) -> Output:
        if name in columns:
            return Output(name, [count], *columns[name])
        shape = [count, len(answer.live.bundle.labels)]
        return Output(name, shape, "FP64", [value for row in answer.rows for value in row])

    return Inferred(facts.problem, str(facts.version), list(map(output, names)), request_id)


def model_info(live: Live, task: Task, versions: list[str]) -> ModelInfo:
    facts = live.bundle.facts
    inputs = [TensorInfo(INPUT, "BYTES", [-1])]
    matrix = [-1, len(live.bundle.labels)]
    label, score, values, name = output_names(task)
    outputs = [
        TensorInfo(label, "BYTES", [-1]),
        TensorInfo(score, "FP64", [-1]),
        TensorInfo(values, "FP64", matrix),
        TensorInfo(name, "BYTES", [-1]),
    ]
    return ModelInfo(facts.problem, versions, f"ratchet_{facts.model}", inputs, outputs)
