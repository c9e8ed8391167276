"""Attacks on a connection. Each fails, and each succeeds without the method that Connection overrides against it."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine
from contextlib import suppress
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from ratchet.serving import connections as module
from ratchet.serving.connections import ANSWER_SECONDS, MAX_HEAD, WATCH_INTERVAL, Connection, Connections

SECONDS = 30.0
"""deploy.limits.seconds."""
PATIENCE = 30.0
"""Seconds that an attack may take to fail."""
ENOUGH = 1.0
"""Seconds after which one that has not failed has succeeded."""
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNK, CHUNKS = b"x" * 50_000, 400


def request(path: str = "/", *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


class Client:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        with suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def receive(self, size: int) -> bytes:
        """This many bytes, or fewer if the server closes the connection first."""
        data = b""
        with suppress(ConnectionError):
            while len(data) < size and (more := await self._reader.read(size - len(data))):
                data += more
        return data

    async def rest(self) -> bytes:
        """All that comes until the server closes the connection."""
        return await self.receive(1 << 40)

    async def answer(self) -> bytes:
        """The answer of an ordinary request."""
        return await self.receive(len(ANSWER))

    def leave(self) -> None:
        """Close the connection without a word."""
        self.writer.transport.abort()


class Server:
    """A server of one kind of connection, and the application behind it.

    Attributes:
        made: the connections made, the oldest first.
        faults: what was logged as an error.
        tasks: of the requests that are being answered.
        go: lets the answer /slow be given.
        scopes: of the requests so far.
    """

    def __init__(self, kind: type[Connection]) -> None:
        settings = SimpleNamespace(limits=SimpleNamespace(seconds=SECONDS))
        self.connections = Connections(cast(Any, SimpleNamespace(settings=settings)))
        self.made: list[Connection] = []
        self.faults: list[str] = []
        self.go = asyncio.Event()
        self.scopes: list[Any] = []
        self._kind = kind
        self._config = uvicorn.Config(
            cast(Any, self._app), ws="none", interface="asgi3", log_config=None, access_log=False, proxy_headers=False
        )
        self._state = ServerState()
        self.tasks = self._state.tasks
        self._clients: list[Client] = []

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: self.faults.append(str(context)))
        self._config.load()
        self._server = await loop.create_server(self._connection, "127.0.0.1", 0)

    async def stop(self) -> None:
        self._server.close()
        for client in self._clients:
            client.leave()
        for connection in self.made:
            connection.abort()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def connect(self) -> Client:
        """A client, once the server has its connection."""
        before = len(self.made)
        client = Client(*await asyncio.open_connection(*self._server.sockets[0].getsockname()))
        self._clients.append(client)
        await until(lambda: len(self.made) > before)
        return client

    def pass_time(self, seconds: float) -> None:
        """Let the watch look as it will in so many seconds."""
        self.connections.abort_late(asyncio.get_running_loop().time() + seconds)

    async def answered(self, requests: int) -> None:
        """Return once so many requests are answered."""
        await until(lambda: len(self.scopes) == requests and not self.tasks)

    def _connection(self) -> Connection:
        self.made.append(self._kind(self.connections, self._config, self._state, {}))
        return self.made[-1]

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["path"] != "/early":
            while (await receive()).get("more_body"):
                pass
        if scope["path"] == "/slow":
            await self.go.wait()
        chunks = {"/large": CHUNKS, "/medium": 1}.get(scope["path"], 0)
        length = chunks * len(CHUNK) if chunks else 2
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % length)]})
        for number in range(chunks):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": number < chunks - 1})
        if not chunks:
            await send({"type": "http.response.body", "body": b"ok"})


async def until(happened: Callable[[], object]) -> None:
    """Return once it has happened."""
    while not happened():
        await asyncio.sleep(0)


Attack = Callable[[Server], Coroutine[Any, Any, None]]
ATTACKS: list[tuple[str, Attack]] = []
"""Each with the method without which it succeeds, or an empty name."""


def against(method: str = "") -> Callable[[Attack], Attack]:
    def register(attack: Attack) -> Attack:
        ATTACKS.append((method, attack))
        return attack

    return register


@against("connection_made")
async def say_nothing(server: Server) -> None:
    client = await server.connect()
    server.pass_time(SECONDS + 2 * WATCH_INTERVAL)
    assert await client.rest() == b""


@against("connection_made")
async def open_more_connections_than_there_is_room_for(server: Server) -> None:
    server.connections.max_open = 2
    first, _, third = [await server.connect() for _ in range(3)]
    assert await third.rest() == b""
    await first.send(request())
    assert await first.answer() == ANSWER


@against("connection_lost")
async def use_the_room_up_by_coming_and_going(server: Server) -> None:
    server.connections.max_open = 2
    for _ in range(3):
        client = await server.connect()
        await client.send(request())
        assert await client.answer() == ANSWER
        client.leave()
        await until(lambda: all(connection.parser is None for connection in server.made))


@against("connection_lost")
async def ask_twice_and_leave_during_the_first_answer(server: Server) -> None:
    client = await server.connect()
    await client.send(request("/large") + request())
    await client.receive(1000)
    client.leave()
    await until(lambda: server.made[0].parser is None and not server.tasks)


@against("send_400_response")
async def put_a_refusal_into_the_answer_before(server: Server) -> None:
    client = await server.connect()
    await client.send(request("/large"))
    received = await client.receive(1000)
    await client.send(b"junk\r\n\r\n")
    received += await client.rest()
    assert received.count(b"HTTP/1.1 ") == 1


@against("data_received")
async def send_an_endless_head(server: Server) -> None:
    client = await server.connect()
    await client.send(b"GET / HTTP/1.1\r\nX: ")
    for _ in range(20):
        await client.send(b"x" * MAX_HEAD)
    assert await client.rest() == b""


@against("data_received")
async def stop_the_idle_clock_with_an_empty_line(server: Server) -> None:
    client = await server.connect()
    await client.send(request())
    assert await client.answer() == ANSWER
    await client.send(b"\r\n")
    await until(lambda: server.made[0].timeout_keep_alive_task is None)
    server.pass_time(SECONDS + ANSWER_SECONDS + 2 * WATCH_INTERVAL)
    assert await client.rest() == b""


@against("data_received")
async def hide_a_request_behind_an_upgrade(server: Server) -> None:
    client = await server.connect()
    await client.send(request("/", "Connection: Upgrade", "Upgrade: h2c") + request())
    assert await client.receive(2 * len(ANSWER)) == 2 * ANSWER


@against("on_message_begin")
async def send_an_endless_head_behind_an_answer(server: Server) -> None:
    client = await server.connect()
    await client.send(request())
    assert await client.answer() == ANSWER
    await client.send(b"GET / HTTP/1.1\r\nX: ")
    for _ in range(20):
        await client.send(b"x" * MAX_HEAD)
    assert await client.rest() == b""


@against("on_headers_complete")
async def send_trailers_without_end(server: Server) -> None:
    client = await server.connect()
    await client.send(request("/", "Transfer-Encoding: chunked", method="POST") + b"1\r\n{\r\n0\r\n")
    await client.send(b"T: x\r\n" * 5_000 + b"\r\n")
    assert await client.answer() == ANSWER
    assert len(server.scopes[0]["headers"]) == 2


@against("on_headers_complete")
async def hold_a_connection_by_an_upgrade_in_two_parts(server: Server) -> None:
    client = await server.connect()
    offer = request("/", "Connection: Upgrade", "Upgrade: h2c")
    cut = offer.index(b"grade: h2c")
    await client.send(offer[:cut])
    await until(lambda: server.made[0].headers)
    await client.send(offer[cut:])
    assert (await client.rest()).endswith(b"connection: close\r\n\r\nok")


@against("on_message_complete")
async def nothing_but_wait_for_an_answer(server: Server) -> None:
    """No attack: an answer may take longer than its request."""
    client = await server.connect()
    await client.send(request("/slow"))
    await until(lambda: server.scopes)
    server.pass_time(SECONDS + 2 * WATCH_INTERVAL)
    server.go.set()
    assert await client.answer() == ANSWER


@against("on_response_complete")
async def nothing_between_two_requests(server: Server) -> None:
    """No attack: uvicorn's own clock bounds how long a connection may be idle."""
    client = await server.connect()
    for _ in range(2):
        await client.send(request())
        assert await client.answer() == ANSWER
        server.pass_time(1e6)


