"""The routes /openapi.json and /docs: the document as a page, with commands that work at the address of the request."""

from __future__ import annotations

import json
import shlex
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ratchet.problem.settings import Limits
from ratchet.serving.answering.requests import JSON
from ratchet.serving.answering.service import Service
from ratchet.serving.api import predict
from ratchet.serving.docs import openapi
from ratchet.serving.docs.operations import EXAMPLE_ID, DocumentedModel
from ratchet.serving.pages import html, translations
from ratchet.serving.pages.try_page import FORM
from ratchet.tasks import Task

Document = dict[str, Any]
Schema = dict[str, Any]


def routes(service: Service) -> list[Route]:
    async def document(request: Request) -> Response:
        return Response(openapi.encoded(documented_model(service)), media_type=JSON)

    async def docs(request: Request) -> Response:
        about = openapi.document(documented_model(service))
        has_token = "authorization" in request.headers  # the guard has accepted it
        address = f"{request.url.scheme}://{request.url.netloc}"
        return html.page(
            "docs.html",
            about=about,
            token=has_token,
            refusals=refusals(about),
            sections=sections(about, CommandWriter(address, has_token, service.task)),
            shapes=shapes(about),
            limits=limits(service.settings.limits, service.task),
            try_title=translations.tables(service.task.unit)["en"].title,
            takes_feedback=service.task.can("feedback"),
        )

    return [Route("/openapi.json", document), Route("/docs", docs)]


def documented_model(service: Service) -> DocumentedModel:
    """The champion; without one only the problem's name."""
    live = service.champion
    if live is None:
        return DocumentedModel(service.problem, task=service.task)
    return DocumentedModel(service.problem, str(live.version), live.bundle.labels, service.task)


class CommandWriter:
    """Writes curl commands for the examples of an operation.

    Args:
        address: scheme, host and port of the service.
        has_token: whether the commands send the token, from RATCHET_TOKEN.
        task: the kind of problem.
    """

    def __init__(self, address: str, has_token: bool, task: Task) -> None:
        self._address = address
        self._question = task.wire.question(task.wire.EXAMPLES[:1])
        self._curl = 'curl -s -H "Authorization: Bearer $RATCHET_TOKEN"' if has_token else "curl -s"

    def commands(self, method: str, path: str, operation: dict[str, Any]) -> list[str]:
        """One command for each example body, or a single one without a body; one more for each example of a query."""
        parameters = operation.get("parameters", ())
        for parameter in parameters:
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", parameter["example"])
        url = f"{self._address}{path}"
        bodies = example_bodies(operation)
        if not bodies:
            return [f"{self._curl} {shlex.quote(url)}"]
        queries = [
            f"{url}?{parameter['name']}={parameter['example']}"
            for parameter in parameters
            if parameter["in"] == "query" and "example" in parameter
        ]
        commands = [self._post(url, media, body) for media, body in bodies]
        return commands + [self._post(query, *bodies[0]) for query in queries]

    def _post(self, url: str, media: str, body: Any) -> str:
        """A command that sends a body. If the body has an id, a first command asks for a prediction to get one."""
        data = curl_data(media, body)
        if EXAMPLE_ID not in data:
            return f"{self._curl} {shlex.quote(url)} {data}"
        predict_command = self._post(f"{self._address}/predict", JSON, self._question)
        data = data.replace(EXAMPLE_ID, "'\"$ID\"'")
        return f"ID=$({predict_command} | grep -o '[0-9a-f]\\{{32\\}}')\n{self._curl} {shlex.quote(url)} {data}"


def curl_data(media: str, body: Any) -> str:
    """curl's options for a body; each field of a form is an option of its own, which curl encodes."""
    if media == FORM:
        return " ".join(f"--data-urlencode {quote(f'{name}={value}')}" for name, value in body.items())
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return f"-H 'Content-Type: {media}' --data-binary {quote(text)}"


