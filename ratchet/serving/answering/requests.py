"""Reading requests: bodies within their limits, JSON of a given shape; and the error that refuses all others.

Our own routes answer with RFC 9457 problem details. The two foreign protocols put the same sentence into error bodies
of their own.
"""

from __future__ import annotations

import asyncio
import reprlib
from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from ratchet.problem.settings import Limits

MEGABYTE = 1_000_000
Body = TypeVar("Body")
MAX_DECODER_MESSAGE = 300
"""Characters of a decoder's message that are shown; it may repeat a name of any length."""
JSON = "application/json"
DETAILS = "application/problem+json"
TITLES = {
    400: "Bad request", 401: "Token needed", 403: "Not from there", 404: "Not found", 405: "Not that way",
    408: "Too slow", 413: "Too large", 415: "Not a kind that is read here", 422: "Not possible", 503: "Not now",
    500: "A fault of the service",
}  # fmt: skip


class RequestError(Exception):
    """A request is refused.

    Attributes:
        status: of the response.
        detail: the reason, in a sentence.
        retry: seconds, for Retry-After; None for no such header.
    """

    def __init__(self, status: int, detail: str, retry: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry = retry

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry is None else {"retry-after": str(self.retry)}


class Details(Struct):
    """Why a request is refused, as RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Meta(description="The rule, and what was received.")]


def problem_details(error: RequestError) -> Response:
    """The error as RFC 9457 problem details."""
    body = Details("about:blank", TITLES.get(error.status, "Error"), error.status, error.detail)
    return Response(msgspec.json.encode(body), error.status, error.headers, DETAILS)


def json_response(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type=JSON)


async def read_body(request: Request, limits: Limits, unit: str) -> bytes:
    """Receive the whole body; `unit` is what an input is called, for the refusal.

    Raises:
        RequestError: it is too large (413), comes too slowly (408), or the client has gone (400).
    """
    max_bytes = int(limits.body_mb * MEGABYTE)
    message = await request.receive()
    raw: bytes = message.get("body", b"")
    if message.get("more_body", False) and len(raw) <= max_bytes:
        try:
            async with asyncio.timeout(limits.seconds):  # only here: a body that came in one piece needs no clock
                raw += await _read_rest(request, max_bytes - len(raw))
        except TimeoutError:
            raise RequestError(408, f"A request must be here within {limits.seconds:g} s.") from None
    elif message["type"] == "http.disconnect":
        raise RequestError(400, "The client went away.")
    if len(raw) > max_bytes:
        raise too_large(limits, unit)
    return raw


async def _read_rest(request: Request, max_bytes: int) -> bytes:
    """Receive the remaining parts of a body; stop after the first byte over the limit."""
    parts = list[bytes]()
    size = 0
    while size <= max_bytes:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise RequestError(400, "The client went away.")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body", False):
            break
    return b"".join(parts)


def too_large(limits: Limits, unit: str) -> RequestError:
    return RequestError(413, f"A request may have {limits.body_mb:g} MB. Send fewer {unit}s at a time.")


def decode(raw: bytes, decoder: msgspec.json.Decoder[Body]) -> Body:
    """Decode a JSON body.

    Raises:
        RequestError: it is not JSON (400), or JSON of another shape (422); the sentence names the place.
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise RequestError(422, f"{error!s:.{MAX_DECODER_MESSAGE}}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(400, f"The body must be JSON in UTF-8. {error}.") from None


def abbreviate(value: object) -> str:
    """A received value for an error message: at most 100 characters, made without reading all of its megabytes."""
    return f"{reprlib.repr(value):.100}"


def check_inputs(inputs: Sequence[str], limits: Limits, unit: str) -> None:
    """Check the number of inputs and the length of each; `unit` is what one is called.

    Raises:
        RequestError: a limit is exceeded (413).
    """
    if len(inputs) > limits.texts:
        raise RequestError(413, f"A request may have {limits.texts:,} {unit}s. Received: {len(inputs):,}.")
    longest = max(map(len, inputs), default=0)
    if longest > limits.characters:
        raise RequestError(413, f"A {unit} may have {limits.characters:,} characters. Received: one of {longest:,}.")


def canary_key(request: Request) -> str | None:
    """The header Ratchet-Key, by which the canary assigns a version; None where the client sends none."""
    return request.headers.get("ratchet-key")
