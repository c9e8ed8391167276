"""What comes in: bodies within their bounds, JSON of the shape that is asked for; and what goes out when it is not.

Our own routes answer with RFC 9457 problem details. The two protocols have error bodies of their own, and say the same
sentence in them.
"""

from __future__ import annotations

import asyncio
import reprlib
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from ratchet.project.settings import Limits

MEGABYTE = 1_000_000
Wanted = TypeVar("Wanted")
MOST_SAID = 300
"""Characters of what a decoder says, which may repeat a name of any length."""
JSON = "application/json"
DETAILS = "application/problem+json"
TITLES = {
    400: "Bad request", 401: "Token needed", 403: "Not from there", 404: "Not found", 405: "Not that way",
    408: "Too slow", 413: "Too large", 415: "Not a kind that is read here", 422: "Not possible", 503: "Not now",
    500: "A fault of the service",
}  # fmt: skip


class RequestError(Exception):
    """A request that is not answered: the status, and why in a sentence. retry: seconds, for Retry-After."""

    def __init__(self, status: int, detail: str, retry: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.retry = status, detail, retry

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry is None else {"retry-after": str(self.retry)}


class Details(Struct):
    """Why a request is not answered, as RFC 9457 has it. detail: the rule, and what was received."""

    type: str
    title: str
    status: int
    detail: str


def as_details(problem: RequestError) -> Response:
    body = Details("about:blank", TITLES.get(problem.status, "Error"), problem.status, problem.detail)
    return Response(msgspec.json.encode(body), problem.status, problem.headers, DETAILS)


def as_json(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type=JSON)


async def body(request: Request, limits: Limits) -> bytes:
    """The whole body.

    Raises:
        Problem: it is too large, or does not come in time.
    """
    most = int(limits.body_mb * MEGABYTE)
    message = await request.receive()
    raw: bytes = message.get("body", b"")
    if message.get("more_body", False) and len(raw) <= most:
        try:
            async with asyncio.timeout(limits.seconds):  # a body that is here already needs no clock
                raw += await rest(request, most - len(raw))
        except TimeoutError:
            raise RequestError(408, f"A request must be here within {limits.seconds:g} s.") from None
    elif message["type"] == "http.disconnect":
        raise RequestError(400, "The client went away.")
    if len(raw) > most:
        raise too_large(limits)
    return raw


async def rest(request: Request, most: int) -> bytes:
    """What is still to come of a body; a byte more than `most` at least, where it is too large."""
    parts, size = list[bytes](), 0
    while size <= most:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise RequestError(400, "The client went away.")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body", False):
            break
    return b"".join(parts)


def too_large(limits: Limits) -> RequestError:
    return RequestError(413, f"A request may have {limits.body_mb:g} MB. Send fewer texts at a time.")


def read(raw: bytes, decoder: msgspec.json.Decoder[Wanted]) -> Wanted:
    """The body as what is wanted.

    Raises:
        Problem: it is no JSON (400), or JSON of another shape (422); the sentence names the place.
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise RequestError(422, f"{error!s:.{MOST_SAID}}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(400, f"The body must be JSON in UTF-8. {error}.") from None


def shown(value: object) -> str:
    """What was received, for a refusal: cut short without looking at all of it, which may be megabytes."""
    return f"{reprlib.repr(value):.100}"


def check(texts: Sequence[str], limits: Limits) -> None:
    """Return where there are no more and no longer texts than one request may have.

    Raises:
        Problem: there are.
    """
    if len(texts) > limits.texts:
        raise RequestError(413, f"A request may have {limits.texts:,} texts. Received: {len(texts):,}.")
    longest = max(map(len, texts), default=0)
    if longest > limits.characters:
        raise RequestError(413, f"A text may have {limits.characters:,} characters. Received: one of {longest:,}.")


def key(request: Request) -> str | None:
    """What the canary goes by: the header Ratchet-Key, where the client sends one."""
    return request.headers.get("ratchet-key")
