"""/openapi.json, and /docs: the same document as a page, with commands that work at the address asked under."""

from __future__ import annotations

import json
import shlex
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ratchet.project.settings import Limits
from ratchet.serving.answering.requests import JSON
from ratchet.serving.answering.service import Service
from ratchet.serving.api import predict
from ratchet.serving.docs import openapi
from ratchet.serving.docs.operations import SAID, SOME_ID, Answering
from ratchet.serving.pages import html
from ratchet.serving.pages.try_page import FORM

Document = dict[str, Any]


def routes(service: Service) -> list[Route]:
    async def described(request: Request) -> Response:
        return Response(openapi.encoded(answering(service)), media_type=JSON)

    async def docs(request: Request) -> Response:
        about = openapi.document(answering(service))
        token = "authorization" in request.headers  # whoever gave one came in by it
        address = f"{request.url.scheme}://{request.url.netloc}"
        shell = Shell(address, token)
        return html.page(
            "docs.html",
            about=about,
            token=token,
            refusals=refusals(about),
            parts=parts(about, shell),
            shapes=shapes(about),
            limits=limits(service.settings.limits),
        )

    return [Route("/openapi.json", described), Route("/docs", docs)]


def answering(service: Service) -> Answering:
    """The champion; nothing but the problem's name where none is live."""
    live = service.champion
    if live is None:
        return Answering(service.problem)
    return Answering(service.problem, str(live.version), live.bundle.labels)


class Shell:
    """Writes commands for a shell. token: whether they carry one, from RATCHET_TOKEN."""

    def __init__(self, address: str, token: bool) -> None:
        self._address = address
        self._curl = 'curl -s -H "Authorization: Bearer $RATCHET_TOKEN"' if token else "curl -s"

    def commands(self, method: str, path: str, way: dict[str, Any]) -> list[str]:
        """One for each example of a body, or the one without; and one for each query that has an example."""
        given = way.get("parameters", ())
        for each in given:
            if each["in"] == "path":
                path = path.replace(f"{{{each['name']}}}", each["example"])
        url = f"{self._address}{path}"
        bodies = examples(way)
        told = [self._asked(url, media, body) for media, body in bodies] or [f"{self._curl} {shlex.quote(url)}"]
        queries = [
            f"{url}?{each['name']}={each['example']}" for each in given if each["in"] == "query" and "example" in each
        ]
        return told + [self._asked(query, *bodies[0]) for query in queries if bodies]

    def _asked(self, url: str, media: str, body: Any) -> str:
        """A command that sends a body; first one that gets an id, where the body has one."""
        data, first = sent(media, body), ""
        if SOME_ID in data:
            asked = self._asked(f"{self._address}/predict", JSON, {"texts": [SAID]})
            first, data = f"ID=$({asked} | grep -o '[0-9a-f]\\{{32\\}}')\n", data.replace(SOME_ID, "'\"$ID\"'")
        return f"{first}{self._curl} {shlex.quote(url)} {data}"


def sent(media: str, body: Any) -> str:
    """What curl is told of a body; a field of a form is a word of its own, whatever is in it."""
    if media == FORM:
        return " ".join(f"--data-urlencode {quoted(f'{name}={value}')}" for name, value in body.items())
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return f"-H 'Content-Type: {media}' --data-binary {quoted(text)}"


