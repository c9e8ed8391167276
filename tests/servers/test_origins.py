"""Access to the servers of this project: listening addresses, host names, origins of pages, passwords."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.runs import ui_servers
from flows.runs.prefect_server import guarded
from ratchet.console import up
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places, own_password, places
from ratchet.servers import access, servers

PASSWORDS = {"PREFECT_SERVER_API_AUTH_STRING": "admin:one", "MLFLOW_AUTH_ADMIN_PASSWORD": "twelve letters"}


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PASSWORDS, "RATCHET_HOST", "RATCHET_UI_HOST", "PREFECT_API_URL", "MLFLOW_AUTH_CONFIG_PATH"):
        monkeypatch.delenv(name, raising=False)


def places_at(folder: Path, ui_host: str = "127.0.0.1") -> Places:
    return Places(folder, folder, "0.0.0.0", 4200, 5000, 8000, ui_host)


def address(server: servers.Server) -> str:
    return server.command[server.command.index("--host") + 1]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """A stand-in for Prefect: an admitted request gets `in`, or an open WebSocket."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"in"})


def http_status(ui_host: str, headers: dict[str, str], others: tuple[str, ...] = ()) -> int:
    async def ask() -> int:
        transport = httpx.ASGITransport(guarded(app, ui_host, others))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:4200") as client:
            return (await client.get("/api/health", headers=headers)).status_code

    return asyncio.run(ask())


def websocket_answer(headers: dict[str, str]) -> str:
    """The answer to a handshake: `websocket.accept`, or the start of a refusal."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    scope = {
        "type": "websocket",
        "path": "/api/events/out",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "extensions": {"websocket.http.response": {}},
    }

    async def handshake() -> None:
        await guarded(app, "127.0.0.1", ())(scope, receive, send)

    asyncio.run(handshake())
    return f"{sent[0]['type']} {sent[0].get('status', '')}".strip()


@pytest.mark.parametrize("host", ["127.0.0.1:4200", "localhost:4200", "LOCALHOST", "[::1]:4200", "localhost:6000"])
def test_prefect_answers_to_names_of_this_machine(host: str) -> None:
    assert http_status("127.0.0.1", {"Host": host}) == 200


@pytest.mark.parametrize("host", ["evil.example:4200", "127.0.0.1.evil.example", "10.evil.example:4200", ""])
def test_prefect_answers_to_no_other_name(host: str) -> None:
    assert http_status("127.0.0.1", {"Host": host}) == 400


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:8888", "http://localhost:4200", "null", "http://[", ""]
)
def test_prefect_answers_no_page_of_another_origin(origin: str) -> None:
    headers = {"Host": "127.0.0.1:4200", "Origin": origin}
    assert http_status("127.0.0.1", headers) == 403
    assert websocket_answer({"host": "127.0.0.1:4200", "origin": origin}) == "websocket.http.response.start 403"


def test_prefect_answers_its_own_pages_and_programs() -> None:
    for headers in ({}, {"Origin": "http://127.0.0.1:4200"}):
        assert http_status("127.0.0.1", {"Host": "127.0.0.1:4200"} | headers) == 200
    assert http_status("127.0.0.1", {"Host": "localhost:4200", "Origin": "http://localhost:4200"}) == 200
    assert websocket_answer({"host": "127.0.0.1:4200", "origin": "http://127.0.0.1:4200"}) == "websocket.accept"
    assert websocket_answer({"host": "127.0.0.1:4200"}) == "websocket.accept"
    assert websocket_answer({"host": "evil.example:4200"}) == "websocket.http.response.start 400"


def test_a_page_that_prefects_own_variable_names_is_answered() -> None:
    headers = {"Host": "127.0.0.1:4200", "Origin": "https://board.example"}
    assert http_status("127.0.0.1", headers, ("https://board.example",)) == 200


def test_opened_to_others_prefect_answers_to_any_name_but_only_its_own_pages() -> None:
    assert http_status("0.0.0.0", {"Host": "ratchet.example:4200", "Origin": "http://ratchet.example:4200"}) == 200
    assert http_status("0.0.0.0", {"Host": "ratchet.example:4200", "Origin": "http://evil.example"}) == 403


def test_the_uis_listen_on_loopback_whatever_the_address_of_the_service(tmp_path: Path) -> None:
    here = places_at(tmp_path)
    assert address(ui_servers.prefect(here, 4200)) == address(ui_servers.mlflow(here, 5000)) == "127.0.0.1"
    assert up.service(here, 8000).host == "0.0.0.0"


def test_ratchet_ui_host_opens_the_uis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PASSWORDS.items():
        monkeypatch.setenv(name, value)
    here = places_at(tmp_path, "0.0.0.0")
    assert address(ui_servers.prefect(here, 4200)) == address(ui_servers.mlflow(here, 5000)) == "0.0.0.0"
    assert "basic-auth" in ui_servers.mlflow(here, 5000).command
    assert ui_servers.prefect(here, 4200).env["PREFECT_API_URL"] == "http://127.0.0.1:4200/api"


@pytest.mark.parametrize("missing", [tuple(PASSWORDS), *((name,) for name in PASSWORDS)])
@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.2", "ratchet.example"])
def test_uis_without_a_password_each_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], host: str
) -> None:
    for name in set(PASSWORDS) - set(missing):
        monkeypatch.setenv(name, PASSWORDS[name])
    for server in (ui_servers.prefect, ui_servers.mlflow):
        with pytest.raises(Refusal) as refusal:
            server(places_at(tmp_path, host), 4200)
        message = str(refusal.value)
        assert f"Received: RATCHET_UI_HOST={host} and no {' and no '.join(missing)}." in message
        assert 'export PREFECT_SERVER_API_AUTH_STRING="admin:$(openssl rand -hex 16)"' in message
        assert 'MLFLOW_AUTH_ADMIN_PASSWORD="$(openssl rand -hex 16)"; or leave RATCHET_UI_HOST out.' in message


def test_an_empty_ratchet_ui_host_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_UI_HOST", "")
    assert places().ui_host == "127.0.0.1"


def test_the_loops_own_clients_have_the_password_of_our_server_and_no_other_gets_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert own_password() == {}
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "admin:one")
    assert own_password() == {"PREFECT_API_AUTH_STRING": "admin:one"}
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example/api")
    assert own_password() == {}


def test_mlflow_answers_only_to_names_of_this_machine(tmp_path: Path) -> None:
    """MLflow's own default admits any name that begins like a private address."""
    from mlflow.server.security_utils import is_allowed_host_header

    hosts = access.mlflow_access(places_at(tmp_path), 5000)["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    for name in ("127.0.0.1:5000", "localhost:5000", "localhost"):
        assert is_allowed_host_header(hosts, name)
    for name in ("10.evil.example:5000", "192.168.evil.example:5000", "evil.example:5000", "0.0.0.0:5000", ""):
        assert not is_allowed_host_header(hosts, name)


def test_an_opened_mlflow_answers_only_its_own_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.server.security_utils import should_block_cors_request

    for name, value in PASSWORDS.items():
        monkeypatch.setenv(name, value)
    pages = access.mlflow_access(places_at(tmp_path, "192.0.2.2"), 5000)["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"].split(
        ","
    )
    assert not should_block_cors_request("http://192.0.2.2:5000", "POST", pages)
    assert should_block_cors_request("http://evil.example", "POST", pages)
