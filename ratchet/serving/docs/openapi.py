"""The OpenAPI 3.1 document of the service: the table of operations, and the schemas of the Structs that it names."""

from __future__ import annotations

from functools import lru_cache
from inspect import cleandoc
from typing import Any

import msgspec

from ratchet.project.paths import project_version
from ratchet.serving.answering.requests import TITLES
from ratchet.serving.api import predict
from ratchet.serving.docs.operations import ANY, BODY, PARTS, Answering, Content, Operation, Parameter, operations
from ratchet.serving.pages import try_page

ABOUT = (
    "Answers with the version of the model that is live, by three protocols. An address that is not here gives 404, "
    "and one that is asked with another method 405. A refusal says the rule and what was received. 503 comes with "
    "Retry-After: ask again then. Where the service has a token (RATCHET_TOKEN), every request carries it, but for "
    "those that ask whether it lives."
)
TOKEN: dict[str, Any] = {"type": "http", "scheme": "bearer", "description": "RATCHET_TOKEN, where the service has one."}
WORDS = {
    200: "The answer itself, where texts are not kept.",
    401: "The token is missing or wrong.",
    403: "Asked under a name that is not this service's, or from another site's page.",
    404: "What was named is not there.",
    413: "More than one request may have: bytes, texts, or characters of a text.",
    503: "No version is live, or there is no room now.",
}
RETRY = {"Retry-After": {"description": "Seconds", "schema": {"type": "string", "pattern": "^[0-9]+$"}}}


@lru_cache(maxsize=4)
def document(model: Answering) -> dict[str, Any]:
    """The document; whoever gets it leaves it as it is."""
    table = operations(model)
    schemas, components = schemas_of(table)
    if model.labels:
        for name in (predict.Correction.__name__, try_page.Verdict.__name__):
            components[name]["properties"]["label"]["enum"] = model.labels
    paths: dict[str, dict[str, Any]] = {}
    for operation in table:
        paths.setdefault(operation.path, {})[operation.method] = described(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Ratchet: {model.problem}", "version": project_version(), "description": ABOUT},
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "tags": [{"name": name, "description": words} for name, words in PARTS.items()],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": TOKEN}},
    }


@lru_cache(maxsize=4)
def encoded(model: Answering) -> bytes:
    return msgspec.json.encode(document(model))


def contents(operation: Operation) -> tuple[Content, ...]:
    answer = () if operation.answer is None else (operation.answer,)
    return (*answer, *operation.takes, operation.errors, *(content for _, content in operation.other))


def schemas_of(table: tuple[Operation, ...]) -> tuple[dict[int, Any], dict[str, Any]]:
    """The schema of each content, by its identity, and those that they refer to, by name."""
    checked = [content for operation in table for content in contents(operation) if content.type is not None]
    found, components = msgspec.json.schema_components(
        [content.type for content in checked], ref_template="#/components/schemas/{name}"
    )
    for schema in components.values():
        schema["description"] = cleandoc(schema.get("description", ""))
    return {id(content): schema for content, schema in zip(checked, found, strict=True)}, components


def described(operation: Operation, schemas: dict[int, Any]) -> dict[str, Any]:
    """An operation as OpenAPI has it."""
    found: dict[str, Any] = {
        "tags": [operation.part],
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": responses(operation, schemas),
    }
    if operation.parameters:
        found["parameters"] = [parameter(each) for each in operation.parameters]
    if operation.takes:
        found["requestBody"] = {"required": True, "content": body(operation.takes, schemas)}
    if operation.open:
        found["security"] = []
    return found


def responses(operation: Operation, schemas: dict[int, Any]) -> dict[str, Any]:
    """Every status that the operation can give, with its body."""
    found: dict[str, Any] = {str(operation.status): {"description": "The answer."}}
    if operation.answer is not None:
        found[str(operation.status)]["content"] = body((operation.answer,), schemas)
    for status in refusals(operation):
        forms = tuple(content for at, content in operation.other if at == status) or (operation.errors,)
        told = {"description": WORDS.get(status) or f"{TITLES[status]}.", "content": body(forms, schemas)}
        found[str(status)] = told | ({"headers": RETRY} if status == 503 else {})
    return found


def refusals(operation: Operation) -> list[int]:
    """The statuses of an operation's refusals, in order."""
    found = {*ANY, *operation.refusals, *(status for status, _ in operation.other)}
    return sorted(found | set(BODY if operation.takes else ()) | set(() if operation.open else (401,)))


def body(forms: tuple[Content, ...], schemas: dict[int, Any]) -> dict[str, Any]:
    """Media types, each with its schema and examples; two bodies of one media type are one or the other."""
    found: dict[str, Any] = {}
    for content in forms:
        told = found.setdefault(content.media.partition(";")[0], {})
        if content.type is not None:
            schema = schemas[id(content)]
            told["schema"] = {"anyOf": [told["schema"], schema]} if "schema" in told else schema
        if content.examples:
            told["examples"] = {name: {"value": value} for name, value in content.examples}
    return found


def parameter(given: Parameter) -> dict[str, Any]:
    told = {
        "name": given.name,
        "in": given.place,
        "required": given.place == "path",
        "description": given.words,
        "schema": dict(given.schema),
    }
    return told | ({} if given.example is None else {"example": given.example})
