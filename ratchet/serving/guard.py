"""Access control and admission control: checks a request before its body is read.

Without a token the service answers only under this machine's own names, so that a page in a browser cannot reach it
under another one (DNS rebinding). With a token it answers every request that carries it. A request that a browser sends
from another site's page is refused in any case.
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
from ratchet.serving.answering.service import NotReady, Service

MIN_BYTES = 16_384
"""Bytes that a request counts for at least: its memory besides the body."""
OVERLOAD_DELAY = 0.5
"""Seconds before a 503: a client that comes back at once must not take time from the others."""
OPEN_PATHS = frozenset({"/ping", "/v2/health/live", "/v2/health/ready"})
"""Health checks, which need no token and are answered under any load."""
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
]


Handler = Callable[[Request], Awaitable[Response]]
ErrorShape = Callable[[Request, RequestError], Response]


class ErrorShapes:
    """Makes errors into responses, each in the shape of its path's protocol.

    Args:
        shapes: by path; a key that ends in `*` holds for every path that begins with it. Every other path has
            problem details.
    """

    def __init__(self, shapes: Mapping[str, ErrorShape]) -> None:
        self._exact = {path: shape for path, shape in shapes.items() if not path.endswith("*")}
        self._prefixes = [(path[:-1], shape) for path, shape in shapes.items() if path.endswith("*")]

    def response(self, scope: Scope, error: RequestError) -> Response:
        response = self._shape(scope["path"])(Request(scope), error)
        if error.status == 401:
            response.headers["www-authenticate"] = 'Basic realm="ratchet", charset="UTF-8"'
        return response

    def _shape(self, path: str) -> ErrorShape:
        for prefix, shape in self._prefixes:
            if path.startswith(prefix):
                return shape
        return self._exact.get(path, problem_details)

    def handlers(self) -> dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]:
        """Starlette's exception handlers, one for each exception that a route may raise."""
        return {HTTPException: self._unrouted, RequestError: self._refused, NotReady: self._not_ready}

    async def _unrouted(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = self.response(request.scope, router_error(error))
        response.headers.update(error.headers or {})
        return response

    async def _refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)
        return self.response(request.scope, error)

    async def _not_ready(self, request: Request, error: Exception) -> Response:
        return self.response(request.scope, RequestError(503, str(error), 1))


class Guard:
    """Checks each request before the application gets it, and counts it.

    Args:
        app: the application.
        service: its settings hold the limits, its metrics count.
        token: that a request must carry; empty for none.
        hosts: names under which the service answers without a token.
        direct: handlers of POST routes that get thousands of requests a second. The guard calls them itself: the way
            through the framework's layers costs as much as all the rest of a request (decisions/0017).
        errors: makes refusals into responses.
    """

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        token: str,
        hosts: frozenset[str],
        direct: Mapping[str, Handler],
        errors: ErrorShapes,
    ) -> None:
        self._app = app
        self._service = service
        self._token = token.encode()
        self._hosts = hosts
        self._direct = direct
        self._errors = errors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] += HEADERS
            await send(message)

        async def send_error(error: RequestError) -> None:
            await self._errors.response(scope, error)(scope, receive, send_counted)

        size = 0
        metrics = self._service.metrics
        try:
            headers = dict(scope["headers"])
            if len(headers) < len(scope["headers"]):
                check_one_host(scope["headers"])
            self._check_access(scope["path"], scope["method"], headers)
            size = 0 if scope["path"] in OPEN_PATHS else self._reserve(headers)
            await self._pass_on(scope, receive, send_counted)
        except RequestError as error:
            if error.status == 503:
                await asyncio.sleep(OVERLOAD_DELAY)
            await send_error(error)
        except NotReady as error:
            await send_error(RequestError(503, str(error), 1))
        except Exception:
            traceback.print_exc()
            if not status:
                await send_error(RequestError(500, "The service could not answer; its log says why."))
        finally:
            metrics.bytes_inside -= size
            metrics.count_request(self._route_name(scope), status, time.perf_counter() - began)

    def _route_name(self, scope: Scope) -> str:
        """The label of the metrics: the route's path, or `other` where no route fits."""
        if "route" in scope:
            return str(scope["route"].path)
        return scope["path"] if scope["path"] in self._direct else "other"

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._direct.get(scope["path"]) if scope["method"] == "POST" else None
        if handler is None:
            await self._app(scope, receive, send)
        else:
            response = await handler(Request(scope, receive))
            await response(scope, receive, send)

    def _check_access(self, path: str, method: str, headers: dict[bytes, bytes]) -> None:
        """Check the name, the origin and the token of a request.

        Raises:
            RequestError: a foreign host name or another site's page (403), or no token (401).
        """
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._token and without_port(host) not in self._hosts:
            raise RequestError(
                403, f"The service answers as {', '.join(sorted(self._hosts))}. Received: {host[:100] or 'no host'}."
            )
        origin = headers.get(b"origin", b"").decode("latin-1")
        if origin and host_of_origin(origin) != host:
            raise RequestError(403, f"Pages of other sites may not ask. Received: {origin[:100]}.")
        if headers.get(b"sec-fetch-site", b"none") == b"cross-site" and method != "GET":
            raise RequestError(403, "Pages of other sites may not ask.")
        if self._token and path not in OPEN_PATHS and not hmac.compare_digest(read_token(headers), self._token):
            raise RequestError(
                401, "A token is needed: the header `Authorization: Bearer TOKEN`, or TOKEN as a password."
            )

    def _reserve(self, headers: dict[bytes, bytes]) -> int:
        """Reserve memory for a request; return the bytes that it counts for.

        Raises:
            RequestError: its body is too large (413), or the requests in flight leave no room (503).
        """
        limits = self._service.settings.limits
        max_bytes = int(limits.body_mb * MEGABYTE)
        content_length = headers.get(b"content-length", b"")
        unstated = max_bytes if b"transfer-encoding" in headers else 0
        size = int(content_length) if content_length.isdigit() else unstated
        if size > max_bytes:
            raise requests.too_large(limits, self._service.task.unit)
        size = max(size, MIN_BYTES)
        metrics = self._service.metrics
        if metrics.bytes_inside + size > max(limits.waiting_mb * MEGABYTE, size):
            metrics.overload.inc()
            raise RequestError(503, "Too many requests at once. Come back in a second.", 1)
        metrics.bytes_inside += size
        return size


def problem_details(request: Request, error: RequestError) -> Response:
    """The shape of errors on our own routes."""
    return requests.problem_details(error)


def router_error(error: HTTPException) -> RequestError:
    """The router's exception, in our words."""
    details = {
        404: "There is nothing at this address. What there is: /docs.",
        405: "This address is not asked that way.",
    }
    return RequestError(error.status_code, details.get(error.status_code, str(error.detail)))


def check_one_host(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Check that there is one Host header: with two, a proxy in front may have looked at the other.

    Raises:
        RequestError: there are more (RFC 9112, 3.2).
    """
    count = sum(name == b"host" for name, _ in headers)
    if count > 1:
        raise RequestError(400, f"A request must have one header Host. Received: {count}.")


def without_port(host: str) -> str:
    """The name in a Host header."""
    name, _, port = host.rpartition(":")
    return name if port.isdigit() and not host.endswith("]") else host


def host_of_origin(origin: str) -> str:
    """Host and port of an Origin header; empty where it is no URL."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def read_token(headers: dict[bytes, bytes]) -> bytes:
    """The token of a request: of `Bearer`, or the password of `Basic`, for which browsers show a dialog."""
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return b""
