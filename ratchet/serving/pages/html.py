"""Pages: the templates of this folder made into answers in which no script and no other host has a part.

The style stands in the page and is allowed by its hash, so a page is one request. Jinja2 is loaded at the first page.
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
    """The template with these values; whatever they hold is escaped."""
    text = environment().get_template(template).render(values)
    guarded = {"content-security-policy": policy(), "cache-control": "no-store"} | (headers or {})
    return Response(text, status, guarded, MEDIA)


@cache
def environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals["style"] = Markup(style())
    made.filters["spoken"] = spoken
    return made


def spoken(words: str) -> Markup:
    """Words for a page: what stands between backticks as code."""
    from markupsafe import Markup, escape

    parts = words.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


@cache
def style() -> str:
    return (TEMPLATES / "page.css").read_text(encoding="utf-8")


@cache
def policy() -> str:
    """The Content-Security-Policy of every page."""
    digest = base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
