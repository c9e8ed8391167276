"""The OpenAPI 3.1 document: made from the table of operations and the schemas of its Structs."""

from __future__ import annotations

from functools import lru_cache
from inspect import cleandoc
from typing import Any

import msgspec

from ratchet.project.paths import project_version
from ratchet.serving.answering.requests import TITLES
from ratchet.serving.api import open_inference
from ratchet.serving.docs.operations import (
    ANY_BODY,
    ANY_REQUEST,
    Content,
    DocumentedModel,
    Operation,
    Parameter,
    operations,
    sections,
)
from ratchet.serving.pages import try_page
from ratchet.tasks import Task

ABOUT = (
    "Answers with the version of the model that is live, by three protocols. An unknown address gives 404, another "
    "method 405. A refusal states the rule and what was received. 503 comes with Retry-After: ask again then. Where "
    "the service has a token (RATCHET_TOKEN), every request must carry it, except the health checks."
)
TOKEN: dict[str, Any] = {"type": "http", "scheme": "bearer", "description": "RATCHET_TOKEN, where the service has one."}
DESCRIPTIONS = {
    200: "The answer itself, where {unit}s are not kept.",
    401: "The token is missing or wrong.",
    403: "The host name is not one of this service's, or the request comes from another site's page.",
    404: "There is no such id, model or version; at /ping: no version is live.",
    413: "The request has too many bytes or {unit}s, or a {unit} too many characters.",
    503: "No version is live, or there is no room now.",
}
RETRY = {"Retry-After": {"description": "Seconds", "schema": {"type": "string", "pattern": "^[0-9]+$"}}}


@lru_cache(maxsize=4)
def document(model: DocumentedModel) -> dict[str, Any]:
    """The document. It is cached: do not change it."""
    table = operations(model)
    schemas, components = schemas_of(table)
    describe(components, model)
    paths: dict[str, dict[str, Any]] = {}
    for operation in table:
        paths.setdefault(operation.path, {})[operation.method] = operation_object(operation, schemas, model.task)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Ratchet: {model.problem}", "version": project_version(), "description": ABOUT},
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "tags": [{"name": name, "description": description} for name, description in sections(model.task).items()],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": TOKEN}},
    }


@lru_cache(maxsize=4)
def encoded(model: DocumentedModel) -> bytes:
    """The document as JSON."""
    return msgspec.json.encode(document(model))


def contents(operation: Operation) -> tuple[Content, ...]:
    """All bodies of an operation, of requests and of answers."""
    answer = () if operation.answer is None else (operation.answer,)
    return (*answer, *operation.bodies, operation.errors, *(content for _, content in operation.other))


def schemas_of(table: tuple[Operation, ...]) -> tuple[dict[int, Any], dict[str, Any]]:
    """The JSON schemas of all bodies.

    Returns:
        schemas: of each content, by its `id()`.
        components: the schemas that these refer to, by name.
    """
    checked = [content for operation in table for content in contents(operation) if content.type is not None]
    schemas, components = msgspec.json.schema_components(
        [content.type for content in checked], ref_template="#/components/schemas/{name}"
    )
    for schema in components.values():
        schema["description"] = cleandoc(schema.get("description", ""))
    return {id(content): schema for content, schema in zip(checked, schemas, strict=True)}, components


def describe(components: dict[str, Any], model: DocumentedModel) -> None:
    """Complete the schemas with what the kind of problem and the live model say."""
    wire, unit = model.task.wire, model.task.unit
    components["Attempt"]["description"] = f"A {unit} to be tried."
    components["Predictions"]["description"] = f"The answers, in the order of the {unit}s, all by one version."
    components["Scores"]["description"] = f"One object a {unit}: {wire.TABLE}."
    components["Wish"]["properties"]["name"]["enum"] = open_inference.output_names(model.task)
    choices = wire.choices(model.labels)
    for name in (wire.Correction.__name__, try_page.Verdict.__name__) if choices else ():
        if name in components:
            components[name]["properties"]["label"]["enum"] = choices


def operation_object(operation: Operation, schemas: dict[int, Any], task: Task) -> dict[str, Any]:
    """OpenAPI's Operation Object."""
    record: dict[str, Any] = {
        "tags": [operation.section],
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": responses(operation, schemas, task),
    }
    if operation.parameters:
        record["parameters"] = [parameter_object(parameter) for parameter in operation.parameters]
    if operation.bodies:
        record["requestBody"] = {"required": True, "content": media_types(operation.bodies, schemas)}
    if operation.is_open:
        record["security"] = []
    return record


def responses(operation: Operation, schemas: dict[int, Any], task: Task) -> dict[str, Any]:
    """Every status of an operation, with its bodies."""
    success: dict[str, Any] = {"description": "The answer."}
    if operation.answer is not None:
        success["content"] = media_types((operation.answer,), schemas)
    records = {str(operation.status): success}
    for status in refusals(operation):
        bodies = tuple(content for code, content in operation.other if code == status) or (operation.errors,)
        record = {
            "description": DESCRIPTIONS.get(status, f"{TITLES.get(status)}.").format(unit=task.unit),
            "content": media_types(bodies, schemas),
        }
        records[str(status)] = record | ({"headers": RETRY} if status == 503 else {})
    return records


def refusals(operation: Operation) -> list[int]:
    """The statuses of an operation's refusals, sorted."""
    statuses = {*ANY_REQUEST, *operation.refusals, *(status for status, _ in operation.other)}
    if operation.bodies:
        statuses |= set(ANY_BODY)
    if not operation.is_open:
        statuses.add(401)
    return sorted(statuses)


def media_types(bodies: tuple[Content, ...], schemas: dict[int, Any]) -> dict[str, Any]:
    """By media type, the schema and the examples; bodies of the same media type are joined by anyOf."""
    records: dict[str, Any] = {}
    for content in bodies:
        record = records.setdefault(content.media.partition(";")[0], {})
        if content.type is not None:
            schema = schemas[id(content)]
            record["schema"] = {"anyOf": [record["schema"], schema]} if "schema" in record else schema
        if content.examples:
            record["examples"] = {name: {"value": value} for name, value in content.examples}
    return records


def parameter_object(parameter: Parameter) -> dict[str, Any]:
    """OpenAPI's Parameter Object."""
    record = {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    return record | ({} if parameter.example is None else {"example": parameter.example})