@against()
async def fetch_one_of_two_answers(server: Server) -> None:
    client = await server.connect()
    await client.send(request() + request("/large"))
    assert await client.answer() == ANSWER
    await until(lambda: server.made[0].flow.write_paused)
    server.pass_time(SECONDS + ANSWER_SECONDS + 2 * WATCH_INTERVAL)
    assert len(await client.rest()) < CHUNKS * len(CHUNK)


@against()
async def change_a_header_by_an_upgrade_in_two_parts(server: Server) -> None:
    """The header before it must not go on with what is left of it."""
    client = await server.connect()
    head, offer, rest = request("/", "X-Number: 1", "Upgrade: 234").partition(b"Upgrade: ")
    await client.send(head + offer)
    await until(lambda: getattr(server.made[0], "url", b""))
    await client.send(rest)
    await client.answer()
    assert dict(server.scopes[0]["headers"])[b"x-number"] == b"1"


@against()
async def leave_the_last_bytes_of_an_answer(server: Server) -> None:
    client = await server.connect()
    connection, asked = server.made[0], 0
    while not connection.transport.get_write_buffer_size():
        await client.send(request("/medium"))
        asked += 1
        await server.answered(asked)
    server.pass_time(SECONDS + ANSWER_SECONDS + 2 * WATCH_INTERVAL)
    await until(lambda: not server.connections.open)