def quoted(text: str) -> str:
    """Between single quotes in any case, so that what stands for an id can be cut out."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def examples(way: dict[str, Any]) -> list[tuple[str, Any]]:
    """The example bodies of an operation, each with its media type."""
    content = way.get("requestBody", {"content": {}})["content"]
    return [(media, each["value"]) for media, form in content.items() for each in form.get("examples", {}).values()]


def parts(about: Document, shell: Shell) -> list[dict[str, Any]]:
    """The operations by their part, as the page shows them."""
    ways = [(method, path, way) for path, ways in about["paths"].items() for method, way in ways.items()]
    return [
        {
            "name": tag["name"],
            "anchor": tag["name"].lower().replace(" ", "-"),
            "words": tag["description"],
            "ways": [shown(*each, shell) for each in ways if each[2]["tags"] == [tag["name"]]],
        }
        for tag in about["tags"]
    ]


def shown(method: str, path: str, way: dict[str, Any], shell: Shell) -> dict[str, Any]:
    return {
        "method": method,
        "path": path,
        "name": way["operationId"],
        "summary": way["summary"],
        "parameters": [
            {"name": each["name"], "place": each["in"], "words": each["description"]}
            for each in way.get("parameters", ())
        ],
        "takes": forms(way.get("requestBody", {})),
        "answers": answers(way["responses"]),
        "commands": shell.commands(method, path, way),
        "told": [json.dumps(each, ensure_ascii=False, indent=2) for each in told(way)],
    }


def told(way: dict[str, Any]) -> list[Any]:
    """The example answers of an operation."""
    bodies = [body for answer in way["responses"].values() for body in answer.get("content", {}).values()]
    return [each["value"] for body in bodies for each in body.get("examples", {}).values()]


def limits(now: Limits) -> dict[str, str]:
    """What a request may be, as the settings have it now."""
    return {
        "a request": f"{now.body_mb:g} MB, {now.texts:,} texts, here within {now.seconds:g} s",
        "a text": f"{now.characters:,} characters",
        "explained": f"{predict.MOST_EXPLAINED} texts of a request, {predict.MOST_CHARACTERS:,} characters together",
        "all together": f"{now.waiting_mb:g} MB of requests at a time; then 503 with Retry-After",
    }


def answers(responses: dict[str, Any]) -> list[dict[str, Any]]:
    """Statuses that have the same body together, in their order."""
    found: dict[str, dict[str, Any]] = {}
    for status, told in responses.items():
        body = forms(told)
        found.setdefault(repr(body), {"statuses": [], "forms": body})["statuses"].append(status)
    return list(found.values())


def refusals(about: Document) -> dict[str, str]:
    """What each status but 200 says, in their order."""
    ways = [way for ways in about["paths"].values() for way in ways.values()]
    said = {status: told["description"] for way in ways for status, told in way["responses"].items()}
    return {status: said[status] for status in sorted(said) if status >= "400"}


def forms(told: dict[str, Any]) -> list[dict[str, str]]:
    """Media types, each with the name of its shape; empty where it has none."""
    found = []
    for media, content in told.get("content", {}).items():
        schema = content.get("schema", {})
        alternatives = schema.get("anyOf", [schema])
        found += [{"media": media, "shape": referred(each)} for each in alternatives]
    return found


def referred(schema: dict[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def shapes(about: Document) -> list[dict[str, Any]]:
    """The document's schemas: of each its name, what it is for, and its fields in words."""
    return [
        {"name": name, "words": schema["description"], "fields": fields(schema)}
        for name, schema in about["components"]["schemas"].items()
    ]


def fields(schema: dict[str, Any]) -> list[dict[str, str]]:
    needed = schema.get("required", [])
    return [
        {"name": name, "words": f"{kind(each)}{'' if name in needed else ', may be left out'}{described(each)}"}
        for name, each in schema.get("properties", {}).items()
    ]


def described(schema: dict[str, Any]) -> str:
    return f". {schema['description']}" if "description" in schema else ""


def kind(schema: dict[str, Any]) -> str:
    """A schema in words: `list of text`, `Tensor`, `text or null`."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind(each) for each in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        allowed = schema.get("enum", (schema.get("const"),))
        return "one of " + ", ".join(json.dumps(each, ensure_ascii=False) for each in allowed)
    if "$ref" in schema:
        return referred(schema)
    named = schema.get("type", "anything")
    if isinstance(named, list):
        return " or ".join(kind({"type": each}) for each in named)
    if named == "array":
        return f"list of {kind(schema['items'])}" if "items" in schema else "list"
    words = {"string": "text", "object": "object", "integer": "whole number", "boolean": "true or false"}
    if named == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {kind(schema['additionalProperties'])}"
    return words.get(named, str(named))
