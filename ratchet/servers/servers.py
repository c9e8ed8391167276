"""Starts, watches and stops the servers of this project.

Each runs under a small watcher process (`python -m ratchet.servers.servers`), in a session of its own: the server ends
when the watcher is told to, and also when whoever started it dies, however it dies. A note in state/servers/ tells our
servers from a stranger's on the same port; by it the next command ends a server whose watcher was killed as well.
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
    """What to start. command: program and words. port: None for one that does not listen.

    health: path that answers 200 when ready. env: added variables. database: the SQLite file that it makes at its first
    start, where it does. host: the address to listen on.
    """

    name: str
    command: tuple[str, ...]
    port: int | None
    health: str
    env: dict[str, str]
    database: Path | None = None
    host: str = "127.0.0.1"

    @property
    def host_named(self) -> str:
        """The variable that names the address to listen on."""
        return "RATCHET_HOST" if self.name == "service" else "RATCHET_UI_HOST"

    @property
    def address(self) -> str:
        """Where this machine meets it: what listens on every address is met on this one."""
        return f"http://{'127.0.0.1' if self.host == '0.0.0.0' else self.host}:{self.port}"

    @property
    def elsewhere(self) -> str:
        """What to type to have it on another port, but for the number."""
        return "make serve SERVE_PORT=" if self.name == "service" else f"make ui {self.name.upper()}_PORT="


@dataclass(frozen=True)
class ServerRecord:
    """A server of ours that runs. pid: its watcher, and the session that it leads. born: see
    ratchet/servers/process_id.py.

    owner, owner_born: the same of the process that started it, with which it ends.
    port: 0 for one that does not listen. url: answers 200 while it runs.
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
    """The server runs while the block does; one of ours that runs already is used and left, and gives None.

    Raises:
        Refusal: a stranger listens on the port.
    """
    if ours(here, server.name) is not None:
        yield None
        return
    end_left_over(here, server.name)
    watcher = start(here, server)
    try:
        yield watcher
    finally:
        stop(here, server.name, watcher)


