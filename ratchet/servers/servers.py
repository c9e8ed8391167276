"""Starts, watches and stops the servers of this project: a Server enters, a running process and its record leave.

Each server runs under a small watcher process (`python -m ratchet.servers.servers`), in a session of its own. The
watcher ends the server on SIGTERM, and also when the process that started the watcher dies, for whatever reason. A
record in state/servers/ tells our servers from another program on the same port. With that record the next command
also ends a server whose watcher was killed.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from ratchet.project import durable
from ratchet.project.errors import Refusal
from ratchet.project.paths import Places
from ratchet.servers.process_id import birth, lives
from ratchet.state import sqlite_file

READY_SECONDS = 120  # a first start migrates a database: 4 to 16 s were measured on 2 cores
GRACE_SECONDS = 5


@dataclass(frozen=True)
class Server:
    """A server to start.

    Attributes:
        name: of its record and its log, e.g. `mlflow`.
        command: program and arguments.
        port: None for a server that does not listen.
        health: path that answers 200 once the server is ready.
        env: variables added to the environment.
        database: the SQLite file that the server makes at its first start; None for a server that makes none.
        host: the address to listen on.
    """

    name: str
    command: tuple[str, ...]
    port: int | None
    health: str
    env: dict[str, str]
    database: Path | None = None
    host: str = "127.0.0.1"

    @property
    def host_variable(self) -> str:
        """The variable that names the address to listen on."""
        return "RATCHET_HOST" if self.name == "service" else "RATCHET_UI_HOST"

    @property
    def address(self) -> str:
        """URL of the server from this machine; a server that listens on every address is reached on 127.0.0.1."""
        return f"http://{'127.0.0.1' if self.host == '0.0.0.0' else self.host}:{self.port}"

    @property
    def other_port_command(self) -> str:
        """The command that starts the server on another port, without the number at its end."""
        return "make serve SERVE_PORT=" if self.name == "service" else f"make ui {self.name.upper()}_PORT="


@dataclass(frozen=True)
class ServerRecord:
    """A running server of this project, as state/servers/NAME.json holds it.

    Attributes:
        name: of the Server.
        pid: the watcher, which leads the session of the server.
        born: birth of the watcher (ratchet/servers/process_id.py).
        owner: the process that started the watcher; the server ends with it.
        owner_born: birth of the owner.
        port: 0 for a server that does not listen.
        url: answers 200 while the server runs.
    """

    name: str
    pid: int
    born: str
    owner: int
    owner_born: str
    port: int
    url: str


@contextmanager
def started(here: Places, server: Server) -> Iterator[subprocess.Popen[bytes] | None]:
    """Run the server for the length of the block.

    Yields:
        The watcher; None where a server of ours runs already, which is used and not stopped.

    Raises:
        Refusal: another program listens on the port.
    """
    if running_record(here, server.name) is not None:
        yield None
        return
    end_left_over(here, server.name)
    watcher = start(here, server)
    try:
        yield watcher
    finally:
        stop(here, server.name, watcher)


def start(here: Places, server: Server) -> subprocess.Popen[bytes]:
    """Start a server under its watcher, without waiting until it is ready.

    Raises:
        Refusal: another program listens on the port, or holds the server's database.
    """
    if server.port is not None and not is_free(server.host, server.port, server.host_variable):
        raise Refusal(
            f"Port {server.port} must be free for {server.name}.",
            f"{listener(server.port)} listens there",
            f"End it, or name another port: {server.other_port_command}{free_port(server.host, server.port + 1)}",
        )
    begin_database(server)
    here.logs.mkdir(parents=True, exist_ok=True)
    with open(here.logs / f"{server.name}.log", "ab") as log:
        watcher = subprocess.Popen(
            [sys.executable, "-m", "ratchet.servers.servers", *server.command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=os.environ | server.env,
            cwd=here.root,
            start_new_session=True,  # Ctrl-C in the terminal is ours to handle, in order
        )
    url = f"{server.address}{server.health}" if server.port else ""
    owner = os.getpid()
    record = ServerRecord(
        name=server.name,
        pid=watcher.pid,
        born=birth(watcher.pid),
        owner=owner,
        owner_born=birth(owner),
        port=server.port or 0,
        url=url,
    )
    durable.write_json(record_path(here, server.name), asdict(record))
    return watcher


def wait_until_ready(here: Places, server: Server, watcher: subprocess.Popen[bytes] | None) -> None:
    """Return when the server answers.

    Args:
        watcher: None for a server that ran already; it gets GRACE_SECONDS, the time in which it may end.

    Raises:
        Refusal: the server ended, or does not answer in time.
    """
    url = f"{server.address}{server.health}"
    seconds = GRACE_SECONDS if watcher is None else READY_SECONDS
    deadline = time.monotonic() + seconds
    while not answers(url):
        ended = watcher is not None and watcher.poll() is not None
        if ended or time.monotonic() > deadline:
            raise Refusal(
                f"{server.name} must answer within {seconds} s.",
                "it ended" if ended else "no answer",
                f"Call again; its log says more: {here.logs / (server.name + '.log')}",
            )
        time.sleep(0.05)
    if server.database is not None:
        unfinished_marker(server.database).unlink(missing_ok=True)


def begin_database(server: Server) -> None:
    """Remove a database whose first creation was cut off, and mark one that is about to be created.

    With half of its tables the server would never start. The database is empty, for no server has answered yet.

    Raises:
        Refusal: another program holds the database.
    """
    path = server.database
    if path is None:
        return
    marker = unfinished_marker(path)
    if marker.exists():
        for part in path.parent.glob(f"{path.name}*"):
            part.unlink()
    sqlite_file.wait_until_free(path)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()


def unfinished_marker(path: Path) -> Path:
    """The file that exists from before the creation of a database until its server has answered."""
    return path.with_name(f"{path.name}.making")


def stop(here: Places, name: str, watcher: subprocess.Popen[bytes]) -> None:
    durable.remove(record_path(here, name))
    assert watcher.stdin is not None
    watcher.stdin.close()
    watcher.wait()
    end_session(watcher.pid)  # where the watcher was killed, its server runs on


def running_record(here: Places, name: str) -> ServerRecord | None:
    """The record of this project's server of that name.

    Returns:
        None unless the server answers and both its watcher and its owner live.
    """
    record = read_record(here, name)
    if record is None or not lives(record.pid, record.born) or not lives(record.owner, record.owner_born):
        return None
    return record if not record.url or answers(record.url) else None


def left_over_servers(here: Places) -> list[str]:
    """Names of the servers that have a record, and whose owner or watcher has died."""
    names = sorted(path.stem for path in (here.state / "servers").glob("*.json"))
    return [name for name in names if is_left_over(read_record(here, name))]


def is_left_over(record: ServerRecord | None) -> bool:
    return record is None or not (lives(record.owner, record.owner_born) and lives(record.pid, record.born))


def end_left_over(here: Places, name: str) -> None:
    """End a server whose owner was killed: wait for its watcher to do so, and end the session if the watcher cannot."""
    record = read_record(here, name)
    if record is not None and is_left_over(record):
        deadline = time.monotonic() + 2 * GRACE_SECONDS
        while lives(record.pid, record.born) and time.monotonic() < deadline:
            time.sleep(0.05)
        if birth(record.pid) in ("", record.born):  # else the system has given the number and the session to another
            end_session(record.pid)
    durable.remove(record_path(here, name))


def read_record(here: Places, name: str) -> ServerRecord | None:
    try:
        return ServerRecord(**(durable.read_json(record_path(here, name)) or {}))
    except TypeError:
        return None


def record_path(here: Places, name: str) -> Path:
    return here.state / "servers" / f"{name}.json"


def is_free(host: str, port: int, variable: str = "RATCHET_UI_HOST") -> bool:
    """Whether nothing listens on that address and port.

    Args:
        variable: the environment variable that names the host, for the message.

    Raises:
        Refusal: the host is no address of this machine, or this user may not open the port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except socket.gaierror as error:
            raise unbindable(variable, host, error) from None
        except PermissionError:
            raise Refusal(
                "A port must be one that this user may open.", str(port), "Name one from 1024 to 65535."
            ) from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise unbindable(variable, host, error) from None
    return True