@against()
async def close_one_side_and_fetch_nothing(server: Server) -> None:
    client = await server.connect()
    await client.send(request("/large"))
    await client.receive(1000)
    client.writer.write_eof()
    await until(lambda: server.made[0].transport.is_closing())
    server.pass_time(SECONDS + ANSWER_SECONDS + 2 * WATCH_INTERVAL)
    await until(lambda: not server.connections.open)


@against()
async def go_on_sending_behind_an_early_answer(server: Server) -> None:
    client = await server.connect()
    await client.send(request("/early", "Content-Length: 100", method="POST"))
    assert await client.answer() == ANSWER
    server.pass_time(SECONDS + 2 * WATCH_INTERVAL)
    assert await client.rest() == b""


def run(attack: Attack, kind: type[Connection], seconds: float) -> None:
    """Attack a server of this kind of connection.

    Raises:
        AssertionError: the attack has succeeded, or has not failed within these seconds.
    """

    async def main() -> None:
        server = Server(kind)
        handler = Faults(server)
        logging.getLogger("uvicorn.error").addHandler(handler)
        await server.start()
        try:
            async with asyncio.timeout(seconds):
                await attack(server)
            assert server.faults == []
        except TimeoutError:
            raise AssertionError(f"What must happen has not happened within {seconds} s.") from None
        finally:
            logging.getLogger("uvicorn.error").removeHandler(handler)
            await server.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


class Faults(logging.Handler):
    def __init__(self, server: Server) -> None:
        super().__init__(logging.ERROR)
        self._server = server

    def emit(self, record: logging.LogRecord) -> None:
        self._server.faults.append(record.getMessage())


NAMES = [attack.__name__ for _, attack in ATTACKS]


@pytest.mark.parametrize("attack", [attack for _, attack in ATTACKS], ids=NAMES)
def test_an_attack_fails(attack: Attack) -> None:
    run(attack, Connection, PATIENCE)


@pytest.mark.parametrize(("method", "attack"), [pair for pair in ATTACKS if pair[0]])
def test_it_succeeds_without_the_method_against_it(method: str, attack: Attack) -> None:
    weak = type("Weak", (Connection,), {method: getattr(HttpToolsProtocol, method)})
    with pytest.raises(AssertionError):
        run(attack, weak, ENOUGH)


def test_every_method_that_is_overridden_has_an_attack() -> None:
    overridden = {name for name in vars(Connection) if hasattr(HttpToolsProtocol, name) and not name.startswith("__")}
    assert overridden == {method for method, _ in ATTACKS} - {""}


def test_uvicorn_is_one_that_this_was_tested_with() -> None:
    found = re.search(r"Tested with uvicorn from ([\d.]+) to before ([\d.]+)\.\n", module.__doc__ or "")
    assert found
    oldest, newest = (tuple(map(int, bound.split("."))) for bound in found.groups())
    assert oldest <= tuple(map(int, version("uvicorn").split(".")[:3])) < newest