def start(here: Places, server: Server) -> subprocess.Popen[bytes]:
    """Start a server under its watcher, without waiting until it is ready."""
    if server.port is not None and not is_free(server.host, server.port, server.host_named):
        raise Refusal(
            f"Port {server.port} must be free for {server.name}.",
            f"{listener(server.port)} listens there",
            f"End it, or name another port: {server.elsewhere}{free_port(server.host, server.port + 1)}",
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
    me = os.getpid()
    known = ServerRecord(server.name, watcher.pid, birth(watcher.pid), me, birth(me), server.port or 0, url)
    durable.write_json(note_path(here, server.name), asdict(known))
    return watcher


def wait_until_ready(here: Places, server: Server, watcher: subprocess.Popen[bytes] | None) -> None:
    """Return when the server answers; without a watcher it ran already, and gets only as long as it may take to end.

    Raises:
        Refusal: it ended, or does not answer in time.
    """
    url = f"{server.address}{server.health}"
    patience = GRACE_SECONDS if watcher is None else READY_SECONDS
    deadline = time.monotonic() + patience
    while not answers(url):
        ended = watcher is not None and watcher.poll() is not None
        if ended or time.monotonic() > deadline:
            raise Refusal(
                f"{server.name} must answer within {patience} s.",
                "it ended" if ended else "no answer",
                f"Call again; its log says more: {here.logs / (server.name + '.log')}",
            )
        time.sleep(0.05)
    if server.database is not None:
        in_the_making(server.database).unlink(missing_ok=True)


def begin_database(server: Server) -> None:
    """Clear away a database whose first making was cut off, and note one that is about to be made.

    Half its tables would keep the server from ever starting; and nothing is in it, for no server has answered yet.

    Raises:
        Refusal: another program holds the database.
    """
    path = server.database
    if path is None:
        return
    marker = in_the_making(path)
    if marker.exists():
        for part in path.parent.glob(f"{path.name}*"):
            part.unlink()
    sqlite_file.wait_until_free(path)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()


def in_the_making(path: Path) -> Path:
    """There from before a database is made until its server has answered."""
    return path.with_name(f"{path.name}.making")


def stop(here: Places, name: str, watcher: subprocess.Popen[bytes]) -> None:
    durable.remove(note_path(here, name))
    assert watcher.stdin is not None
    watcher.stdin.close()
    watcher.wait()
    end_session(watcher.pid)  # where the watcher was killed, its server runs on


def ours(here: Places, name: str) -> ServerRecord | None:
    """The note of that server if one of this project's runs, answers, and is going to stay."""
    known = noted(here, name)
    if known is None or not lives(known.pid, known.born) or not lives(known.owner, known.owner_born):
        return None
    return known if not known.url or answers(known.url) else None


def left_over(here: Places) -> list[str]:
    """Servers that are noted, and whose owner or watcher has died."""
    names = sorted(path.stem for path in (here.state / "servers").glob("*.json"))
    return [name for name in names if is_left_over(noted(here, name))]


def is_left_over(known: ServerRecord | None) -> bool:
    return known is None or not (lives(known.owner, known.owner_born) and lives(known.pid, known.born))


def end_left_over(here: Places, name: str) -> None:
    """Wait for a server whose owner was killed to end, as its watcher sees to it; end it where the watcher cannot."""
    known = noted(here, name)
    if known is not None and is_left_over(known):
        deadline = time.monotonic() + 2 * GRACE_SECONDS
        while lives(known.pid, known.born) and time.monotonic() < deadline:
            time.sleep(0.05)
        if birth(known.pid) in ("", known.born):  # else the number, and with it the session, is somebody else's by now
            end_session(known.pid)
    durable.remove(note_path(here, name))


def noted(here: Places, name: str) -> ServerRecord | None:
    try:
        return ServerRecord(**(durable.read_json(note_path(here, name)) or {}))
    except TypeError:
        return None


def note_path(here: Places, name: str) -> Path:
    return here.state / "servers" / f"{name}.json"


def is_free(host: str, port: int, named: str = "RATCHET_UI_HOST") -> bool:
    """Whether nobody listens there.

    Raises:
        Refusal: the variable of that name holds no address of this machine, or the port is not this user's to open.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except socket.gaierror as error:
            raise unbindable(named, host, error) from None
        except PermissionError:
            raise Refusal(
                "A port must be one that this user may open.", str(port), "Name one from 1024 to 65535."
            ) from None
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise unbindable(named, host, error) from None
    return True


def unbindable(named: str, host: str, error: OSError) -> Refusal:
    return Refusal(
        f"{named} must be an address of this machine.",
        f"{host}: {error.strerror}",
        "Leave it out for 127.0.0.1; 0.0.0.0 is every address, open to the network.",
    )


def listener(port: int) -> str:
    """Who listens on a port, as far as the system tells this user."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return "another program"


def free_port(host: str, wished: int) -> int:
    """The wished port, or any other where a stranger has it."""
    if wished <= 65535 and is_free(host, wished):
        return wished
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def answers(url: str, password: str = "") -> bool:
    """Whether a page is there for whoever has that `user:password`."""
    asked = urllib.request.Request(url)
    if password:
        asked.add_header("Authorization", f"Basic {b64encode(password.encode()).decode()}")
    try:
        with urllib.request.urlopen(asked, timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def watch(command: list[str]) -> int:
    """What the watcher does: run the command in its own session until told to stop or left alone."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    told = False

    def tell(*_: object) -> None:
        nonlocal told
        told = True

    signal.signal(signal.SIGTERM, tell)
    while child.poll() is None and not told:
        if select.select([sys.stdin], [], [], 0.5)[0]:
            break  # end of file: whoever started this closed it or died
    end_session(os.getpid())
    return child.wait()


def end_session(leader: int) -> None:
    """Ask every process of a session to end, then insist; whoever calls this is spared."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for pid in session(leader):
            with suppress(ProcessLookupError):
                os.kill(pid, sign)
        deadline = time.monotonic() + GRACE_SECONDS
        while session(leader) and time.monotonic() < deadline:
            time.sleep(0.02)


def session(leader: int) -> list[int]:
    """Who runs in the session that the leader began, but for the caller; it stays one after the leader's death."""
    found = []
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if pid != os.getpid() and os.getsid(pid) == leader and birth(pid):
                found.append(pid)
    return found


if __name__ == "__main__":
    sys.exit(watch(sys.argv[1:]))