def unbindable(variable: str, host: str, error: OSError) -> Refusal:
    return Refusal(
        f"{variable} must be an address of this machine.",
        f"{host}: {error.strerror}",
        "Leave it out for 127.0.0.1; 0.0.0.0 is every address, open to the network.",
    )


def listener(port: int) -> str:
    """The program that listens on a port, as far as the system tells this user."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return "another program"


def free_port(host: str, preferred: int) -> int:
    """The preferred port, or any free one if a program listens on it."""
    if preferred <= 65535 and is_free(host, preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def answers(url: str, password: str = "") -> bool:
    """Whether a URL answers 200.

    Args:
        password: `user:password` for basic authentication; empty to send none.
    """
    request = urllib.request.Request(url)
    if password:
        request.add_header("Authorization", f"Basic {b64encode(password.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def watch(command: list[str]) -> int:
    """The watcher: run the command in this session until SIGTERM or until the owner is gone; its exit status."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    is_stopping = False

    def stop_watching(*_: object) -> None:
        nonlocal is_stopping
        is_stopping = True

    signal.signal(signal.SIGTERM, stop_watching)
    while child.poll() is None and not is_stopping:
        if select.select([sys.stdin], [], [], 0.5)[0]:
            break  # end of file: the owner closed the pipe or died
    end_session(os.getpid())
    return child.wait()


def end_session(leader: int) -> None:
    """End every process of a session but the caller: SIGTERM, and SIGKILL after GRACE_SECONDS."""
    for stop_signal in (signal.SIGTERM, signal.SIGKILL):
        for pid in session(leader):
            with suppress(ProcessLookupError):
                os.kill(pid, stop_signal)
        deadline = time.monotonic() + GRACE_SECONDS
        while session(leader) and time.monotonic() < deadline:
            time.sleep(0.02)


def session(leader: int) -> list[int]:
    """Process ids in the session of a leader, without the caller; a session outlives its leader."""
    members = []
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if pid != os.getpid() and os.getsid(pid) == leader and birth(pid):
                members.append(pid)
    return members


if __name__ == "__main__":
    sys.exit(watch(sys.argv[1:]))
