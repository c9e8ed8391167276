"""The routes /openapi.json and /docs: the document, and Swagger UI to read it and to try the service.

Swagger UI comes from the package swagger-ui-py, whose code is never imported. Its files are read when a browser asks
for them. The page loads nothing from another host.
"""

from __future__ import annotations

import asyncio
import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ratchet.serving.answering.requests import JSON
from ratchet.serving.answering.service import Service
from ratchet.serving.docs import openapi
from ratchet.serving.docs.operations import DocumentedModel
from ratchet.serving.pages import html, translations

OWN_FILES = ("viewer.css", "viewer.js")
PACKAGE_FILES = ("swagger-ui.css", "swagger-ui-bundle.js")
MEDIA = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""The Content-Security-Policy of this page, the only one with scripts."""


def routes(service: Service) -> list[Route]:
    async def document(request: Request) -> Response:
        return Response(openapi.encoded(documented_model(service)), media_type=JSON)

    async def docs(request: Request) -> Response:
        return html.page(
            "docs.html",
            headers={"content-security-policy": SECURITY_POLICY},
            problem=service.problem,
            address={name: f"/docs/{name}?{await digest(name)}" for name in (*OWN_FILES, *PACKAGE_FILES)},
            try_title=translations.tables(service.task.unit)["en"].title,
            takes_feedback=service.task.can("feedback"),
        )

    return [
        Route("/openapi.json", document),
        Route("/docs", docs),
        *(Route(f"/docs/{name}", part) for name in (*OWN_FILES, *PACKAGE_FILES)),
    ]


async def part(request: Request) -> Response:
    """A file of the page. Its address changes with its content, so a browser never asks for it again."""
    file = path(request.url.path.rpartition("/")[2])
    content = await asyncio.to_thread(file.read_bytes)
    return Response(
        content, headers={"cache-control": "private, max-age=31536000, immutable", "content-type": MEDIA[file.suffix]}
    )


async def digest(name: str) -> str:
    """The start of a file's SHA-256."""
    return await asyncio.to_thread(digest_of, path(name))


@cache
def digest_of(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


@cache
def path(name: str) -> Path:
    """Where a file of the page lies.

    Raises:
        FileNotFoundError: swagger-ui-py is not installed.
    """
    if name in OWN_FILES:
        return Path(__file__).with_name(name)
    package = find_spec("swagger_ui")
    if package is None or package.origin is None:
        raise FileNotFoundError("The page /docs needs the package swagger-ui-py.")
    return Path(package.origin).with_name("static") / name


def documented_model(service: Service) -> DocumentedModel:
    """The champion; without one only the problem's name."""
    live = service.champion
    if live is None:
        return DocumentedModel(service.problem, task=service.task)
    return DocumentedModel(service.problem, str(live.version), live.bundle.labels, service.task)