def quote(text: str) -> str:
    """Quote for a shell. Unlike `shlex.quote` always with single quotes, out of which the id is cut."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def example_bodies(operation: dict[str, Any]) -> list[tuple[str, Any]]:
    """The example request bodies of an operation, each with its media type."""
    content = operation.get("requestBody", {"content": {}})["content"]
    return [
        (media, example["value"]) for media, body in content.items() for example in body.get("examples", {}).values()
    ]


def example_answers(operation: dict[str, Any]) -> list[Any]:
    """The example answers of an operation."""
    bodies = [body for response in operation["responses"].values() for body in response.get("content", {}).values()]
    return [example["value"] for body in bodies for example in body.get("examples", {}).values()]


def sections(about: Document, writer: CommandWriter) -> list[dict[str, Any]]:
    """The operations by section, as the template shows them."""
    operations = [
        (method, path, operation) for path, methods in about["paths"].items() for method, operation in methods.items()
    ]
    return [
        {
            "name": tag["name"],
            "anchor": tag["name"].lower().replace(" ", "-"),
            "description": tag["description"],
            "operations": [
                operation_values(method, path, operation, writer)
                for method, path, operation in operations
                if operation["tags"] == [tag["name"]]
            ],
        }
        for tag in about["tags"]
    ]


def operation_values(method: str, path: str, operation: dict[str, Any], writer: CommandWriter) -> dict[str, Any]:
    """An operation, as the template shows it."""
    return {
        "method": method,
        "path": path,
        "name": operation["operationId"],
        "summary": operation["summary"],
        "parameters": [
            {"name": parameter["name"], "place": parameter["in"], "description": parameter["description"]}
            for parameter in operation.get("parameters", ())
        ],
        "bodies": body_shapes(operation.get("requestBody", {})),
        "answers": answers(operation["responses"]),
        "commands": writer.commands(method, path, operation),
        "examples": [json.dumps(answer, ensure_ascii=False, indent=2) for answer in example_answers(operation)],
    }


def limits(current: Limits, task: Task) -> dict[str, str]:
    """The limits of a request by what they limit, in words."""
    unit = task.unit
    explained = (
        f"{predict.MAX_EXPLAINED_TEXTS} {unit}s of a request, {predict.MAX_EXPLAINED_CHARACTERS:,} characters together"
    )
    return {
        "a request": f"{current.body_mb:g} MB, {current.texts:,} {unit}s, here within {current.seconds:g} s",
        f"a {unit}": f"{current.characters:,} characters",
        **({"explained": explained} if task.can("explanation") else {}),
        "all together": f"{current.waiting_mb:g} MB of requests at a time; then 503 with Retry-After",
    }


def answers(responses: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers of an operation; statuses with the same bodies share an entry."""
    entries: dict[str, dict[str, Any]] = {}
    for status, response in responses.items():
        bodies = body_shapes(response)
        entries.setdefault(repr(bodies), {"statuses": [], "bodies": bodies})["statuses"].append(status)
    return list(entries.values())


def refusals(about: Document) -> dict[str, str]:
    """The description of each status from 400 on, sorted."""
    operations = [operation for methods in about["paths"].values() for operation in methods.values()]
    descriptions = {
        status: response["description"]
        for operation in operations
        for status, response in operation["responses"].items()
    }
    return {status: descriptions[status] for status in sorted(descriptions) if status >= "400"}


def body_shapes(record: dict[str, Any]) -> list[dict[str, str]]:
    """The media types of a request body or a response, each with the name of its schema; empty where it has none."""
    shapes = []
    for media, content in record.get("content", {}).items():
        schema = content.get("schema", {})
        alternatives = schema.get("anyOf", [schema])
        shapes += [{"media": media, "shape": referenced_name(alternative)} for alternative in alternatives]
    return shapes


def referenced_name(schema: Schema) -> str:
    """The name in a schema's `$ref`; empty where it has none."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def shapes(about: Document) -> list[dict[str, Any]]:
    """The document's named schemas, as the template shows them."""
    return [
        {"name": name, "description": schema["description"], "fields": fields(schema)}
        for name, schema in about["components"]["schemas"].items()
    ]


def fields(schema: Schema) -> list[dict[str, str]]:
    """The fields of a schema: name, type in words, description."""
    required = schema.get("required", [])
    entries = []
    for name, field in schema.get("properties", {}).items():
        optional = "" if name in required else ", may be left out"
        description = f". {field['description']}" if "description" in field else ""
        entries.append({"name": name, "description": f"{type_in_words(field)}{optional}{description}"})
    return entries


def type_in_words(schema: Schema) -> str:
    """A schema's type in words: `list of text`, `Tensor`, `text or null`."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_in_words(alternative) for alternative in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", (schema.get("const"),))
        return "one of " + ", ".join(json.dumps(value, ensure_ascii=False) for value in values)
    if "$ref" in schema:
        return referenced_name(schema)
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        return " or ".join(type_in_words({"type": alternative}) for alternative in kind)
    if kind == "array":
        return f"list of {type_in_words(schema['items'])}" if "items" in schema else "list"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {type_in_words(schema['additionalProperties'])}"
    words = {"string": "text", "object": "object", "integer": "whole number", "boolean": "true or false"}
    return words.get(kind, str(kind))
