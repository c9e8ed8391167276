"""Who may ask, and how much at a time: looked at before a body is read.

Without a token the service answers to this machine's own names alone, so that a page in a browser cannot reach it under
another (DNS rebinding); with one, whoever has it. A request that a browser sends from somebody else's page is refused.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ratchet.serving.answering import requests
from ratchet.serving.answering.requests import MEGABYTE, RequestError
from ratchet.serving.answering.service import Service, Unready
from ratchet.serving.api import mlflow_scoring, open_inference
from ratchet.serving.pages import try_page

LEAST = 16_384
"""Bytes that a request counts for at least: what it holds besides its body."""
PACE = 0.5
"""Seconds until a client is told that there is no room: who comes back at once must not take time from the others."""
OPEN = frozenset({"/ping", "/v2/health/live", "/v2/health/ready"})
"""What a supervisor may ask without the token, and however many others ask."""
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
]


Handler = Callable[[Request], Awaitable[Response]]


class Guard:
    """Stands before the application, and counts what passes.

    lane: handlers of addresses that are asked by POST thousands of times a second. They are called from here: the way
    through the framework's layers costs as much as all the rest of a request (decisions/0017).
    """

    def __init__(
        self, app: ASGIApp, service: Service, token: str, hosts: frozenset[str], lane: Mapping[str, Handler]
    ) -> None:
        self._app, self._service, self._lane = app, service, lane
        self._token, self._hosts = token.encode(), hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += HEADERS
            await send(message)

        size, meters = 0, self._service.meters
        try:
            headers = dict(scope["headers"])
            if len(headers) < len(scope["headers"]):
                expect_one_host(scope["headers"])
            self._admit(scope["path"], scope["method"], headers)
            size = 0 if scope["path"] in OPEN else self._enter(headers)
            await self._pass_on(scope, receive, counted)
        except RequestError as problem:
            if problem.status == 503:
                await asyncio.sleep(PACE)
            await told(scope, problem)(scope, receive, counted)
        except Unready as unready:
            await told(scope, RequestError(503, str(unready), 1))(scope, receive, counted)
        except Exception:
            traceback.print_exc()
            if not status:
                await told(scope, RequestError(500, "The service could not answer; its log says why."))(
                    scope, receive, counted
                )
        finally:
            meters.inside -= size
            route = (
                scope["route"].path if "route" in scope else scope["path"] if scope["path"] in self._lane else "other"
            )
            meters.passed(route, status, time.perf_counter() - began)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._lane.get(scope["path"]) if scope["method"] == "POST" else None
        if handler is None:
            await self._app(scope, receive, send)
        else:
            response = await handler(Request(scope, receive))
            await response(scope, receive, send)

    def _admit(self, path: str, method: str, headers: dict[bytes, bytes]) -> None:
        """Return where the caller may ask.

        Raises:
            Problem: not under that name (403), not from that page (403), or not without the token (401).
        """
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._token and bare(host) not in self._hosts:
            raise RequestError(
                403, f"The service answers as {', '.join(sorted(self._hosts))}. Received: {host[:100] or 'no host'}."
            )
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and urlsplit_host(origin) != host:
            raise RequestError(403, f"Pages of other sites may not ask. Received: {origin[:100]}.")
        if headers.get(b"sec-fetch-site", b"none") == b"cross-site" and method != "GET":
            raise RequestError(403, "Pages of other sites may not ask.")
        if self._token and path not in OPEN and not hmac.compare_digest(given(headers), self._token):
            raise RequestError(
                401, "A token is needed: the header `Authorization: Bearer TOKEN`, or TOKEN as a password."
            )

    def _enter(self, headers: dict[bytes, bytes]) -> int:
        """The bytes that a request counts for while it is here.

        Raises:
            Problem: its body is too large (413), or there is no room now (503).
        """
        limits = self._service.settings.limits
        stated = headers.get(b"content-length", b"")
        most = int(limits.body_mb * MEGABYTE)
        chunked = b"transfer-encoding" in headers
        size = int(stated) if stated.isdigit() else most if chunked else 0
        if size > most:
            raise requests.too_large(limits)
        size = max(size, LEAST)
        meters = self._service.meters
        if meters.inside + size > max(limits.waiting_mb * MEGABYTE, size):
            meters.overload.inc()
            raise RequestError(503, "Too many requests at once. Come back in a second.", 1)
        meters.inside += size
        return size


def told(scope: Scope, problem: RequestError) -> Response:
    """The refusal in the words of the protocol that was spoken, or as a page to who looks at one."""
    path = scope["path"]
    if path in try_page.ADDRESSES:
        response = try_page.as_page(Request(scope), problem)
    elif path == "/invocations":
        response = mlflow_scoring.as_mlflow(problem)
    elif path.startswith("/v2"):
        response = open_inference.as_error(problem)
    else:
        response = requests.as_details(problem)
    if problem.status == 401:
        response.headers["www-authenticate"] = 'Basic realm="ratchet", charset="UTF-8"'
    return response


def expect_one_host(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Return where no second host is named: what stands in front of the service may have looked at the other.

    Raises:
        Problem: one is (RFC 9112, 3.2).
    """
    count = sum(name == b"host" for name, _ in headers)
    if count > 1:
        raise RequestError(400, f"A request must have one header Host. Received: {count}.")


def bare(host: str) -> str:
    """The name in a Host header, without its port."""
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host


def urlsplit_host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def given(headers: dict[bytes, bytes]) -> bytes:
    """The token of a request: of `Bearer`, or the password of `Basic`, which browsers ask people for."""
    kind, _, value = headers.get(b"authorization", b"").partition(b" ")
    if kind.lower() == b"bearer":
        return value.strip()
    if kind.lower() == b"basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return b""


def as_problem(error: HTTPException) -> RequestError:
    """What the router raises, as ours."""
    words = {404: "There is nothing at this address. What there is: /docs.", 405: "This address is not asked that way."}
    return RequestError(error.status_code, words.get(error.status_code, str(error.detail)))
