"""What comes over the wire and is hardly HTTP: the service refuses it in words, and goes on."""

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
    """One service, which has had no fault to report at the end."""
    with served(turned) as running:
        yield running
        assert "Traceback" not in running.said
        assert "ERROR" not in running.said


def connected(service: Served) -> socket.socket:
    host, port = service.address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def said(service: Served, *parts: bytes, ends: bool = True) -> bytes:
    """All that comes back until the service closes. ends: whether the client says that it sends no more."""
    with connected(service) as wire:
        got = b""
        with suppress(OSError):  # it may cut off who sends too much
            for part in parts:
                wire.sendall(part)
            if ends:
                wire.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while some := wire.recv(1 << 16):
                got += some
    return got


def statuses(got: bytes) -> list[int]:
    return [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]]


NO_HTTP = {
    "a byte that is no ASCII in the path": b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no request at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a proxy's request": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "a length and chunks": CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "a length of thousands of digits": POST + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n",
    "a length below nothing": POST + b"Content-Length: -1\r\n\r\n",
    "a chunk of no size": CHUNKED + b"\r\nzz\r\n",
    "a header without a name": POST + b": x\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 5\r\n\r\n",
    "a method that is none": b"PREDICT /predict HTTP/1.1\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two requests before it": REQUEST + REQUEST + b"junk\r\n\r\n",
}


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_http_is_refused_in_json(service: Served, name: str) -> None:
    head, _, body = said(service, NO_HTTP[name], ends=False).rpartition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["detail"]
    assert statuses(said(service, PING)) == [200]


def test_who_offers_another_protocol_is_answered_by_this_one(service: Served) -> None:
    """As Java's client asks first, and goes on on the same connection."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk\r\n"
    first = REQUEST.replace(b"\r\n", b"\r\n" + offer, 1)
    assert statuses(said(service, first + PING, ends=False)) == [200, 200]


def test_requests_that_follow_at_once_are_answered_in_order(service: Served) -> None:
    found = said(service, REQUEST + REQUEST.replace(b"/predict", b"/nothing") + PING, ends=False)
    assert statuses(found) == [200, 404, 200]


def test_a_request_in_chunks_of_a_byte_is_whole(service: Served) -> None:
    chunks = b"".join(b"1;x=y\r\n%c\r\n" % byte for byte in BODY) + b"0\r\nTrailer: x\r\n\r\n"
    sent = [bytes([byte]) for byte in CHUNKED + b"\r\n" + chunks]
    assert statuses(said(service, *sent, PING, ends=False)) == [200, 200]


def test_headers_behind_a_body_take_no_memory(service: Served) -> None:
    process = psutil.Process(service.process.pid)
    trailer = (b"T: " + b"x" * 10_000 + b"\r\n") * 100
    before = process.memory_info().rss
    with connected(service) as wire:
        wire.sendall(CHUNKED + b"\r\n1\r\n{\r\n0\r\n")
        for _ in range(60):
            wire.sendall(trailer)
        assert statuses(said(service, PING)) == [200]
        assert process.memory_info().rss - before < 20_000_000
        wire.sendall(b"Connection: close\r\n\r\n")
        assert statuses(wire.recv(1 << 16)) == [400]


KNOWN = {
    "post": b"POST /predict HTTP/1.1\r\n", "get": b"GET / HTTP/1.1\r\n", "old": b"GET /docs HTTP/1.0\r\n",
    "odd": b"POST /%ff%00 HTTP/1.1\r\n", "host": b"Host: localhost\r\n", "other host": b"Host: evil.example\r\n",
    "length": b"Content-Length: 15\r\n", "chunked": b"Transfer-Encoding: chunked\r\n", "end": b"\r\n", "line": b"\n",
    "gzip": b"Transfer-Encoding: gzip, chunked\r\n", "expect": b"Expect: 100-continue\r\n", "last": b"0\r\n\r\n",
    "upgrade": b"Connection: upgrade\r\nUpgrade: websocket\r\n", "UPGRADE": b"Connection: upgrade\r\nUPGRADE: a\r\n",
    "close": b"Connection: close\r\n", "json": b"content-type: application/json\r\n", "body": BODY, "whole": REQUEST,
    "chunk": b"f\r\n" + BODY + b"\r\n", "ping": PING, "wide": b"A: " + b"x" * 70_000, "nothing": b"\x00",
}  # fmt: skip
PIECES = st.lists(st.one_of(st.sampled_from(sorted(KNOWN)), st.binary(max_size=12)), max_size=10)


def bear(service: Served, pieces: list[str | bytes], together: bool) -> None:
    """Whatever is sent, in one piece or in many: no answer is a fault, and the next client is answered."""
    parts = [KNOWN[piece] if isinstance(piece, str) else piece for piece in pieces]
    found = said(service, *([b"".join(parts)] if together else parts))
    assert all(status < 500 for status in statuses(found)), found
    assert b"Traceback" not in found
    assert statuses(said(service, PING)) == [200]


@settings(max_examples=150)
@given(PIECES, st.booleans())
def test_pieces_of_requests_in_any_order_bring_out_no_fault(
    service: Served, pieces: list[str | bytes], together: bool
) -> None:
    bear(service, pieces, together)
