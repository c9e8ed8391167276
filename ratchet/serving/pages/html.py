"""Renders the templates of this folder into pages without scripts and without requests to other hosts.

The style sheet is part of the page and allowed by its hash, so a page is one request. Jinja2 is imported when the first
page is rendered.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
MEDIA = "text/html; charset=utf-8"


def page(template: str, status: int = 200, headers: dict[str, str] | None = None, **values: Any) -> Response:
    """Render a template; all values are escaped."""
    text = environment().get_template(template).render(values)
    page_headers = {"content-security-policy": content_security_policy(), "cache-control": "no-store"}
    return Response(text, status, page_headers | (headers or {}), MEDIA)


@cache
def environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    jinja = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    jinja.globals["style"] = Markup(style_sheet())
    jinja.filters["code_spans"] = code_spans
    return jinja


def code_spans(text: str) -> Markup:
    """Escape a text, and set the parts between backticks as code."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


@cache
def style_sheet() -> str:
    return (TEMPLATES / "page.css").read_text(encoding="utf-8")


@cache
def content_security_policy() -> str:
    """The Content-Security-Policy of every page."""
    digest = base64.b64encode(hashlib.sha256(style_sheet().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
