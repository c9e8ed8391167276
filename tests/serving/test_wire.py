"""Malformed HTTP on a raw socket: the service refuses it with problem details, and goes on answering."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.project import Project
from tests.support.service import Served, served

BODY = b'{"texts":["a"]}'
POST = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
REQUEST = POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
PING = b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def service(turned: Project) -> Iterator[Served]:
    """One service, whose log has no error after the last test."""
    with served(turned) as running:
        yield running
        assert "Traceback" not in running.said
        assert "ERROR" not in running.said


def connect(service: Served) -> socket.socket:
    host, port = service.address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def exchange(service: Served, *parts: bytes, close_sending: bool = True) -> bytes:
    """Send bytes, and return all that comes back until the service closes the connection.

    Args:
        service: to connect to.
        parts: sent one after the other.
        close_sending: whether the client shuts down its sending side after them.
    """
    with connect(service) as wire:
        received = b""
        with suppress(OSError):  # the service may abort a connection that sends too much
            for part in parts:
                wire.sendall(part)
            if close_sending:
                wire.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while chunk := wire.recv(1 << 16):
                received += chunk
    return received


def statuses(received: bytes) -> list[int]:
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


MALFORMED = {
    "a non-ASCII byte in the path": b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a proxy's request": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "a length and chunks": CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "a length of thousands of digits": POST + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a chunk without a size": CHUNKED + b"\r\nzz\r\n",
    "a header without a name": POST + b": x\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 5\r\n\r\n",
    "an unknown method": b"PREDICT /predict HTTP/1.1\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "junk after two requests": REQUEST + REQUEST + b"junk\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_http_is_refused_with_problem_details(service: Served, name: str) -> None:
    head, _, body = exchange(service, MALFORMED[name], close_sending=False).rpartition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["detail"]
    assert statuses(exchange(service, PING)) == [200]


def test_an_upgrade_to_another_protocol_is_ignored(service: Served) -> None:
    """Java's client offers h2c with its first request, and goes on on the same connection."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
    first = REQUEST.replace(b"\r\n", b"\r\n" + offer, 1)
    assert statuses(exchange(service, first + PING, close_sending=False)) == [200, 200]


def test_pipelined_requests_are_answered_in_order(service: Served) -> None:
    received = exchange(service, REQUEST + REQUEST.replace(b"/predict", b"/nothing") + PING, close_sending=False)
    assert statuses(received) == [200, 404, 200]


def test_a_request_sent_byte_by_byte_is_answered(service: Served) -> None:
    chunks = b"".join(b"1;x=y\r\n%c\r\n" % byte for byte in BODY) + b"0\r\nTrailer: x\r\n\r\n"
    single_bytes = [bytes([byte]) for byte in CHUNKED + b"\r\n" + chunks]
    assert statuses(exchange(service, *single_bytes, PING, close_sending=False)) == [200, 200]


def test_trailers_take_no_memory(service: Served) -> None:
    process = psutil.Process(service.process.pid)
    trailer = (b"T: " + b"x" * 10_000 + b"\r\n") * 100
    before = process.memory_info().rss
    with connect(service) as wire:
        wire.sendall(CHUNKED + b"\r\n1\r\n{\r\n0\r\n")
        for _ in range(60):
            wire.sendall(trailer)
        assert statuses(exchange(service, PING)) == [200]
        assert process.memory_info().rss - before < 20_000_000
        wire.sendall(b"Connection: close\r\n\r\n")
        assert statuses(wire.recv(1 << 16)) == [400]


FRAGMENTS = {
    "post": b"POST /predict HTTP/1.1\r\n", "get": b"GET / HTTP/1.1\r\n", "old": b"GET /docs HTTP/1.0\r\n",
    "odd": b"POST /%ff%00 HTTP/1.1\r\n", "host": b"Host: localhost\r\n", "other host": b"Host: evil.example\r\n",
    "length": b"Content-Length: 15\r\n", "chunked": b"Transfer-Encoding: chunked\r\n", "end": b"\r\n", "line": b"\n",
    "gzip": b"Transfer-Encoding: gzip, chunked\r\n", "expect": b"Expect: 100-continue\r\n", "last": b"0\r\n\r\n",
    "upgrade": b"Connection: upgrade\r\nUpgrade: websocket\r\n", "UPGRADE": b"Connection: upgrade\r\nUPGRADE: a\r\n",
    "close": b"Connection: close\r\n", "json": b"content-type: application/json\r\n", "body": BODY, "whole": REQUEST,
    "chunk": b"f\r\n" + BODY + b"\r\n", "ping": PING, "wide": b"A: " + b"x" * 70_000, "nothing": b"\x00",
}  # fmt: skip
SEQUENCES = st.lists(st.one_of(st.sampled_from(sorted(FRAGMENTS)), st.binary(max_size=12)), max_size=10)


def check_no_fault(service: Served, fragments: list[str | bytes], is_joined: bool) -> None:
    """No answer to the fragments, sent at once or one by one, is a fault, and the next client is answered."""
    parts = [FRAGMENTS[fragment] if isinstance(fragment, str) else fragment for fragment in fragments]
    received = exchange(service, *([b"".join(parts)] if is_joined else parts))
    assert all(status < 500 for status in statuses(received)), received
    assert b"Traceback" not in received
    assert statuses(exchange(service, PING)) == [200]


@settings(max_examples=150)
@given(SEQUENCES, st.booleans())
def test_fragments_of_requests_in_any_order_cause_no_fault(
    service: Served, fragments: list[str | bytes], is_joined: bool
) -> None:
    check_no_fault(service, fragments, is_joined)
